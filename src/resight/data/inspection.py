"""The thorough half of the doctor: every picture opened once, and what it turned out to be."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.data import images
from resight.data.checks import Finding
from resight.data.listing import some
from resight.data.pixels import default_workers
from resight.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from resight.data.pixels import Progress
    from resight.types import Sample

SMALL = 16  # pixels; fewer on a side show no person
BITS = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)  # set in each byte
NEAR = 3  # of 64 bits of a difference hash: the same shot saved again, or shifted by a pixel


@dataclass(frozen=True)
class Facts:
    """One picture: its size, mean grey level, hash of its bytes and of its look; or why it is unreadable."""

    sample: Sample
    reason: str | None = None
    width: int = 0
    height: int = 0
    brightness: float = 0.0
    digest: bytes = b""
    look: int = 0  # difference hash, 64 bits
    oddity: str | None = None  # something that had to be converted


def inspect(samples: Sequence[Sample], progress: Progress | None = None) -> list[Facts]:
    """Facts of every sample, in order."""
    facts: list[Facts] = []
    with ThreadPoolExecutor(default_workers()) as pool:
        for done, fact in enumerate(pool.map(_look, samples), start=1):
            facts.append(fact)
            if progress is not None and (done % 64 == 0 or done == len(samples)):
                progress(done, len(samples))
    return facts


def _look(sample: Sample) -> Facts:
    try:
        data = images.read(sample.path)
        pixels = images.decode_bytes(data, str(sample.path))
    except ImageError as unreadable:
        return Facts(sample, reason=str(unreadable))
    small = images.resize([pixels], (8, 9))[0].astype(np.int64).sum(axis=2)
    bits = (small[:, 1:] > small[:, :-1]).reshape(-1)
    return Facts(
        sample,
        width=pixels.shape[1],
        height=pixels.shape[0],
        brightness=float(pixels.mean()),
        digest=hashlib.sha256(data).digest(),
        look=int.from_bytes(np.packbits(bits).tobytes(), "big"),
        oddity=None if images.is_plain_jpeg(data) else _oddity(data),
    )


def _oddity(data: bytearray) -> str | None:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=images.FORMATS) as image:
        if image.getexif().get(0x0112, 1) != 1:
            return "turned by EXIF"
        if getattr(image, "n_frames", 1) > 1:
            return "several frames"
        return None if image.mode in ("RGB", "L") else f"mode {image.mode}"


def picture_findings(facts: Sequence[Facts], near: bool = False) -> list[Finding]:
    """What the pictures themselves give reason to say."""
    readable = [fact for fact in facts if fact.reason is None]
    findings = [*_unreadable(facts), *_odd(readable), *_small(readable), *_duplicates(readable)]
    return [*findings, *_near_duplicates(readable)] if near else findings


def _unreadable(facts: Sequence[Facts]) -> Iterable[Finding]:
    lost = [fact.reason for fact in facts if fact.reason is not None]
    if lost:
        yield Finding(
            "warning",
            "unreadable",
            f"{len(lost):,} of {len(facts):,} pictures cannot be read. {lost[0]}",
            "They are left out wherever the set is used.",
        )


def _odd(facts: Sequence[Facts]) -> Iterable[Finding]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for fact in facts:
        if fact.oddity is not None:
            kinds[fact.oddity].append(fact.sample.path.name)
    for kind, names in sorted(kinds.items()):
        yield Finding("note", "odd", f"{len(names):,} pictures are converted on reading ({kind}): {some(names)}.")


def _small(facts: Sequence[Facts]) -> Iterable[Finding]:
    names = [fact.sample.path.name for fact in facts if min(fact.width, fact.height) < SMALL]
    if names:
        yield Finding("warning", "small", f"{len(names):,} pictures are under {SMALL} pixels on a side: {some(names)}.")


def _duplicates(facts: Sequence[Facts]) -> Iterable[Finding]:
    same: dict[bytes, list[Sample]] = defaultdict(list)
    for fact in facts:
        same[fact.digest].append(fact.sample)
    twice = [group for group in same.values() if len({sample.path for sample in group}) > 1]
    across = [group for group in twice if len({sample.split for sample in group}) > 1]
    tainted = [group for group in across if any(sample.split == "train" for sample in group)]
    torn = [group for group in twice if len({sample.pid for sample in group}) > 1]
    inside = [group for group in twice if group not in across and group not in torn]
    if tainted:
        yield Finding(
            "error",
            "duplicates",
            f"{len(tainted):,} pictures are in train and in the test, byte for byte ({_pairs(tainted)}).",
            "Remove them from one of the two, or figures will flatter.",
        )
    elif across:
        yield Finding(
            "warning",
            "duplicates",
            f"{len(across):,} pictures are query and gallery at once, byte for byte ({_pairs(across)}).",
            "Remove them from the gallery: finding a copy proves nothing.",
        )
    if torn:
        yield Finding(
            "warning",
            "two_persons",
            f"{len(torn):,} pictures stand under several persons ({_pairs(torn)}).",
            "One of the labels is wrong.",
        )
    if inside:
        yield Finding("note", "copies", f"{len(inside):,} pictures have copies in their own split ({_pairs(inside)}).")


def _pairs(groups: Sequence[Sequence[Sample]]) -> str:
    return some([" = ".join(f"{sample.split}/{sample.path.name}" for sample in group[:2]) for group in groups])


def _near_duplicates(facts: Sequence[Facts]) -> Iterable[Finding]:
    """Pictures of train and test that look alike: the difference hashes differ in at most NEAR bits."""
    train = [fact for fact in facts if fact.sample.split == "train"]
    test = [fact for fact in facts if fact.sample.split != "train"]
    pairs = [
        (train[i].sample, test[j].sample)
        for i, j in near_pairs(_looks(train), _looks(test))
        if train[i].digest != test[j].digest
    ]
    if pairs:
        yield Finding(
            "warning",
            "near_duplicates",
            f"{len(pairs):,} pairs of pictures of train and test look alike ({_pairs(pairs)}).",
            "Look at them: frames of one moment on both sides flatter the figures.",
        )


def _looks(facts: Sequence[Facts]) -> NDArray[np.uint64]:
    return np.array([fact.look for fact in facts], dtype=np.uint64)


def near_pairs(a: NDArray[np.uint64], b: NDArray[np.uint64], bits: int = NEAR) -> list[tuple[int, int]]:
    """Rows of a and b whose 64-bit hashes differ in at most `bits` bits, a chunk of a at a time."""
    found: list[tuple[int, int]] = []
    for start in range(0, len(a), 512):
        differing = a[start : start + 512, None] ^ b[None, :]  # (n, B)
        far = BITS[differing.view(np.uint8).reshape(*differing.shape, 8)].sum(axis=2)
        found += [(start + int(i), int(j)) for i, j in np.argwhere(far <= bits)]
    return found


def facts_by_path(facts: Iterable[Facts]) -> dict[Path, Facts]:
    """Facts of each readable picture."""
    return {fact.sample.path: fact for fact in facts if fact.reason is None}
