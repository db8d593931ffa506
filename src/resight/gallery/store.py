"""The records of a gallery: opening, adding, changing, deleting, reading."""

from __future__ import annotations

import getpass
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import numpy.typing as npt

from resight.errors import GalleryError, GalleryNotFoundError, UsageError
from resight.gallery.backend import Backend, Vectors
from resight.gallery.database import NAME, Database
from resight.gallery.embedded.embedded import Embedded
from resight.gallery.intake import check_identity, checked_vectors, identity, merged, other_model, record_of
from resight.gallery.milvus.milvus import Milvus
from resight.gallery.pictures import thumbnail as make_thumbnail
from resight.gallery.records import FIELDS, PLURAL, Conditions, Field, Filter, Moment, Record, column, moment, text

if TYPE_CHECKING:
    from typing import Self

    from resight.evaluation import Calibration
    from resight.types import Metric

Records = list[Record]  # `list` is a method below
Counts = list[tuple[str | None, int]]
Texts = list[str]
DAY = 86_400.0
CHUNK = 4096  # records a transaction


class Store:
    """A gallery's records: opening, adding, changing, deleting, reading.  `Gallery` adds searching and care.

    dim, metric, fingerprint: of the vectors it holds.  calibration: turns similarities into probabilities.
    settings: what was fixed when it was made.  actor: who acts, for the log.
    """

    def __init__(
        self, folder: Path, backend: Backend, settings: dict[str, Any],
        calibration: Calibration | None = None, actor: str | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.backend, self.settings = folder, backend, settings
        self.dim: int = settings["dim"]
        self.metric: Metric = settings["metric"]
        self.fingerprint: str = settings["fingerprint"]
        self.calibration = calibration
        self.actor = _user() if actor is None else actor
        self._prior = [0.0, 0.5]  # when to count again, and the chance; copies that act for others share it

    @classmethod
    def open(
        cls, path: str | Path, *, model: Any = None, dim: int | None = None, metric: Metric | None = None,
        fingerprint: str | None = None, thumbnail: int = 256, audit: bool = False, server: str = "",
        collection: str = "", index: str = "FLAT", calibration: Calibration | None = None, actor: str | None = None,
    ) -> Self:  # fmt: skip
        """Open the gallery in a folder, or make one where there is none and `model` or `dim` is given.

        Args:
            path: the folder.
            model: the model its vectors come from; a gallery made for another one is refused.
            dim: width of the vectors, for vectors of your own.  metric: "cosine" if not said otherwise.
            fingerprint: names where vectors of your own come from.
            thumbnail: longest side in pixels of the pictures kept in a new gallery; 0 keeps none.
            audit: log every change and search of a new gallery; deletions are always logged.
            server, collection, index: keep a new gallery's records and vectors on a Milvus server, such as
                "http://localhost:19530", in a collection with one of Milvus's indexes; pictures stay in the folder.
            calibration: for probabilities.
            actor: who acts, for the log; the user's name if not given.

        Raises:
            GalleryError: there is no gallery and nothing to make one from; it is damaged; or it is another model's.
        """
        folder = Path(path)
        wanted = identity(model, dim, metric, fingerprint)
        database = Database.open(folder / NAME)
        if database is None:
            if "dim" not in wanted:
                raise GalleryNotFoundError(
                    f"there is no gallery in {folder}. Make one with: resight index MODEL PICTURES --gallery {folder}"
                )
            if thumbnail < 0:
                raise UsageError(f"thumbnail={thumbnail}: give the longest side in pixels, or 0 to keep no pictures.")
            fixed = {"thumbnail": thumbnail, "audit": audit, "created": clock.time()}
            held = {"server": server, "collection": collection, "index": index}
            made = {"metric": "cosine", "fingerprint": "", **wanted, **fixed, **held}
            database = (Milvus if server else Embedded).create(folder, made)
        settings = database.settings()
        try:
            check_identity(folder, settings, wanted)
            backend: Backend = (
                Milvus(database, settings)
                if settings["server"]
                else Embedded(folder, database, settings["dim"], settings["metric"])
            )
        except BaseException:
            database.close()
            raise
        return cls(folder, backend, settings, calibration, actor)

    @classmethod
    def create(cls, path: str | Path, **options: Any) -> Self:
        """Like `open`, for a folder that holds no gallery yet."""
        if (Path(path) / NAME).exists():
            raise GalleryError(f"there is a gallery in {path} already; open it, or choose another folder.")
        return cls.open(path, **options)

    def remember(self, **settings: Any) -> None:
        """Keep something with the gallery, such as the name of its model, in `settings`."""
        self.backend.database.set(**settings)
        self.settings |= settings

    def close(self) -> None:
        self.backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.count()

    # writing

    def add(
        self, vectors: npt.ArrayLike, *, ids: Sequence[str | None] | None = None, pids: Sequence[Any] | None = None,
        cameras: Sequence[Any] | None = None, times: Sequence[Any] | None = None,
        sources: Sequence[str | None] | None = None, labels: Sequence[Any] | None = None,
        notes: Sequence[Any] | None = None, images: Sequence[Any] | None = None, fingerprint: str | None = None,
    ) -> Texts:  # fmt: skip
        """Add records, or update those whose id is there: the vector and what is given replace the old.

        Args:
            vectors: (N, D) of this gallery's model; brought to unit length where the metric is cosine.
            ids: without them an id is the hash of picture (of the vector where there is none), source, camera, time.
            pids, cameras, times, labels, notes: one entry a vector, None where unknown.  Whole numbers become text;
                a time is seconds since 1970, a datetime or ISO 8601 text, in UTC where it has no zone.
            sources: where each picture comes from; the path where `images` are paths.
            images: paths, bytes, PIL images or RGB arrays; a thumbnail of each is kept.
            fingerprint: of the model the vectors come from, to be checked.

        Returns:
            The ids, in the order of the vectors.

        Raises:
            GalleryError: vectors of another width or model, or not finite.
            ImageError: an image cannot be read; nothing of this call from its block of records on is added.
        """
        self._check_fingerprint(fingerprint)
        rows = checked_vectors(vectors, self.dim, self.metric)
        given = {"ids": ids, "pids": pids, "cameras": cameras, "times": times, "sources": sources, "labels": labels,
                 "notes": notes, "images": images}  # fmt: skip
        columns = {name: column(values, len(rows), name) for name, values in given.items()}
        added: Texts = []
        for start in range(0, len(rows), CHUNK):
            part = {name: values[start : start + CHUNK] for name, values in columns.items()}
            added += self._add(rows[start : start + CHUNK], part)
        return added

    def _add(self, vectors: Vectors, columns: Mapping[str, Sequence[Any]]) -> Texts:
        """One transaction.  The last of several with one id counts, with what only an earlier one says kept."""
        now, longest = clock.time(), self.settings["thumbnail"]
        latest: dict[str, tuple[Record, Vectors, bytes | None]] = {}
        ids = []
        for at, vector in enumerate(vectors):
            entry = {name: values[at] for name, values in columns.items()}
            record, data = record_of(entry, vector, now)
            picture = make_thumbnail(entry["images"], data, longest) if data is not None and longest else None
            if (before := latest.get(record.id)) is not None:
                record, picture = merged(before[0], record), picture or before[2]
            latest[record.id] = record, vector, picture
            ids.append(record.id)
        records, rows, pictures = zip(*latest.values(), strict=True)
        new = self.backend.upsert(records, np.stack(rows), pictures)
        self._log("add", records=len(records), new=new)
        return ids

    def update(self, ids: str | Sequence[str], **changes: Any) -> int:
        """Set pid, camera, time, source, label or note of records; None clears.  Returns how many there were."""
        known = [name for name in PLURAL if name != "id"]
        clean: dict[str, Any] = {}
        for name, value in changes.items():
            if name not in known:
                raise UsageError(f"a record has no field {name!r} to set. Known: {', '.join(known)}.")
            clean[name] = moment(value) if name == "time" else text(value, PLURAL[name])
        if "source" in clean:
            clean["source"] = clean["source"] or ""
        ids = [ids] if isinstance(ids, str) else list(ids)
        if not clean or not ids:
            return 0
        done = self.backend.update(ids, clean)
        self._log("update", records=done, fields=sorted(clean))
        return done

    def delete(
        self, ids: str | Sequence[str] | None = None, *, where: Filter | None = None, everything: bool = False,
        **conditions: Unpack[Conditions],
    ) -> int:  # fmt: skip
        """Delete records with their vectors and pictures, by id, `pids=`, any other condition, or a filter.

        They are gone from every answer at once; `compact` removes the last trace from the files.

        Returns:
            How many were deleted.

        Raises:
            UsageError: nothing was asked for; `everything=True` empties the gallery.
        """
        chosen = Filter.of(where, conditions)
        if ids is not None:
            chosen = replace(chosen, ids=(ids,) if isinstance(ids, str) else tuple(ids))
        if not chosen and not everything:
            raise UsageError("delete what? Give ids, pids or another condition, or everything=True.")
        gone = self.backend.delete(chosen)
        if gone:
            self.note("delete", records=len(gone), ids=gone[:1000])
        return len(gone)

    def expire(self, keep_days: float, now: Moment | None = None) -> int:
        """Delete what is older than so many days, by its time, or by when it was added where it has none."""
        if not keep_days >= 0:
            raise UsageError(f"keep_days={keep_days}: give a number of days, 0 or more.")
        return self.delete(older_than=(clock.time() if now is None else moment(now) or 0.0) - keep_days * DAY)

    # reading

    def get(self, id: str) -> Record | None:
        """The record, or None."""
        return self.backend.fetch([id]).get(id)

    def list(
        self, *, limit: int = 100, after_id: str = "", where: Filter | None = None, **conditions: Unpack[Conditions]
    ) -> Records:  # fmt: skip
        """Records by id, `limit` at a time; the next page starts after the last id of this one."""
        if limit < 1:
            raise UsageError(f"limit={limit}; give at least 1.")
        return self.backend.page(Filter.of(where, conditions), after_id, limit)

    def count(self, *, where: Filter | None = None, **conditions: Unpack[Conditions]) -> int:
        """How many records there are, or match."""
        return self.backend.count(Filter.of(where, conditions))

    def facets(
        self, field: Field, *, where: Filter | None = None, **conditions: Unpack[Conditions]
    ) -> Counts:  # fmt: skip
        """Values of pid, camera, label or source and how many records have them, the most frequent first."""
        if field not in FIELDS:
            raise UsageError(f"facets of {field!r} are not counted; choose {', '.join(FIELDS)}.")
        found = self.backend.facets(field, Filter.of(where, conditions))
        return sorted(found, key=lambda pair: (-pair[1], pair[0] is None, pair[0] or ""))

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Vectors (N, D) of records.  Raises GalleryNotFoundError for an id that is not there."""
        found = self.backend.vectors(ids)
        if missing := [id for id in ids if id not in found]:
            raise GalleryNotFoundError(f"there is no record {missing[0]!r} in {self.folder}.")
        return np.stack([found[id] for id in ids]) if ids else np.empty((0, self.dim), np.float32)

    def picture(self, id: str) -> bytes | None:
        """The thumbnail of a record as JPEG, or None."""
        return self.pictures([id]).get(id)

    def pictures(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The thumbnails of those records that have one, as JPEG."""
        return self.backend.pictures(ids)

    # inside

    def _check_fingerprint(self, fingerprint: str | None) -> None:
        if fingerprint is not None and fingerprint != self.fingerprint:
            raise other_model(self.folder, self.fingerprint, fingerprint)

    def _log(self, action: str, **detail: Any) -> None:
        if self.settings["audit"]:
            self.note(action, **detail)

    def note(self, action: str, actor: str | None = None, **detail: Any) -> None:
        """Write a line into the log, for whoever acts on behalf of several users."""
        self.backend.database.log(self.actor if actor is None else actor, action, **detail)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry for this user
        return ""
