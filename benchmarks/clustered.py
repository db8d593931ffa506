"""Synthetic descriptors with the shape of a real test split: people, cameras, distractors, overlap.

Every descriptor is a person's centre plus a camera's shift plus noise, in a space of few directions that is
then spread over D dimensions: neighbours are crowded, as they are with a trained model, and mAP is moderate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatMatrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Size:
    people: int
    cameras: int
    queries: int
    gallery: int
    distractors: int
    dim: int = 2048


MARKET = Size(people=750, cameras=6, queries=3368, gallery=15913, distractors=2798)
MSMT17 = Size(people=3060, cameras=15, queries=11659, gallery=82161, distractors=0)
SMALL = Size(people=150, cameras=6, queries=500, gallery=4000, distractors=500)  # seconds: to see that all is well
TINY = Size(people=40, cameras=6, queries=150, gallery=1000, distractors=100)  # dense N x N forms fit here
SIZES = {"market": MARKET, "msmt17": MSMT17}


@dataclass(frozen=True)
class Split:
    query: FloatMatrix  # (Q, D), unit length
    gallery: FloatMatrix  # (G, D), unit length
    q_pids: npt.NDArray[np.int64]
    g_pids: npt.NDArray[np.int64]
    q_camids: npt.NDArray[np.int64]
    g_camids: npt.NDArray[np.int64]

    @property
    def labels(self) -> tuple[Any, Any, Any, Any]:
        return self.q_pids, self.g_pids, self.q_camids, self.g_camids


def clustered(size: Size, seed: int = 0, directions: int = 64, noise: float = 0.9, shift: float = 0.6) -> Split:
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(size.people + 1, directions))
    cameras = shift * rng.normal(size=(size.cameras + 1, directions))
    spread = rng.normal(size=(directions, size.dim)).astype(np.float32) / np.float32(np.sqrt(size.dim))

    def vectors(pids: Any, cams: Any) -> FloatMatrix:
        low = np.where((pids > 0)[:, None], centers[pids], rng.normal(size=(len(pids), directions)))
        low = low + cameras[cams] + noise * rng.normal(size=low.shape)
        low /= np.linalg.norm(low @ spread, axis=1, keepdims=True)
        return np.asarray(low.astype(np.float32) @ spread)

    people = size.gallery - size.distractors
    g_pids = np.concatenate([np.arange(people) % size.people + 1, np.zeros(size.distractors, np.int64)])
    q_pids = np.arange(size.queries) % size.people + 1
    g_camids, q_camids = rng.integers(1, size.cameras + 1, len(g_pids)), rng.integers(1, size.cameras + 1, len(q_pids))
    order = rng.permutation(len(g_pids))
    g_pids, g_camids = g_pids[order], g_camids[order]
    return Split(vectors(q_pids, q_camids), vectors(g_pids, g_camids), q_pids, g_pids, q_camids, g_camids)
