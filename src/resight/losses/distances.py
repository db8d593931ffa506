"""Distances between descriptors, with gradients that stay finite at distance 0.

The square root has an infinite slope at zero, and a batch is full of zeros: each row against itself, the
same picture drawn twice.  Times the zero that arrives from above this makes NaN, and masking afterwards is
too late.
Every kernel here gives the sub-gradient 0 at distance 0 instead, and none divides by a distance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from resight.errors import UnknownNameError

EXACT_ROWS = 1024  # up to here differences are formed; beyond, the Gram matrix
SYMMETRIC_ROWS = 256  # from here on it pays to form a symmetric product by halves
TINY = 1e-12


def unit(vectors: Tensor) -> Tensor:
    """Each row divided by its length; a zero row stays zero and gets a gradient of ordinary size."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / length.masked_fill(length <= TINY, 1.0)


def products(a: Tensor, b: Tensor) -> Tensor:
    """a_i . b_j, by half the work where b is a itself.  Shapes: (N, D), (M, D) -> (N, M)."""
    if a is not b or a.shape[0] < SYMMETRIC_ROWS:
        return a @ b.T
    gram: Tensor = _Gram.apply(a)
    return gram


class _Gram(torch.autograd.Function):
    """a a^T from its upper blocks; one product backward, (G + G^T) a, instead of two."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        ctx.save_for_backward(a)
        n = a.shape[0]
        gram, step = a.new_empty(n, n), -(-n // 4)
        for top in range(0, n, step):
            below = min(top + step, n)
            gram[top:below, top:] = a[top:below] @ a[top:].T
            gram[below:, top:below] = gram[top:below, below:].T
        return gram

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        summed: Tensor = (gradient + gradient.T) @ a
        return summed


def centered(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both about b's mean, so that a common offset costs no digits; b stays a where it was."""
    center = b.detach().mean(dim=0)
    moved = b - center
    return (moved if a is b else a - center), moved


def squared(a: Tensor, b: Tensor) -> Tensor:
    """|a|^2 + |b|^2 - 2 a.b, not below 0.  Shapes: (N, D), (M, D) -> (N, M)."""
    a, b = centered(a, b)
    lengths = a.square().sum(1)[:, None] + b.square().sum(1)[None, :]
    return (lengths - 2 * products(a, b)).clamp_min(0)


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    """d_ij = |a_i - b_j|, from differences up to 1024 rows, by the Gram matrix (clamped at 1e-12) beyond.

    The Gram form cancels: two rows of length 450 at distance 0.05 read anything from 0 to 0.2 in float32.
    Shapes: (N, D), (M, D) -> (N, M).
    """
    if max(a.shape[0], b.shape[0]) <= EXACT_ROWS:
        return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    return squared(a, b).clamp_min(TINY).sqrt()


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """d_ij = 1 - a_i.b_j / (|a_i| |b_j|).  Shapes: (N, D), (M, D) -> (N, M)."""
    directions = unit(b)
    return 1 - products(directions if a is b else unit(a), directions)


def squared_rows(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_i|^2.  Shapes: (N, D), (N, D) -> (N,)."""
    return (a - b).square().sum(dim=-1)


def euclidean_rows(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_i|.  Shapes: (N, D), (N, D) -> (N,)."""
    length: Tensor = torch.linalg.vector_norm(a - b, dim=-1)
    return length


def cosine_rows(a: Tensor, b: Tensor) -> Tensor:
    """1 - cos(a_i, b_i).  Shapes: (N, D), (N, D) -> (N,)."""
    return 1 - (unit(a) * unit(b)).sum(dim=-1)


Kernel = Callable[[Tensor, Tensor], Tensor]
DISTANCES: dict[str, Kernel] = {"euclidean": euclidean, "cosine": cosine, "squared": squared}
ROW_DISTANCES: dict[str, Kernel] = {
    "euclidean": euclidean_rows,
    "cosine": cosine_rows,
    "squared": squared_rows,
}


def known_distance(name: str) -> str:
    """Check the name of a distance.  Raises UnknownNameError."""
    if name not in DISTANCES:
        raise UnknownNameError("distance", name, DISTANCES)
    return name
