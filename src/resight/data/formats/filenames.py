"""Finding pictures on disk: the right root, sorted names, what was left out and why.

File lists are sorted before anything else happens to them, a name must match its grammar from end to end, and
only the base name is looked at, so a folder called `run_3_c2` is never read as a person.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from resight.errors import DatasetError, printable
from resight.types import Sample, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
NEVER_MIND = frozenset({"thumbs.db", ".ds_store", "desktop.ini"})


@dataclass(frozen=True)
class Parsed:
    """What a file name says."""

    pid: int
    camid: int
    frame: int | None = None
    attributes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Grammar:
    """A naming rule: the words a person reads and the function that reads the name."""

    pattern: str  # as in "PPPP_cCsS_FFFFFF_BB.jpg"
    example: str
    read: Callable[[str], Parsed | None]


def regex_grammar(pattern: str, example: str, regex: str) -> Grammar:
    """A grammar from an expression with groups pid, camid and perhaps frame, matched from end to end."""
    compiled = re.compile(regex, re.ASCII)

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
    """Pictures of a folder in sorted order, and what else lay there."""

    pictures: tuple[Path, ...]
    others: tuple[Path, ...] = ()
    links: tuple[Path, ...] = ()  # not followed: to a folder, or out of the root


def list_pictures(folder: Path, root: Path, *, recursive: bool = False) -> Listing:
    """Sorted pictures of a folder.  Hidden files are passed over; no link is followed to a folder or out of `root`."""
    pictures: list[Path] = []
    others: list[Path] = []
    links: list[Path] = []
    for entry in _entries(folder, recursive):
        path = Path(entry.path)
        if entry.is_symlink() and (entry.is_dir() or leaves_root(path, root)):
            links.append(path)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            pictures.append(path)
        elif path.name.lower() not in NEVER_MIND:
            others.append(path)
    return Listing(tuple(sorted(pictures)), tuple(sorted(others)), tuple(sorted(links)))


def leaves_root(path: Path, root: Path) -> bool:
    """Whether a file is a link to something outside of `root`."""
    return path.is_symlink() and not path.resolve().is_relative_to(root.resolve())


def _entries(folder: Path, recursive: bool) -> Iterable[os.DirEntry[str]]:
    """Files and links of a folder, or of all below it; hidden ones are passed over."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting += [Path(entry.path)] if recursive else []
                elif _opens(entry):
                    yield entry


def _opens(entry: os.DirEntry[str]) -> bool:
    """Not a pipe, a socket, a link to nothing or to itself."""
    try:
        return entry.is_file() or entry.is_dir()
    except OSError:
        return False


def read_names(
    listing: Listing, split: Split, dataset: str, grammar: Grammar, folder: Path
) -> tuple[list[Sample], list[str]]:
    """Parse the names of a folder -> samples, notes.  A folder where nothing parses is an error."""
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
    """One sentence per reason why files of a folder were not read; `reason` is that of the strange ones."""
    reasons = [
        (strange, reason),
        (listing.others, "files that are not pictures"),
        (listing.links, "links to folders or out of the data set's root"),
    ]
    return [
        f"{printable(folder.name)}: left out {reason} ({len(paths):,}): {first_few([path.name for path in paths])}"
        for paths, reason in reasons
        if paths
    ]


def first_few(names: Sequence[str], limit: int = 3) -> str:
    """The first few names and how many more there are."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(map(printable, names[:limit])) + more


def counted(number: int, one: str, several: str) -> str:
    """`1 picture is` or `3 pictures are`."""
    return f"{number:,} {one if number == 1 else several}"


def find_root(dataset: str, root: Path, needed: Sequence[str], inner: Sequence[str] = ()) -> Path:
    """The folder that holds all of `needed`: `root` itself, one of `inner`, or a single child.

    Raises DatasetError that says what lies there instead; when `root` is one of the needed folders, that its
    parent was meant.
    """
    if not root.is_dir():
        kind = "is a file, not a folder" if root.exists() else "does not exist"
        raise DatasetError(f"{dataset}: {root} {kind}. Point the root at the folder that holds {_and(needed)}.")
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
