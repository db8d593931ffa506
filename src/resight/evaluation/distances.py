"""Distances of features or from a matrix, a few rows at a time; the whole Q x G matrix is never held.

A source is either a given matrix or two sets of features.  Both give small blocks (b, G) that
fit the processor's cache, so the passes over them cost little; the features' products are made in larger
slabs, as many rows as the memory budget allows, because that is where the arithmetic is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch

from resight.errors import EvaluationError, UsageError
from resight.evaluation.labels import FloatArray, few

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resight.evaluation.protocol import OnNaN
    from resight.types import Metric

Block = npt.NDArray[np.floating[Any]]
Single = npt.NDArray[np.float32]
Matrix = npt.ArrayLike | torch.Tensor

MEMORY = 256 * 2**20  # bytes a call may use beyond its arguments, by default
CACHE_ITEMS = 2**18  # a block of 1 MiB in float32
_PART_ITEMS = 2**22  # features converted or measured at a time
_MIDDLE = 1024  # vectors whose median is their middle
_SMALLEST_NORM = 1e-12  # as torch.nn.functional.normalize


class Source(ABC):
    """Distances by blocks of rows.  Smaller is closer; only their order is defined."""

    shape: tuple[int, int]  # (Q, G)
    metric: str
    not_finite: int = 0  # entries or vectors that were put last under on_nan='worst'
    zero_vectors: int = 0

    @abstractmethod
    def blocks(self) -> Iterator[tuple[slice, Block]]:
        """Consecutive rows with their distances (b, G): the caller's to change, until the next block is asked for."""

    def outward(self, distance: FloatArray) -> FloatArray:
        """Distances in the metric's own units."""
        return distance


class MatrixSource(Source):
    """A given matrix (Q, G), copied block by block.  Half types are lifted to float32, float64 stays."""

    def __init__(self, distances: Matrix, on_nan: OnNaN) -> None:
        self.matrix = as_array("distances", distances)
        self.shape = (self.matrix.shape[0], self.matrix.shape[1])
        self.metric = "given distances"
        self.on_nan = on_nan

    def blocks(self) -> Iterator[tuple[slice, Block]]:
        dtype = np.float64 if self.matrix.dtype.kind != "f" or self.matrix.dtype.itemsize > 4 else np.float32
        self.not_finite = 0
        for rows in spans(self.shape[0], CACHE_ITEMS // self.shape[1]):
            yield rows, self._finite(np.array(self.matrix[rows], dtype=dtype), rows.start)

    def _finite(self, block: Block, start: int) -> Block:
        if np.isfinite(block.sum()):  # one pass; an overflow of the sum only costs the second look
            return block
        bad = ~np.isfinite(block)
        if self.on_nan == "raise" and bad.any():
            rows = start + np.flatnonzero(bad.any(axis=1))
            raise EvaluationError(
                f"distances of queries {few(rows)} hold NaN or infinity. Sorting would hide them: look at "
                f"these queries' features, or choose Protocol(on_nan='worst') to put such entries last."
            )
        self.not_finite += int(bad.sum())
        block[bad] = np.inf
        return block


class FeatureSource(Source):
    """Distances between features (Q, D) and (G, D), computed in float32 and clamped at 0.

    cosine: 1 - q.g / |q||g|; a zero vector is at distance 1 from everything.  euclidean: blocks hold squares,
    which have the same order and fewer ties, made of features about the gallery's middle: far from the origin
    |q|^2 + |g|^2 - 2 q.g would lose the digits that count.  Tensors on an accelerator are multiplied there.
    """

    def __init__(self, query: Matrix, gallery: Matrix, metric: Metric, on_nan: OnNaN, memory: int = MEMORY) -> None:
        if metric not in ("cosine", "euclidean"):
            raise UsageError(f"metric={metric!r} is not a metric; choose cosine or euclidean.")
        center = center_of(gallery, memory) if metric == "euclidean" else None
        self.query = Features("query features", query, on_nan, memory, center)
        self.gallery = Features("gallery features", gallery, on_nan, memory, center)
        if self.query.dim != self.gallery.dim:
            raise EvaluationError(
                f"query features have {self.query.dim} dimensions but gallery features {self.gallery.dim}: "
                f"were they made by different models?"
            )
        self.shape = (len(self.query), len(self.gallery))
        self.metric = metric
        self.not_finite = len(self.query.broken) + len(self.gallery.broken)
        self.zero_vectors = self.query.zero_vectors + self.gallery.zero_vectors
        self.slab = min(4096, max(1, memory // 2 // (4 * (self.shape[1] + 2 * self.query.dim))))

    def blocks(self) -> Iterator[tuple[slice, Block]]:
        room = np.empty((min(self.slab, self.shape[0]), self.shape[1]), dtype=np.float32)
        for slab in spans(self.shape[0], self.slab):
            product = self.gallery.products(self._scaled(slab), room[: slab.stop - slab.start])  # (b, G)
            for part in spans(len(product), CACHE_ITEMS // self.shape[1]):
                rows = slice(slab.start + part.start, slab.start + part.stop)
                yield rows, self._distance(product[part], rows)

    def _scaled(self, rows: slice) -> Single:
        """Query vectors, already carrying the factor their products will need: (b, D)."""
        factor = self.query.inverse_norms[rows] if self.metric == "cosine" else np.full(1, 2, dtype=np.float32)
        return self.query.rows(rows) * -factor[:, None]

    def _distance(self, product: Block, rows: slice) -> Block:
        """Turns scaled inner products (b, G) into distances, in place."""
        if self.metric == "cosine":
            product *= self.gallery.inverse_norms
            product += 1
        else:
            product += self.query.squares[rows, None]
            product += self.gallery.squares
        np.maximum(product, 0, out=product)
        product[:, self.gallery.broken] = np.inf
        product[np.isin(np.arange(rows.start, rows.stop), self.query.broken)] = np.inf
        return product

    def outward(self, distance: FloatArray) -> FloatArray:
        return cast("FloatArray", np.sqrt(distance)) if self.metric == "euclidean" else distance


class Features:
    """One set of descriptors (N, D): checked, with their squared lengths; never copied whole.

    on_nan  None where broken vectors cannot be put last: they are refused.
    center  (D,), taken off every vector before it becomes float32; see `center_of`.
    """

    def __init__(
        self,
        name: str,
        values: Matrix,
        on_nan: OnNaN | None = None,
        memory: int = MEMORY,
        center: Block | None = None,
    ) -> None:
        on_device = isinstance(values, torch.Tensor) and values.device.type != "cpu"
        self.tensor = cast("torch.Tensor", values).detach() if on_device else None
        self.array = None if on_device else as_array(name, values)
        self.shape = tuple(cast("Any", self.tensor if self.array is None else self.array).shape)
        if len(self.shape) != 2 or 0 in self.shape:
            raise EvaluationError(f"{name} must be a matrix of at least one vector, but have shape {self.shape}.")
        self.dim = self.shape[1]
        self.part = max(1, min(_PART_ITEMS, memory // 32) // self.dim)
        self.center = center
        if center is not None and len(center) != self.dim:  # said by the caller in a sentence of its own
            self.center = None
        self.squares = np.concatenate([_squares(self.rows(part)) for part in spans(len(self), self.part)])
        self.broken = np.flatnonzero(~np.isfinite(self.squares))
        if len(self.broken) and on_nan != "worst":
            way_out = "leave them out" if on_nan is None else "choose Protocol(on_nan='worst')"
            raise EvaluationError(
                f"{name}: rows {few(self.broken)} hold NaN, infinity or numbers too large to square."
                f" Sorting would hide them: look at these pictures, or {way_out}."
            )

    def __len__(self) -> int:
        return int(self.shape[0])

    @cached_property
    def inverse_norms(self) -> Single:
        """1 / |x|, (N,); 0 for a zero vector."""
        norms = np.maximum(np.sqrt(self.squares), np.float32(_SMALLEST_NORM))
        inverse: Single = np.float32(1) / norms
        return inverse

    @cached_property
    def zero_vectors(self) -> int:
        """How many vectors are zero, before any centering."""
        if self.center is None:
            return int((self.squares == 0).sum())
        return sum(int((~_raw(self, part).any(axis=1)).sum()) for part in spans(len(self), self.part))

    def rows(self, rows: slice | npt.NDArray[np.integer[Any]]) -> Single:
        """Some rows as float32 (n, D), about the center where there is one."""
        raw = _raw(self, rows)
        if self.center is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                raw = raw - self.center.astype(np.float32 if raw.dtype == np.float32 else np.float64)
        return np.ascontiguousarray(raw, dtype=np.float32)

    def products(self, query: Single, out: Single | None = None, rows: slice | None = None) -> Single:
        """Inner products (b, n) of query rows (b, D) with every row here, or with some consecutive ones."""
        rows = slice(0, len(self)) if rows is None else rows
        out = np.empty((len(query), rows.stop - rows.start), dtype=np.float32) if out is None else out
        if self.tensor is not None:
            there, own = torch.from_numpy(query).to(self.tensor.device), self.tensor[rows].float()
            if self.center is not None:
                own = own - torch.from_numpy(self.center.astype(np.float32)).to(own.device)
            out[:] = (there @ own.T).cpu().numpy()
        else:
            with np.errstate(over="ignore", invalid="ignore"):  # only in rows already known to be broken
                self._multiply(query, cast("Block", self.array), out, rows)
        return out

    def _multiply(self, query: Single, array: Block, out: Single, rows: slice) -> None:
        if array.dtype == np.float32 and self.center is None:
            np.matmul(query, array[rows].T, out=out)
            return
        for part in spans(rows.stop - rows.start, self.part):
            there = slice(rows.start + part.start, rows.start + part.stop)
            np.matmul(query, self.rows(there).T, out=out[:, part])


def _raw(features: Features, rows: slice | npt.NDArray[np.integer[Any]]) -> Block:
    """Some rows as they were given, half types of an accelerator as float32."""
    if features.tensor is not None:
        return cast("Single", features.tensor[rows].float().cpu().numpy())
    return cast("Block", features.array)[rows]


def center_of(values: Matrix, memory: int = MEMORY) -> Block:
    """A middle (D,) of the vectors, in float64: the median of some of them, those that hold no number left out.

    Squared distances that are expanded, |x|^2 + |y|^2 - 2 x.y, are exact only near the origin, and do not change
    when one vector is taken off all.
    """
    features = Features("features", values, "worst", memory)
    sound = np.setdiff1d(np.arange(len(features)), features.broken)
    if not len(sound):
        return np.zeros(features.dim)
    some = sound[np.linspace(0, len(sound) - 1, min(len(sound), _MIDDLE)).round().astype(np.int64)]
    return np.asarray(np.median(_raw(features, some).astype(np.float64), axis=0))


def spans(length: int, step: int) -> Iterator[slice]:
    """Consecutive slices that cover range(length)."""
    step = max(1, step)
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def as_array(name: str, values: Matrix) -> Block:
    """A matrix as numpy sees it, without a copy where that is possible."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float().numpy() if values.dtype == torch.bfloat16 else values.numpy()
    array = np.asarray(values)
    if array.ndim != 2 or 0 in array.shape:
        raise EvaluationError(f"{name} must be a matrix with at least one row and column, but has shape {array.shape}.")
    if array.dtype.kind not in "fiu":
        raise EvaluationError(f"{name} must hold real numbers, but holds {array.dtype}.")
    return array


def _squares(rows: Single) -> Single:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.einsum("nd,nd->n", rows, rows), dtype=np.float32)
