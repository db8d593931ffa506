"""Queries and gallery as one set of N = Q + G items, and the squared Euclidean distances among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from resight.errors import EvaluationError, UsageError
from resight.evaluation.distances import CACHE_ITEMS, MEMORY, Features, Matrix, Single, center_of, spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resight.evaluation.labels import IntArray
    from resight.types import Metric

Index = npt.NDArray[np.int32]

_PAIRS = 2**19  # numbers of a gathered set of vectors


class Joint:
    """Squared Euclidean distances among all items, of unit vectors where metric='cosine'.

    Items 0..Q-1 are the queries, Q..N-1 the gallery.  The features stay where they are.
    """

    def __init__(self, query: Matrix, gallery: Matrix, metric: Metric, memory: int = MEMORY) -> None:
        if metric not in ("cosine", "euclidean"):
            raise UsageError(f"metric={metric!r} is not a metric; choose cosine or euclidean.")
        center = center_of(gallery, memory) if metric == "euclidean" else None
        self.sides = (
            Features("query features", query, memory=memory, center=center),
            Features("gallery features", gallery, memory=memory, center=center),
        )
        if self.sides[0].dim != self.sides[1].dim:
            raise EvaluationError(
                f"query features have {self.sides[0].dim} dimensions but gallery features {self.sides[1].dim}."
            )
        self.metric = metric
        self.queries, self.gallery = len(self.sides[0]), len(self.sides[1])
        squares = np.concatenate([side.squares for side in self.sides])
        self.scale = np.concatenate([side.inverse_norms for side in self.sides])
        self.squares = squares * self.scale**2 if metric == "cosine" else squares

    def __len__(self) -> int:
        return self.queries + self.gallery

    @property
    def dim(self) -> int:
        return int(self.sides[0].dim)

    def vectors(self, items: IntArray | Index) -> Single:
        """Some items' vectors (n, D), of unit length under cosine."""
        out = np.empty((len(items), self.dim), dtype=np.float32)
        first = items < self.queries
        out[first] = self.sides[0].rows(items[first])
        out[~first] = self.sides[1].rows(items[~first] - self.queries)
        if self.metric == "cosine":
            out *= self.scale[items, None]
        return out

    def blocks(self, items: slice, columns: slice, memory: int) -> Iterator[tuple[slice, Single]]:
        """Distances of consecutive items to consecutive items: (b, n), in cache-sized pieces.

        They are the caller's to change, until the next piece is asked for.
        """
        width = columns.stop - columns.start
        most = max(1, min(2048, memory // (4 * (width + 4 * self.dim))))
        room = np.empty((min(most, items.stop - items.start), width), dtype=np.float32)
        for slab in spans(items.stop - items.start, most):
            start = items.start + slab.start
            product = room[: slab.stop - slab.start]
            self._products(np.arange(start, items.start + slab.stop), columns, product)
            for part in spans(len(product), min(CACHE_ITEMS, memory // 64) // width):
                rows = slice(start + part.start, start + part.stop)
                yield rows, self._distance(product[part], rows, columns)

    def _products(self, items: IntArray, columns: slice, out: Single) -> None:
        """-2 x.y for x among the items and y among the columns, y not yet of unit length."""
        vectors = self.vectors(items)
        vectors *= -2
        border = max(self.queries - columns.start, 0)  # columns before it are queries
        if border:
            self.sides[0].products(vectors, out[:, :border], slice(columns.start, self.queries))
        rest = slice(max(columns.start - self.queries, 0), columns.stop - self.queries)
        self.sides[1].products(vectors, out[:, border:], rest)

    def _distance(self, product: Single, rows: slice, columns: slice) -> Single:
        if self.metric == "cosine":
            product *= self.scale[columns]
        product += self.squares[columns]
        product += self.squares[rows, None]
        return np.maximum(product, 0, out=product)

    def pairs(self, left: IntArray, right: IntArray) -> Single:
        """Distances of the pairs (left[n], right[n]), (n,)."""
        out = np.empty(len(left), dtype=np.float32)
        for part in spans(len(left), _PAIRS // self.dim):
            dots = np.einsum("nd,nd->n", self.vectors(left[part]), self.vectors(right[part]))
            out[part] = self.squares[left[part]] + self.squares[right[part]] - 2 * dots
        return np.maximum(out, 0, out=out)
