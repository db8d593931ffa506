"""Made-up descriptors of a known number of people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def crowd(
    people: int = 12, shots: int = 10, dim: int = 32, spread: float = 0.6, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit vectors (people * shots, dim) scattered around a direction a person, in no order, and who they are."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(people, dim))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    truth = rng.permutation(np.repeat(np.arange(people), shots))
    noise = rng.normal(size=(len(truth), dim)) / np.sqrt(dim)
    vectors = centers[truth] + spread * noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), truth
