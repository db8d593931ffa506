"""Galleries to and from files, other galleries and other models: Parquet, backup, copy, re-embedding."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.errors import GalleryError, GalleryNotFoundError, ImageError
from resight.files import pyarrow, refuse_overwriting, write_atomically
from resight.gallery.backend import BLOCK, every
from resight.gallery.database import NAME, Database
from resight.gallery.intake import check_identity, checked_vectors, record_of
from resight.gallery.pictures import thumbnail
from resight.gallery.records import PLURAL, Filter, Record, moment

if TYPE_CHECKING:
    from resight.gallery.backend import Vectors
    from resight.gallery.store import Store

Part = tuple[list[Record], "Vectors", list[bytes | None]]
TEXTS = ("id", "pid", "camera", "source", "label", "note")
Embed = Callable[[Sequence[Any]], "Vectors"]


def parts(gallery: Store) -> Iterator[Part]:
    """Every record with its vector and picture, by id."""
    for records, vectors in every(gallery.backend, Filter()):
        shown = gallery.pictures([record.id for record in records])
        yield records, vectors, [shown.get(record.id) for record in records]


def copy(source: Store, target: Store) -> int:
    """Copy every record into another gallery of the same model, whatever its back-end; returns how many.

    Started again after a stop it does the rest: what is there is only written once more.
    """
    check_identity(target.folder, target.settings, {"dim": source.dim, "metric": source.metric,
                                                    "fingerprint": source.fingerprint})  # fmt: skip
    done = 0
    for records, vectors, pictures in parts(source):
        target.backend.upsert(records, vectors, pictures)
        done += len(records)
    return done


def export_parquet(gallery: Store, path: Path) -> int:
    """Write every record, vector and picture into one file; returns how many records."""
    arrow, parquet = pyarrow()
    meta = {f"resight.{name}": str(getattr(gallery, name)) for name in ("fingerprint", "metric", "dim")}
    schema = arrow.schema(
        [*((name, arrow.string()) for name in TEXTS), ("time", arrow.float64()), ("added", arrow.float64()),
         ("vector", arrow.list_(arrow.float32(), gallery.dim)), ("picture", arrow.binary())],
        metadata=meta,
    )  # fmt: skip
    done = 0

    def write(partial: Path) -> None:
        nonlocal done
        with parquet.ParquetWriter(partial, schema) as writer:
            for records, vectors, pictures in parts(gallery):
                columns = {name: [getattr(r, name) for r in records] for name in (*TEXTS, "time", "added")}
                flat = arrow.FixedSizeListArray.from_arrays(arrow.array(vectors.reshape(-1)), gallery.dim)
                writer.write_table(arrow.table({**columns, "vector": flat, "picture": pictures}, schema=schema))
                done += len(records)

    refuse_overwriting([path], gallery.folder.rglob("*"))
    write_atomically(path, write)
    return done


def import_parquet(gallery: Store, path: Path) -> int:
    """Add the records of a file that `export_parquet` wrote; returns how many.

    Everything in it is checked as `Gallery.add` checks; pictures are decoded and written anew.
    Raises GalleryError for a file of another model, or one that is no such file.
    """
    done = 0
    if not path.exists():
        raise GalleryNotFoundError(f"there is no file {path}.")
    with open_parquet(path) as file:
        try:
            meta = file.schema_arrow.metadata or {}
            theirs = {name: meta[f"resight.{name}".encode()].decode() for name in ("fingerprint", "metric", "dim")}
            check_identity(gallery.folder, gallery.settings, theirs | {"dim": int(theirs["dim"])})
            for batch in file.iter_batches(BLOCK):
                _import_batch(gallery, batch)
                done += len(batch)
        except (KeyError, ValueError) as error:
            raise GalleryError(f"{path} is not a Parquet file of a gallery: {error}.") from error
    return done


def _import_batch(gallery: Store, batch: Any) -> None:
    lists = batch.column("vector")
    vectors = checked_vectors(lists.flatten().to_numpy().reshape(len(batch), -1), gallery.dim, gallery.metric)
    columns = {name: batch.column(name).to_pylist() for name in (*TEXTS, "time", "added", "picture")}
    records, pictures = {}, {}
    for at, vector in enumerate(vectors):
        entry = {plural: columns[name][at] for name, plural in PLURAL.items()} | {"images": None}
        record, _ = record_of(entry, vector, moment(columns["added"][at]) or 0.0)
        data, longest = columns["picture"][at], gallery.settings["thumbnail"]
        records[record.id] = (record, vector)
        pictures[record.id] = thumbnail(data, data, longest) if data is not None and longest else None
    gallery.backend.upsert(
        [record for record, _ in records.values()], np.stack([v for _, v in records.values()]), list(pictures.values())
    )


def backup(gallery: Store, path: Path) -> None:
    """One file with everything, consistent while others write.  The index is not in it: it is made anew."""
    if gallery.settings["server"]:
        raise GalleryError(
            "the vectors of this gallery are on a Milvus server, which has a backup tool of its own; "
            "or write everything into one file: resight gallery export"
        )
    refuse_overwriting([path], gallery.folder.rglob("*"))
    write_atomically(path, lambda partial: gallery.backend.database.backup(partial))


def restore(path: Path, folder: Path) -> None:
    """Make a gallery in `folder` from a backup.  Raises GalleryError for a damaged file, or where a gallery is."""
    if (folder / NAME).exists():
        raise GalleryError(f"there is a gallery in {folder} already; restore into another folder.")
    if not path.is_file():
        raise GalleryNotFoundError(f"there is no backup {path}.")

    def write(partial: Path) -> None:
        shutil.copyfile(path, partial)
        try:
            database = Database.open(partial)
        except GalleryError as error:
            raise GalleryError(f"{path} is no backup of a gallery, or a damaged one. Use another.") from error
        if database is None:
            raise GalleryError(f"{path} holds no gallery; it is no backup of one. Use another.")
        try:
            if damage := database.damage():
                raise GalleryError(f"{path} is damaged: {damage[0]}. Use an older backup.")
        finally:
            database.close()

    write_atomically(folder / NAME, write)


def reembed(source: Store, target: Store, embed: Embed) -> list[Record]:
    """Fill a new gallery with the same records, their vectors made by another model from their pictures.

    The original file is taken where it can still be read, the kept picture otherwise.
    Returns the records that have neither; they are not in the new gallery.
    """
    lost: list[Record] = []
    for records, _, pictures in parts(source):
        found = [(r, p, image) for r, p in zip(records, pictures, strict=True) if (image := _image_of(r, p))]
        if found:
            vectors = checked_vectors(embed([image for *_, image in found]), target.dim, target.metric)
            target.backend.upsert([record for record, *_ in found], vectors, [picture for _, picture, _ in found])
        kept = {record.id for record, *_ in found}
        lost += [record for record in records if record.id not in kept]
    return lost


def _image_of(record: Record, picture: bytes | None) -> bytes | None:
    """Bytes that can be decoded."""
    from resight.data.loading.decode import decode, read

    for where in (record.source or None, picture):
        with contextlib.suppress(ImageError):
            data = bytes(read(where)) if isinstance(where, str) else where
            if data is not None:
                decode(data)
                return data
    return None


@contextlib.contextmanager
def open_parquet(path: Path) -> Iterator[Any]:
    """A Parquet file; pyarrow's errors as GalleryError."""
    arrow, parquet = pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (arrow.ArrowException, OSError) as error:
        raise GalleryError(f"{path} is not a Parquet file that can be read: {error}.") from error
