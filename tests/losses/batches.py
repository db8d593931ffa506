"""The literal batches of docs/methods/losses.md, in float64, and the ways a batch can be odd."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def numbers(rows: Any) -> Tensor:
    """Directly in float64: by way of float32 the eighth digit would change."""
    return torch.tensor(rows, dtype=torch.float64)


def labels(*values: int) -> Tensor:
    return torch.tensor(values)


B1 = (
    numbers([[0, 0], [0.3, 0.4], [1, 0], [0.6, 0.8], [2, 0], [0, 1.5]]),
    labels(0, 0, 1, 1, 2, 2),
)
B2 = (
    numbers([[0, 0], [0.3, 0.4], [0.6, 0.8], [1, 0], [2, 0], [1, 1]]),
    labels(0, 0, 0, 1, 1, 1),
)
B3 = (
    numbers([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8], [-1, 0], [-0.6, 0.8]]),
    labels(0, 0, 1, 1, 2, 2),
)
B3_WEIGHTS = numbers([[1, 0], [0, 1], [-1, 0]])

SQUARE = (numbers([[0, 0], [3, 4], [6, 8], [0, 5]]), labels(0, 0, 1, 1))

EDGES = {
    "E1 an identity with one image": (numbers([[0, 0], [3, 4], [6, 8]]), labels(0, 0, 1)),
    "E2 one identity": (numbers([[0, 0], [3, 4], [6, 8]]), labels(0, 0, 0)),
    "E3 a duplicate": (numbers([[1, 1], [1, 1], [2, 2]]), labels(0, 0, 1)),
    "E4 all distinct": (numbers([[0, 0], [3, 4], [6, 8]]), labels(0, 1, 2)),
    # Unequal counts, squares summing to a multiple of N: reshaping a masked matrix to (N, -1) mixes rows.
    "E5 unequal": (
        numbers([[0, 0], [1, 0], [5, 0], [5, 1], [5, 2], [5, 4]]),
        labels(0, 1, 2, 2, 2, 2),
    ),
}


def people(P: int, K: int, dim: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """P identities, K rows each, shuffled, spread around their own centres: (P K, dim) float64, (P K,)."""
    draws = torch.Generator().manual_seed(seed)
    centers = torch.randn(P, dim, generator=draws, dtype=torch.float64)
    pids = torch.arange(P).repeat_interleave(K)[torch.randperm(P * K, generator=draws)]
    return centers[pids] + torch.randn(P * K, dim, generator=draws, dtype=torch.float64), pids
