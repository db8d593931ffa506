"""The parts a search goes through: vectors with codes, and the tail of vectors that have none yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.gallery.embedded.neighbors import NOTHING, Codes, Mask, Positions, exact, nothing, score

if TYPE_CHECKING:
    from resight.gallery.backend import Vectors
    from resight.gallery.embedded.columns import Columns
    from resight.types import Metric

FETCH = 4096  # vectors read from the record at a time
FEW = 2_500  # kept rows of a part that are compared one and all
WIDEST = 8  # candidates are at most an 8th of a part; beyond, comparing what is kept is as quick


@dataclass(frozen=True)
class Part:
    """Vectors to search and their positions in the columns; a slice where these follow one another, as they mostly do.

    A mask over the columns is then cut, not gathered: a million rows take milliseconds to gather.
    """

    vectors: Vectors
    at: Positions | slice
    codes: Codes | None = None

    @classmethod
    def of(cls, vectors: Vectors, at: Positions, codes: Codes | None = None) -> Part:
        together = len(at) > 0 and int(at[-1]) - int(at[0]) == len(at) - 1
        return cls(vectors, slice(int(at[0]), int(at[-1]) + 1) if together else at, codes)

    def in_columns(self, found: Positions) -> Positions:
        """Positions in the part as positions in the columns."""
        return np.where(found < 0, NOTHING, found + self.at.start if isinstance(self.at, slice) else self.at[found])


def search_part(
    queries: Vectors, part: Part, k: int, metric: Metric, keep: Mask, candidates: int
) -> tuple[Vectors, Positions]:
    """Scores and positions (Q, k) in one part; candidates: scored exactly for each query, 0 for all."""
    kept = int(np.count_nonzero(keep))
    if part.codes is None or not candidates or kept <= FEW:
        return exact(queries, part.vectors, k, metric, keep)
    need = min(kept, candidates)
    scores, positions = nothing(len(queries), k)
    waiting, wide = np.arange(len(queries)), int(need * len(keep) / kept * 1.1) + 1
    while len(waiting) and wide <= len(keep) // WIDEST:
        found = part.codes.candidates(queries[waiting], wide)
        passed = keep[found]
        enough = np.count_nonzero(passed, axis=1) >= need
        for query, row, passes in zip(waiting[enough], found[enough], passed[enough], strict=True):
            scores[query], positions[query] = _rescored(queries[query], part.vectors, row[passes][:need], k, metric)
        waiting, wide = waiting[~enough], 4 * wide
    if len(waiting):
        scores[waiting], positions[waiting] = exact(queries[waiting], part.vectors, k, metric, keep)
    return scores, positions


def _rescored(query: Vectors, vectors: Vectors, found: Positions, k: int, metric: Metric) -> tuple[Vectors, Positions]:
    """The k best of the candidates by their vectors, padded."""
    found = np.sort(found)
    scores = score(query, vectors[found], metric)
    order = np.lexsort((found, -scores))[:k]
    lacking = k - len(order)
    return np.pad(scores[order], (0, lacking), constant_values=-np.inf), np.pad(
        found[order], (0, lacking), constant_values=NOTHING
    )


class Tail:
    """Rows and vectors that are in no segment.  Appended to; a search keeps the length it began with."""

    def __init__(self, dim: int) -> None:
        self.n = 0
        self._rows, self._vectors = np.empty(0, np.int64), np.empty((0, dim), np.float32)

    @property
    def rows(self) -> Positions:
        return self._rows[: self.n]

    @property
    def last(self) -> int:
        return int(self._rows[self.n - 1]) if self.n else 0

    def part(self, columns: Columns) -> Part:
        return Part.of(self._vectors[: self.n], columns.positions(self.rows)[0])

    def append(self, lines: Any) -> None:
        """Lines (row, vector) in order."""
        while block := lines.fetchmany(FETCH):
            end = self.n + len(block)
            if end > len(self._rows):
                size = max(end, 2 * self.n)
                rows, vectors = np.empty(size, np.int64), np.empty((size, self._vectors.shape[1]), np.float32)
                rows[: self.n], vectors[: self.n] = self.rows, self._vectors[: self.n]
                self._rows, self._vectors = rows, vectors
            self._rows[self.n : end] = [row for row, _ in block]
            self._vectors[self.n : end] = np.frombuffer(b"".join(v for _, v in block), np.float32).reshape(
                len(block), -1
            )
            self.n = end

    def drop(self, last: int) -> None:
        """Forget rows up to `last`, which are in a segment now."""
        start = int(np.searchsorted(self.rows, last, "right"))
        if start:
            self._rows, self._vectors = self.rows[start:].copy(), self._vectors[start : self.n].copy()
            self.n -= start
