"""Pictures and what is known about them, from what a user names: folders, tables, zip and tar archives.

Archives are read, never unpacked: a name in one is only a text.
"""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from resight.data.formats.csv_rows import rows_of
from resight.data.formats.filenames import LeftOut, kind_of, reason_of, walk
from resight.data.loading.decode import MAX_BYTES, read
from resight.errors import DatasetError, ImageError, NotFoundError, UsageError, printable
from resight.files import read_text
from resight.gallery.ingest.source_metadata import Known, NamePattern, from_exif
from resight.gallery.records import moment, text

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS = ("pid", "camera", "time", "label", "note")
TABLES, LISTS = (".csv", ".parquet"), (".txt", ".lst")
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")
SIDECAR_BYTES = 65_536


@dataclass(frozen=True)
class Picture:
    """One picture to index.  `data` is None where it could not be read, and `reason` says why."""

    source: str
    known: Known
    data: bytes | None = None
    reason: str = ""


@dataclass(frozen=True)
class Reading:
    """Where camera, time and the rest come from; what is named first wins.

    A table's own columns; `given`, what the command says of all; the name `pattern`; `sidecars`, JSON files beside the
    pictures (a.jpg.json or a.json); `exif`, for the time only.
    """

    given: Known = field(default_factory=dict)
    pattern: NamePattern | None = None
    sidecars: bool = False
    exif: bool = False

    def complete(self, listed: Known, name: str, sidecar: Known, data: bytes) -> Known:
        found: Known = from_exif(data) if self.exif else {}
        found |= sidecar | (self.pattern.read(name) if self.pattern else {}) | self.given | listed
        return found


def pictures_of(
    where: Path, reading: Reading, share: tuple[int, int] = (0, 1), left_out: LeftOut | None = None
) -> Iterator[Picture]:
    """Every picture of a folder, table, list, archive or file, one after the other, in a fixed order.

    Args:
        where: what to read.
        reading: where camera, time and the rest come from.
        share: (r, W) reads only every W-th picture, beginning with the r-th.
        left_out: counts the files of a folder or archive that are not read.

    Raises:
        NotFoundError: there is no `where`.
        DatasetError: it cannot be read at all.
    """
    left_out = LeftOut() if left_out is None else left_out
    if not where.exists():
        raise NotFoundError(
            f"there is no {where}; give a picture, a folder, a .csv, .parquet or .txt list, or an archive."
        )
    suffix = where.suffix.lower()
    if where.is_dir():
        yield from _files(((path, {}) for path in _walk(where, left_out, reading.sidecars)), where, reading, share)
    elif suffix in TABLES:
        yield from _files(_table(where), where.parent, reading, share)
    elif suffix in LISTS:
        paths = [where.parent / line.strip() for line in read_text(where).splitlines() if line.strip()]
        yield from _files(((path, {}) for path in paths), where.parent, reading, share)
    elif suffix == ".zip":
        yield from _members(where, _zip(where, share, left_out), reading)
    elif suffix in ARCHIVES:
        yield from _members(where, _tar(where, share, left_out), reading)
    else:
        yield from _files([(where, {})], where.parent, reading, share)


def count_of(where: Path) -> int | None:
    """How many pictures a folder, table or zip has, for the progress; None where that takes reading it all."""
    suffix = where.suffix.lower()
    if where.is_dir():
        return sum(1 for _ in _walk(where, LeftOut(), sidecars=True))
    if suffix in TABLES:
        return sum(1 for _ in _table(where))
    return None if suffix in (*ARCHIVES, *LISTS) else 1


def _walk(folder: Path, left_out: LeftOut, sidecars: bool) -> Iterator[Path]:
    """Pictures below a folder, sorted within each; what else is there is counted in `left_out`."""
    try:
        for kind, path in walk(folder, folder):
            if kind == "pictures":
                yield path
            elif not (sidecars and path.suffix.lower() == ".json"):
                left_out.add(reason_of(kind, path.name), path.relative_to(folder).as_posix())
    except OSError as error:
        raise DatasetError(f"{folder} cannot be listed: {error.strerror}.") from error


def _table(where: Path) -> Iterator[tuple[Path, Known]]:
    """Paths, relative to the table, and what its columns say."""
    rows: Iterator[Mapping[str, Any]]
    if where.suffix.lower() == ".csv":
        rows = (row for _, row in rows_of(where, ["path"], "path, perhaps pid, camera, time, label, note"))
    else:
        rows = _parquet_rows(where)
    for row in rows:
        yield where.parent / str(row["path"]), _known(row, where)


def _known(said: Mapping[str, Any], where: Path) -> Known:
    """What a row of a table or a sidecar says.  Raises DatasetError for a value that no record can have."""
    given = {name: said.get(name) for name in COLUMNS}
    if given["camera"] in (None, ""):
        given["camera"] = said.get("camid")
    try:
        known = {
            name: moment(_seconds(value)) if name == "time" else text(_whole(value), f"{name}s")
            for name, value in given.items()
            if value not in (None, "")
        }
    except UsageError as error:
        raise DatasetError(f"{where}: {error}") from error
    return {name: value for name, value in known.items() if value is not None}


def _seconds(value: Any) -> Any:
    """A text that is a number as that number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _whole(value: Any) -> Any:
    """7 for 7.0, as pandas keeps whole numbers of a column with gaps."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parquet_rows(where: Path) -> Iterator[Mapping[str, Any]]:
    from resight.gallery.transfer import open_parquet

    with open_parquet(where) as file:
        if "path" not in file.schema_arrow.names:
            raise DatasetError(f"{where} has no column path; it has {', '.join(file.schema_arrow.names)}.")
        names = [name for name in ("path", "camid", *COLUMNS) if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=names):
            yield from batch.to_pylist()


def _files(listed: Any, root: Path, reading: Reading, share: tuple[int, int]) -> Iterator[Picture]:
    for number, (path, known) in enumerate(listed):
        if number % share[1] != share[0]:
            continue
        source = printable(str(path.absolute()))  # a name that is no UTF-8 cannot be kept as it is
        try:
            data = bytes(read(path))
        except ImageError as error:
            yield Picture(source, known, reason=str(error))
            continue
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        sidecar = _sidecar(path) if reading.sidecars else {}
        yield Picture(source, reading.complete(known, printable(name), sidecar, data), data)


def _sidecar(path: Path) -> Known:
    """The JSON beside a picture.  Raises DatasetError for one that is no object of known names."""
    for beside in (path.with_name(path.name + ".json"), path.with_suffix(".json")):
        if beside.is_file():
            try:
                return _known(json.loads(bytes(read(beside))[:SIDECAR_BYTES]), beside)
            except (ValueError, AttributeError, RecursionError) as error:
                raise DatasetError(f"{beside} is no JSON object with any of {', '.join(COLUMNS)}.") from error
    return {}


def _members(where: Path, members: Iterator[tuple[str, bytes | str]], reading: Reading) -> Iterator[Picture]:
    """Pictures of an archive; a text in place of bytes says why a member was not read."""
    for name, data in members:
        source = printable(f"{where.absolute()}/{name}")
        if isinstance(data, str):
            yield Picture(source, {}, reason=f"{where}: {name} {data}")
        else:
            yield Picture(source, reading.complete({}, printable(name), {}, data), data)


def _taken(name: str, left_out: LeftOut) -> bool:
    """Whether a member of an archive is a picture; what is neither that nor hidden is counted."""
    if any((part[0] == "." and part != "..") or part == "__MACOSX" for part in PurePosixPath(name).parts):
        return False
    kind = kind_of(name)
    if kind != "pictures":
        left_out.add(reason_of(kind, name), name)
    return kind == "pictures"


def _zip(where: Path, share: tuple[int, int], left_out: LeftOut) -> Iterator[tuple[str, bytes | str]]:
    try:
        with zipfile.ZipFile(where) as archive:
            names = [info for info in archive.infolist() if not info.is_dir() and _taken(info.filename, left_out)]
            for info in names[share[0] :: share[1]]:
                if info.flag_bits & 1:
                    yield info.filename, "is encrypted; decrypt the archive first."
                    continue
                try:
                    with archive.open(info) as member:
                        data = member.read(MAX_BYTES + 1)
                except Exception as error:  # zipfile passes on whatever the decompressor meets
                    yield info.filename, f"cannot be read: {error}."
                    continue
                yield info.filename, data if len(data) <= MAX_BYTES else f"has more than {MAX_BYTES:,} bytes."
    except (zipfile.BadZipFile, OSError) as error:
        raise DatasetError(f"{where} is no zip archive that can be read: {error}.") from error


def _tar(where: Path, share: tuple[int, int], left_out: LeftOut) -> Iterator[tuple[str, bytes | str]]:
    number = -1
    try:
        with tarfile.open(where, "r|*") as archive:
            for info in archive:
                if not info.isreg() or not _taken(info.name, left_out):
                    continue
                number += 1
                if number % share[1] != share[0]:
                    continue
                member = archive.extractfile(info)
                if info.size > MAX_BYTES or member is None:
                    yield info.name, f"has {info.size:,} bytes; a picture may have {MAX_BYTES:,}."
                    continue
                yield info.name, member.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DatasetError(f"{where} is no tar archive that can be read: {error}.") from error
