"""Interface of a gallery's back-end.  `Gallery` has checked everything that arrives here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from resight.gallery.records import Field, Filter, Record

if TYPE_CHECKING:
    from resight.gallery.database import Database

Vectors = npt.NDArray[np.float32]
Found = list[tuple[Record, float]]  # records and their similarity, most similar first
BLOCK = 1000  # records at a time


class Neighbors(Protocol):
    """Finds neighbors among vectors."""

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]: ...

    def nearest(self, queries: Vectors, k: int, where: Filter, exact: bool) -> list[Found]:
        """At most k records for each query (Q, D); fewer only where fewer match."""
        ...


class Backend(Neighbors, Protocol):
    """Stores records and vectors and finds neighbors.

    A call that returns is acknowledged: its effect survives a crash, and every later call of any process sees it.
    """

    database: Database  # settings, pictures, log and marks, whatever holds the vectors

    def upsert(self, records: Sequence[Record], vectors: Vectors, pictures: Sequence[bytes | None]) -> int:
        """Add records (n,), vectors (n, D); ids differ.  Of an id that is there, the vector and what is given replace
        the old and the rest stays.  Returns how many ids are new."""
        ...

    def update(self, ids: Sequence[str], changes: dict[str, Any]) -> int:
        """Set fields of records; returns how many were there."""
        ...

    def delete(self, where: Filter) -> list[str]:
        """Delete records, vectors and pictures; returns their ids."""
        ...

    def fetch(self, ids: Sequence[str]) -> dict[str, Record]: ...

    def pictures(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The thumbnails of those records that are there and have one."""
        ...

    def page(self, where: Filter, after: str, limit: int) -> list[Record]:
        """The first `limit` records whose id is larger than `after`, by id."""
        ...

    def count(self, where: Filter) -> int: ...

    def facets(self, field: Field, where: Filter) -> list[tuple[str | None, int]]:
        """Values of a field and how many records have them, in no order."""
        ...

    def optimize(self) -> None:
        """Bring what speeds up a search up to date."""
        ...

    def compact(self) -> None:
        """Leave no trace of what was deleted in any file."""
        ...

    def problems(self) -> list[str]:
        """What is damaged, one sentence each."""
        ...

    def stats(self) -> dict[str, Any]: ...

    def close(self) -> None: ...


def every(backend: Backend, where: Filter) -> Iterator[tuple[list[Record], Vectors]]:
    """Every record that matches with its vector, by id, a block at a time."""
    after = ""
    while page := backend.page(where, after, BLOCK):
        after = page[-1].id
        vectors = backend.vectors([record.id for record in page])
        kept = [record for record in page if record.id in vectors]  # the others have just been deleted
        if kept:
            yield kept, np.stack([vectors[record.id] for record in kept])
