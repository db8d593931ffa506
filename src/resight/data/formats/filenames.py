"""Image files on disk: suffixes, naming rules, sorted listings, the root of a data set, what was left out and why.

Listings are sorted, a name must match its grammar from end to end, and only the base name is read, so that a folder
called `run_3_c2` is never taken for a person.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from resight.errors import DatasetError, DatasetNotFoundError, printable
from resight.types import Sample, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif"}
)
ENDING = rf"(?:\.(?i:{'|'.join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))}))+"  # .jpg, .PNG, .jpg.jpg
SYSTEM_FILES = frozenset({"thumbs.db", ".ds_store", "desktop.ini"})


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


def list_pictures(folder: Path, root: Path, *, recursive: bool = False) -> Listing:
    """Sorted pictures of a folder.

    Args:
        folder: where to look.
        root: links that lead out of it are not followed, nor links to folders.
        recursive: also in the folders below.

    Hidden files and folders, such as `.ipynb_checkpoints`, are ignored.
    """
    pictures: list[Path] = []
    others: list[Path] = []
    links: list[Path] = []
    closed: list[Path] = []
    for entry in _entries(folder, recursive, closed):
        path = Path(entry.path)
        if entry.is_symlink() and (entry.is_dir() or leaves_root(path, root)):
            links.append(path)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            pictures.append(path)
        elif path.name.lower() not in SYSTEM_FILES:
            others.append(path)
    return Listing(*(tuple(sorted(found)) for found in (pictures, others, links, closed)))


def leaves_root(path: Path, root: Path) -> bool:
    """Whether a file is a link to a place outside `root`."""
    return path.is_symlink() and not path.resolve().is_relative_to(root.resolve())


def _entries(folder: Path, recursive: bool, closed: list[Path]) -> Iterable[os.DirEntry[str]]:
    """Files and links of a folder, or of all below it; folders that may not be read are added to `closed`."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = os.scandir(here)
        except OSError:
            if here == folder:
                raise
            closed.append(here)
            continue
        with entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting += [Path(entry.path)] if recursive else []
                elif _opens(entry):
                    yield entry


def _opens(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file or folder, not a pipe, a socket or a broken link."""
    try:
        return entry.is_file() or entry.is_dir()
    except OSError:
        return False


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
    reasons = [
        (strange, reason),
        (listing.others, "files that are not pictures"),
        (listing.links, "links to folders or out of the data set's root"),
        (listing.closed, "folders that may not be read"),
    ]
    return [
        f"{printable(folder.name)}: left out {reason} ({len(paths):,}): {first_few([path.name for path in paths])}"
        for paths, reason in reasons
        if paths
    ]


def first_few(names: Sequence[str], limit: int = 3) -> str:
    """The first few names and the number of the others, as in `a, b, c and 7 more`."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(map(printable, names[:limit])) + more


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
