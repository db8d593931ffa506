"""Made-up crops and a result over them: a person is two colours, a camera a light; junk and distractors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from resight.evaluation import Protocol, evaluate_features
from resight.inference import Result, Vectors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PERSONS, CAMERAS, DIM = 9, 3, 16


def make_result(root: Path, *, noise: float = 0.9, seed: int = 0, protocol: Protocol | None = None) -> Result:
    """Nine persons in three cameras, three pictures each, one a camera asked for; and some of nobody."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(PERSONS + 1, DIM))
    query = [(pid, cam) for pid in range(1, PERSONS + 1) for cam in range(CAMERAS)]
    gallery = [entry for entry in query for _ in range(3)] + [(-1, 0)] * 6 + [(0, 1)] * 6
    asked = _vectors(root, "query", query, centers, noise, rng)
    kept = _vectors(root, "gallery", gallery, centers, noise, rng)
    report = evaluate_features(
        asked.vectors, kept.vectors, asked.pids, kept.pids, asked.camids, kept.camids,
        protocol=protocol or Protocol(),
    )  # fmt: skip
    context = {
        "dataset": "colours", "version": "made up", "model": "none", "recipe": "by hand", "seed": seed,
        "recipe_hash": "0123456789ab", "command": "resight evaluate runs/colours", "platform": "Linux x86_64",
        "software": {"resight": "0", "torch": "2"}, "unreadable": [], "seconds": 1.25,
        "embedding": {"dim": DIM, "input": [64, 32], "flip": False},
    }  # fmt: skip
    return Result(report.described(dataset="colours made up"), asked, kept, context)


def make_journal(steps: int = 60) -> list[dict[str, object]]:
    """A run of which everything was logged."""
    lines: list[dict[str, object]] = []
    for step in range(10, 10 * steps + 1, 10):
        left = 1 - step / (10 * steps)
        parts = {"identity": 3 * left + 0.2, "triplet": left + 0.05}
        lines.append({
            "event": "train", "step": step, "epoch": step / 50, "lr": 3e-4 * max(left, 0.01),
            "total": sum(parts.values()), "parts": parts, "spread": 0.5 + 0.1 * left,
            "images_per_s": 110 + 5 * np.sin(step), "waiting": 0.02,
        })  # fmt: skip
        if step % 100 == 0:
            scores = {"mAP": 0.6 * (1 - left), "rank1": 0.8 * (1 - left)}
            lines.append({"event": "validation", "step": step, "epoch": step / 50, **scores})
    return lines


def draw_person(path: Path, pid: int, camera: int, rng: np.random.Generator) -> None:
    """Head, jacket and trousers in the person's colours, 64 x 128, with the camera's light and some noise."""
    colors = np.random.default_rng(pid + 100).integers(20, 235, (2, 3))
    pixels = np.full((128, 64, 3), 120 + 40 * camera, np.float64)
    for top, bottom, left, right, color in (
        (8, 28, 24, 40, (220, 180, 150)), (28, 72, 14, 50, colors[0]), (72, 122, 18, 46, colors[1]),
    ):  # fmt: skip
        pixels[top:bottom, left:right] = color
    pixels = pixels * (0.75 + 0.2 * camera) + rng.normal(0, 8, pixels.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def _vectors(
    root: Path, name: str, who: list[tuple[int, int]], centers: NDArray[np.float64], noise: float,
    rng: np.random.Generator,
) -> Vectors:  # fmt: skip
    paths = [f"{name}/{pid:04d}_c{cam}_{number:03d}.jpg" for number, (pid, cam) in enumerate(who)]
    for path, (pid, cam) in zip(paths, who, strict=True):
        draw_person(root / path, pid, cam, rng)
    pids = np.array([pid for pid, _ in who], np.int64)
    raw = np.where(pids[:, None] > 0, centers[pids], 0) + noise * rng.normal(size=(len(who), DIM))
    unit = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    ids = tuple(path.rsplit("/", 1)[1].removesuffix(".jpg") for path in paths)
    cameras = np.array([cam for _, cam in who], np.int64)
    return Vectors(unit, ids, tuple(paths), pids, cameras, str(root), "fingerprint", "cosine")
