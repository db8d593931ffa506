"""Image files on disk: suffixes, naming rules, sorted listings, the root of a data set, what was left out and why.

Listings are sorted, a name must match its grammar from end to end, and only the base name is read, so that a folder
called `run_3_c2` is never taken for a person.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal, get_args

from resight.data.loading.image_formats import SUFFIXES, unread
from resight.errors import DatasetError, DatasetNotFoundError, printable
from resight.types import Sample, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

IMAGE_SUFFIXES = frozenset(SUFFIXES)
ENDING = rf"(?:\.(?i:{'|'.join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))}))+"  # .jpg, .PNG, .jpg.jpg
SYSTEM_FILES = frozenset({"thumbs.db", ".ds_store", "desktop.ini"})
FEW = 3  # names a note gives
Kind = Literal["pictures", "others", "links", "closed", "broken", "unread"]  # fields of a Listing
_REASONS: dict[Kind, str] = {
    "others": "files that are not pictures",
    "links": "links to folders or out of the data set's root",
    "closed": "folders that may not be read",
    "broken": "links that lead nowhere",
    "unread": "{ending} pictures, which cannot be decoded here ({cure})",
}


@dataclass(frozen=True)
class Parsed:
    """Person, camera, frame and attributes read from a file name."""

    pid: int
    camid: int
    frame: int | None = None
    attributes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Grammar:
    """A naming rule: its description and the function that parses a name by it."""

    pattern: str  # as in "PPPP_cCsS_FFFFFF_BB.jpg"
    example: str
    read: Callable[[str], Parsed | None]


def regex_grammar(pattern: str, example: str, regex: str) -> Grammar:
    """A grammar from a regular expression of the name without its ending.

    Args:
        pattern: the rule in words, as in "PPPP_cCsS_FFFFFF_BB.jpg".
        example: one name.
        regex: groups pid, camid and perhaps frame; matched from end to end, before any image ending, repeated or in
            capitals, which some data sets hold.
    """
    compiled = re.compile(regex + ENDING, re.ASCII)

    def read(name: str) -> Parsed | None:
        match = compiled.fullmatch(name)
        if match is None:
            return None
        parts = match.groupdict()
        frame = parts.get("frame")
        return Parsed(int(parts["pid"]), int(parts["camid"]), int(frame) if frame else None)

    return Grammar(pattern, example, read)


@dataclass(frozen=True)
class Listing:
    """Pictures of a folder in sorted order, and what was not taken."""

    pictures: tuple[Path, ...]
    others: tuple[Path, ...] = ()  # not pictures by their suffix
    links: tuple[Path, ...] = ()  # not followed: to a folder, or out of the root
    closed: tuple[Path, ...] = ()  # folders that may not be read
    broken: tuple[Path, ...] = ()  # links that lead nowhere
    unread: tuple[Path, ...] = ()  # pictures of a format that is not read here


def list_pictures(folder: Path, root: Path, *, recursive: bool = False) -> Listing:
    """Sorted pictures of a folder.

    Args:
        folder: where to look.
        root: links that lead out of it are not followed, nor links to folders.
        recursive: also in the folders below.

    Hidden files and folders, such as `.ipynb_checkpoints`, are ignored.
    """
    found: dict[Kind, list[Path]] = {kind: [] for kind in get_args(Kind)}
    for kind, path in walk(folder, root, recursive=recursive):
        found[kind].append(path)
    return Listing(**{kind: tuple(sorted(paths)) for kind, paths in found.items()})


def walk(folder: Path, root: Path, *, recursive: bool = True) -> Iterator[tuple[Kind, Path]]:
    """What `list_pictures` lists, one after the other, files and folders in the order of their names."""
    waiting = _entries(folder)
    while waiting:
        entry = waiting.pop()
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            try:
                waiting += _entries(path) if recursive else []
            except OSError:
                yield "closed", path
        elif entry.name.lower() not in SYSTEM_FILES:
            yield _kind(entry, path, root), path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, without hidden files, last name first."""
    with os.scandir(folder) as found:
        return sorted((entry for entry in found if entry.name[0] != "."), key=lambda entry: entry.name, reverse=True)


def kind_of(name: str) -> Kind:
    """Whether a file is a picture by its name, one that is not read here, or none."""
    suffix = PurePath(name).suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        return "others"
    return "unread" if unread(suffix) else "pictures"


def is_file(path: Path) -> bool:
    """Whether there is such a file.  A name longer than the system takes, as a table may hold, is of none."""
    try:
        return path.is_file()
    except OSError:
        return False


def leaves_root(path: Path, root: Path) -> bool:
    """Whether a file is a link to a place outside `root`."""
    return path.is_symlink() and not path.resolve().is_relative_to(root.resolve())


def _kind(entry: os.DirEntry[str], path: Path, root: Path) -> Kind:
    try:
        folder, file = entry.is_dir(), entry.is_file()
    except OSError:  # a circle of links
        return "broken"
    if entry.is_symlink() and not (file or folder):
        return "broken"
    if folder or (entry.is_symlink() and leaves_root(path, root)):
        return "links"
    return kind_of(entry.name) if file else "others"  # a pipe, a socket


def read_names(
    listing: Listing, split: Split, dataset: str, grammar: Grammar, folder: Path
) -> tuple[list[Sample], list[str]]:
    """Parse the names of a folder.

    Returns:
        Samples, and notes on what was left out.

    Raises:
        DatasetError: no name matches the grammar.
    """
    samples: list[Sample] = []
    strange: list[Path] = []
    for path in listing.pictures:
        parsed = grammar.read(path.name)
        if parsed is None:
            strange.append(path)
        else:
            samples.append(Sample(path, parsed.pid, parsed.camid, split, dataset, parsed.frame, parsed.attributes))
    if strange and not samples:
        raise DatasetError(
            f"{dataset}: none of the {len(strange):,} pictures in {folder} is named {grammar.pattern} as in "
            f"{grammar.example}; the first is {strange[0].name!r}. Choose the reader that fits these names "
            f"(folder, csv, list), or ask `resight data check {folder.parent}` which it is."
        )
    return samples, left_out(listing, strange, folder, f"pictures not named {grammar.pattern}")


def left_out(listing: Listing, strange: Sequence[Path], folder: Path, reason: str) -> list[str]:
    """Notes on files of a folder that were not read, one per reason; `reason` is that of the `strange` ones."""
    tally = LeftOut()
    for path in strange:
        tally.add(reason, path.name)
    for kind in get_args(Kind):
        for path in getattr(listing, kind) if kind != "pictures" else ():
            tally.add(reason_of(kind, path.name), path.name)
    return tally.notes(folder.name)


def no_pictures(listing: Listing, folder: Path) -> str:
    """The sentences of an error where a folder holds no picture that is read: what it holds instead."""
    notes = left_out(replace(listing, others=()), (), folder, "")
    if notes:
        return " ".join(f"{note}." for note in (f"{folder} holds no picture that is read here", *notes))
    if not listing.others:
        return f"{folder} holds no picture and no table. Name the folder that holds them."
    kinds = first_few(sorted({path.suffix or "no ending" for path in listing.others}), 5)
    return (
        f"{folder} holds no picture, but {counted(len(listing.others), 'other file', 'other files')} ({kinds}). "
        f"Pictures end in {', '.join(sorted(IMAGE_SUFFIXES))}; name the folder that holds them, a CSV file or a list."
    )


def reason_of(kind: Kind, name: str) -> str:
    """Why `walk` does not count a file among the pictures, as a note says it."""
    ending = PurePath(name).suffix.lower()
    return _REASONS[kind].format(ending=ending, cure=unread(ending))


class LeftOut:
    """Counts files that were not read by reason, and keeps the first few names of each."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._names: dict[str, list[str]] = {}

    def add(self, reason: str, name: str) -> None:
        self._counts[reason] += 1
        names = self._names.setdefault(reason, [])
        if len(names) < FEW:
            names.append(name)

    def notes(self, where: str) -> list[str]:
        """A sentence for each reason."""
        return [
            f"{printable(where)}: left out {reason} ({self._counts[reason]:,}): {_few(names, self._counts[reason])}"
            for reason, names in self._names.items()
        ]


def first_few(names: Sequence[str], limit: int = FEW) -> str:
    """The first few names and the number of the others, as in `a, b, c and 7 more`."""
    return _few(names[:limit], len(names))


def _few(names: Sequence[str], total: int) -> str:
    more = f" and {total - len(names):,} more" if total > len(names) else ""
    return ", ".join(map(printable, names)) + more


def counted(number: int, one: str, several: str) -> str:
    """`1 picture is` or `3 pictures are`."""
    return f"{number:,} {one if number == 1 else several}"


def find_root(dataset: str, root: Path, needed: Sequence[str], inner: Sequence[str] = ()) -> Path:
    """Find the folder that holds all of `needed`.

    Args:
        dataset: its name, for messages.
        root: the folder given; it, one of `inner` in it, or its only fitting child is the answer.
        needed: files or folders that must be there.
        inner: names the data set's folder usually has.

    Raises:
        DatasetNotFoundError: `root` does not exist.
        DatasetError: no folder fits, or several; the message says what is there, or that the parent was meant.
    """
    if not root.is_dir():
        kind, error = (
            ("is a file, not a folder", DatasetError) if root.exists() else ("does not exist", DatasetNotFoundError)
        )
        raise error(f"{dataset}: {root} {kind}. Point the root at the folder that holds {_and(needed)}.")
    candidates = [root, *(root / name for name in inner)]
    candidates += sorted(child for child in root.iterdir() if child.is_dir() and child not in candidates)
    fitting = [folder for folder in candidates if all((folder / name).exists() for name in needed)]
    if fitting and (fitting[0] == root or fitting[0].name in inner or len(fitting) == 1):
        return fitting[0]
    if fitting:
        raise DatasetError(
            f"{dataset}: {root} holds several data sets: {first_few([folder.name for folder in fitting], 5)}. "
            f"Point the root at one of them."
        )
    raise DatasetError(f"{dataset}: {_wrong_root(root, needed)}")


def _wrong_root(root: Path, needed: Sequence[str]) -> str:
    where = root.resolve()
    if all((where.parent / name).exists() for name in needed):
        return f"{root} is one level too deep. Point the root at {where.parent}."
    missing = [name for name in needed if not (root / name).exists()]
    names = sorted(child.name + ("/" if child.is_dir() else "") for child in root.iterdir())
    lies = first_few(names, 5) if names else "nothing"
    return f"{root} lacks {_and(missing)}; there is {lies}. Point the root at the folder that holds {_and(needed)}."


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
