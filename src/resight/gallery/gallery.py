"""`Gallery`: the searchable store of people."""

from __future__ import annotations

import json
import time as clock
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from resight.errors import GalleryNotFoundError
from resight.gallery import ranking, transfer
from resight.gallery.centered import Centered
from resight.gallery.intake import checked_vectors
from resight.gallery.ranking import Fuse, SameCamera
from resight.gallery.recall import Recall, measure
from resight.gallery.records import Conditions, Filter, Hit, LogEntry, Mark, Person, Record, column, text
from resight.gallery.store import Store
from resight.gallery.transfer import Embed

if TYPE_CHECKING:
    from typing import Self

    import numpy.typing as npt

    from resight.evaluation import Calibration, Reranking
    from resight.gallery.backend import Found, Neighbors

Hits = list[list[Hit]]


class Gallery(Store):
    """People that can be searched: records with vectors of one model, in one folder.

        gallery = Gallery.open("galleries/mall", model=model)      # made where there is none
        gallery.add(embed(paths), pids=pids, cameras=cameras, times=times, images=paths)
        for hit in gallery.search(embed("query.jpg"), k=10, exclude_cameras=["c3"])[0]:
            print(hit.id, hit.pid, hit.camera, hit.similarity)

    A call that returns is acknowledged: its effect survives a crash, and every later call of any process sees it.
    Threads may share a gallery; other processes open their own.  Many may read while one writes.

    dim, metric, fingerprint: of the vectors it holds.  calibration: turns similarities into probabilities.
    settings: what was fixed when it was made.
    """

    # searching

    def search(
        self, vectors: npt.ArrayLike, k: int = 10, *, exact: bool = False, min_similarity: float | None = None,
        fuse: Fuse | None = None, query_cameras: Sequence[Any] | None = None, query_pids: Sequence[Any] | None = None,
        same_camera: SameCamera = "keep", rerank: bool | Reranking = False, center_cameras: bool = False,
        fingerprint: str | None = None, where: Filter | None = None, **conditions: Unpack[Conditions],
    ) -> Hits:  # fmt: skip
        """Find the records nearest to each query vector.

        Args:
            vectors: (Q, D) or (D,), of this gallery's model.
            k: hits per query; fewer only where fewer records match.
            exact: compare with every vector, however large the gallery.
            min_similarity: hits below are left out; an empty answer means 'unknown'.
            fuse: the queries show one person and give one answer, by their "mean" vector or by the "max" of their
                similarities.
            query_cameras: one camera a query, for `same_camera` and `center_cameras`.
            query_pids: one person a query, for `same_camera`.
            same_camera: "keep"; "exclude" records of the query's camera; "exclude_same_pid", as benchmarks do, only
                those of the query's person in the query's camera.
            rerank: reorder the short list by k-reciprocal neighbors.
            center_cameras: subtract from both sides their camera's mean over the records, or that of all records where
                no camera is known.  Compares with every vector; hits carry no probability.
            fingerprint: of the model the vectors come from, to be checked.
            where: only records that meet this filter.
            conditions: those of a filter one by one (`cameras=`, `after=`, ...), in its place.

        Returns:
            For each query its hits, most similar first.

        Raises:
            GalleryError: the vectors are of another width or model, or not finite.
        """
        self._check_fingerprint(fingerprint)
        ranking.check_k(k)
        queries, chosen = checked_vectors(vectors, self.dim, self.metric), Filter.of(where, conditions)
        filters = ranking.same_camera(chosen, len(queries), same_camera, query_cameras, query_pids)
        among: Neighbors = self.backend
        if center_cameras:
            among = Centered(self.backend, self.metric)
            seen = column(query_cameras, len(queries), "query_cameras")
            queries = among.moved(queries, [text(camera, "cameras") for camera in seen])
        found = ranking.search(among, self.metric, queries, k, filters, exact=exact, fuse=fuse, rerank=rerank)
        self._log("search", queries=len(queries), k=k)
        calibration = None if center_cameras else self.calibration
        return [self._hits(hits, min_similarity, calibration) for hits in found]

    def search_ids(self, ids: Sequence[str], k: int = 10, **options: Any) -> Hits:
        """`search` with records of this gallery for queries; none of them is among the hits.

        Their cameras and persons are known, so `same_camera` needs nothing else.
        """
        ranking.check_k(k)
        records = self.backend.fetch(ids)
        vectors = self.vectors(ids)
        if options.get("same_camera", "keep") != "keep" or options.get("center_cameras"):
            options.setdefault("query_cameras", [records[id].camera for id in ids])
            options.setdefault("query_pids", [records[id].pid for id in ids])
        found = self.search(vectors, k + len(ids), **options)
        return [[hit for hit in hits if hit.id not in records][:k] for hits in found]

    def search_people(self, vectors: npt.ArrayLike, k: int = 10, **options: Any) -> list[list[Person]]:
        """Like `search`, for k persons instead of k records; a record without pid stands alone."""
        return ranking.people(lambda wide: self.search(vectors, wide, **options), k)

    def prior(self) -> float:
        """The chance beforehand that a record shows one given person: one in the number of its people where all are
        named, else one in the number of its records; at most an even one.  Counted anew each minute."""
        if clock.monotonic() >= self._prior[0]:
            named = self.facets("pid")
            people = self.count() if any(pid is None for pid, _ in named) else len(named)
            self._prior[:] = clock.monotonic() + 60, 1 / max(people, 2)
        return self._prior[1]

    def _hits(self, found: Found, least: float | None, calibration: Calibration | None) -> list[Hit]:
        kept = [(record, similarity) for record, similarity in found if least is None or similarity >= least]
        chances: Sequence[float | None] = [None] * len(kept)
        if calibration is not None and kept:
            chances = calibration.probability([s for _, s in kept], self.prior()).tolist()
        return [Hit.of(record, similarity, chance) for (record, similarity), chance in zip(kept, chances, strict=True)]

    # looking after

    def optimize(self) -> None:
        """Bring what speeds up a search up to date; worth a call after adding very much."""
        self.backend.optimize()

    def compact(self) -> None:
        """Leave no trace of what was deleted in any file of the folder, and give its space back."""
        self.backend.compact()
        self.note("compact")

    def verify(self) -> list[str]:
        """What is damaged, one sentence each; nothing where all is well."""
        return self.backend.problems()

    def stats(self) -> dict[str, Any]:
        """Counts, sizes and how searches are answered."""
        size = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        about = {"records": self.count(), "dim": self.dim, "metric": self.metric, "fingerprint": self.fingerprint}
        return about | {"bytes": size} | self.backend.stats()

    def mark(self, id: str, same: bool, similarity: float, query: str = "") -> None:
        """Keep a user's judgment of a hit: whether it shows the person asked for.

        A later mark of the same query and record replaces an earlier one.  Marks go when their record is deleted.
        """
        if self.get(id) is None:
            raise GalleryNotFoundError(f"there is no record {id!r} in {self.folder}.")
        query = text(query, "query") or ""
        with self.backend.database.writing() as sql:
            sql.execute("DELETE FROM marks WHERE id=? AND query=?", (id, query))
            row = (clock.time(), self.actor, id, query, float(similarity), bool(same))
            sql.execute("INSERT INTO marks VALUES (?, ?, ?, ?, ?, ?)", row)

    def marks(self) -> list[Mark]:
        """Every mark, in the order they were made."""
        query = "SELECT id, same, similarity, query, at, actor FROM marks ORDER BY at"
        with self.backend.database.reading() as sql:
            return [
                Mark(id=id, same=bool(same), similarity=similarity, query=asked, at=at, actor=actor)
                for id, same, similarity, asked, at, actor in sql.execute(query)
            ]

    def log(self, limit: int = 100) -> list[LogEntry]:
        """The latest lines of the log, newest first: every deletion, and with `audit` every change and search."""
        query = "SELECT at, actor, action, detail FROM log ORDER BY rowid DESC LIMIT ?"
        with self.backend.database.reading() as sql:
            return [
                LogEntry(at, actor, action, json.loads(detail))
                for at, actor, action, detail in sql.execute(query, (limit,))
            ]

    def measure_recall(self, k: int = 10, queries: int = 100, seed: int = 0) -> list[Recall]:
        """What share of the exact answer searches find on this very gallery, and how long they take."""
        return measure(self, self.search, k, queries, seed)

    # to and from other places

    def backup(self, path: str | Path) -> None:
        """Write one file with everything, consistent while others write; `restore` makes a gallery of it."""
        transfer.backup(self, Path(path))
        self.note("backup")

    @classmethod
    def restore(cls, backup: str | Path, path: str | Path) -> Self:
        """Make a gallery in a folder from a file that `backup` wrote, and open it."""
        transfer.restore(Path(backup), Path(path))
        return cls.open(path)

    def export_parquet(self, path: str | Path) -> int:
        """Write records, vectors and pictures into a Parquet file; returns how many records."""
        return transfer.export_parquet(self, Path(path))

    def import_parquet(self, path: str | Path) -> int:
        """Add the records of a Parquet file that `export_parquet` wrote; returns how many."""
        count = transfer.import_parquet(self, Path(path))
        self._log("import", records=count)
        return count

    def copy_to(self, target: Gallery) -> int:
        """Copy every record into another gallery of the same model, whatever its back-end; returns how many."""
        return transfer.copy(self, target)

    def reembed_to(self, target: Gallery, embed: Embed) -> list[Record]:
        """Fill a gallery of another model: `embed` turns each record's picture into its new vector.

        Returns the records that have no readable picture and are therefore left out.
        """
        return transfer.reembed(self, target, embed)
