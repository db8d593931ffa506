"""Atomic writes of files, text in any of the usual encodings, the folder of caches, and checks of where to write."""

from __future__ import annotations

import codecs
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from platformdirs import user_cache_dir

from resight.errors import CheckpointError, DatasetError, MissingExtraError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TORN = ("inline_container", "file write failed", "No space left")  # torch.save's words for a full disk
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file beside `path`, flush it, and rename it into place.

    Args:
        path: the file to write; its folder is made.
        write: fills the temporary file it is given.

    Raises:
        CheckpointError: the disk is full or not writable; what was at `path` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        with partial.open("r+b") as handle:  # Windows flushes only what may be written
            os.fsync(handle.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except Exception as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, CheckpointError):
            raise
        if isinstance(error, OSError) or any(word in str(error) for word in TORN):
            why = error if isinstance(error, OSError) else "the disk took only a part, so it is probably full"
            raise CheckpointError(
                f"cannot write {path}: {why}. What was saved before is untouched; make room or choose another --out, "
                f"then give the same command again to go on."
            ) from error
        raise
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Flush a folder, so that a rename in it survives a power cut; nothing where the system cannot."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_binary(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file as `write_atomically` does, and with its errors; `write` gets it opened."""

    def fill(partial: Path) -> None:
        with partial.open("wb") as file:
            write(file)

    write_atomically(path, fill)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_atomically` does, and with its errors."""
    write_binary(path, lambda file: file.write(text.encode()))


def read_text(path: Path) -> str:
    """The text of a list or table: UTF-8 with or without a byte-order mark, or UTF-16 with one.

    Raises:
        NotFoundError: there is no such file.
        DatasetError: it cannot be opened, or is in another encoding.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}.") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path} is not UTF-8 text: byte {data[error.start]:#04x} at position {error.start:,}. "
            f"Save it again as UTF-8 (spreadsheets call it 'CSV UTF-8')."
        ) from error
    if "\0" in text:
        raise DatasetError(f"{path} is not text: line {text[: text.index(chr(0))].count(chr(10)) + 1} holds a NUL.")
    return text


def pyarrow() -> tuple[Any, Any]:
    """pyarrow and its Parquet module.  Raises MissingExtraError where they are not installed."""
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingExtraError("a .parquet file", "parquet") from error
    return arrow, parquet


def cache_folder() -> Path:
    """The folder of caches: RESIGHT_CACHE, or `resight` where the system keeps the caches of programs."""
    chosen = os.environ.get("RESIGHT_CACHE")
    return Path(chosen).expanduser() if chosen else Path(user_cache_dir("resight", appauthor=False))


def check_output(path: Path, *, folder: bool = False, option: str = "--out") -> None:
    """Raise before any work is done if `path` cannot be written.

    Args:
        path: a file, or with `folder` a folder, that will be made or replaced.
        folder: `path` is to be a folder.
        option: what named it, for the message.

    Raises:
        UsageError: a folder stands where the file should, or the reverse; or nothing may be written there.
    """
    if not folder and path.is_dir():
        raise UsageError(f"{option} {path} is a folder; name a file to write.")
    if folder and path.exists() and not path.is_dir():
        raise UsageError(f"{option} {path} is a file; name a folder to write to.")
    place = path if folder or path.exists() else path.parent
    while not place.exists() and place != place.parent:
        place = place.parent
    if place != path and not place.is_dir():
        raise UsageError(f"{option} {path} cannot be written: {place} is a file, not a folder.")
    if not os.access(place, os.W_OK | (os.X_OK if place.is_dir() else 0)) or not _takes_files(place):
        raise UsageError(f"{option} {path} cannot be written: {place} is not writable. Name another place.")


def refuse_overwriting(outputs: Iterable[Path], inputs: Iterable[str | os.PathLike[str] | None]) -> None:
    """Raises UsageError where a file that is to be written is one that is read."""
    there = [Path(path).resolve() for path in inputs if path is not None]
    for output in outputs:
        if output.resolve() in there:
            raise UsageError(f"{output} is read and would be overwritten; write to another place.")


def refuse_within(output: Path, inputs: Iterable[str | os.PathLike[str] | None], what: str) -> None:
    """Raises UsageError where an output is a folder that is read, or lies in it; `what` is read there."""
    for source in (Path(path) for path in inputs if path is not None):
        if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
            raise UsageError(f"{output} lies in {source}, which holds {what}; name another place.")


def refuse_own_weights(weights: str | os.PathLike[str], run: Path) -> None:
    """Raises UsageError where training would start from weights that lie in the run folder it writes to."""
    if Path(weights).exists() and Path(weights).resolve().is_relative_to(run.resolve()):
        raise UsageError(f"{weights} is where training starts from, and {run} is written to; choose another --out.")


def _takes_files(place: Path) -> bool:
    """Whether a folder takes a new file: some systems only say so when asked."""
    if not place.is_dir():
        return True
    probe = place / f".resight-{os.getpid()}.partial"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True
