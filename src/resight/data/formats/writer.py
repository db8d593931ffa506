"""Writing a data set in another format: a table, Market-1501's names, a folder per person, or lists.

Pictures are linked, never changed; a CSV only names them.  What a format cannot hold is returned as a note.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from resight.data.dataset import SPLITS, Dataset
from resight.data.formats.attributes_csv import PREFIX
from resight.data.formats.attributes_csv import SIDECAR as ATTRIBUTES
from resight.data.formats.cameras_csv import SIDECAR as CAMERAS
from resight.data.formats.filenames import IMAGE_SUFFIXES, first_few
from resight.data.formats.split_folders import FOLDERS
from resight.errors import UNSAFE, DatasetError, UnknownNameError
from resight.types import DISTRACTOR, JUNK, UNKNOWN_CAMERA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from resight.types import Sample

How = Literal["link", "copy"]
Placed = list[tuple["Sample", str]]  # a sample and the path it is given, below the root


@dataclass(frozen=True)
class Written:
    """Notes on what the format could not keep, and the options its reader needs."""

    notes: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


def write(dataset: Dataset, form: str, out: Path, how: How = "link", replace: bool = False) -> Written:
    """Write a data set in one of FORMS.

    Args:
        dataset: what to write.
        form: "csv", "folder", "list" or "market".
        out: for csv the file, the pictures stay where they are; else a new or empty folder.
        how: hard links or copies of the pictures; not for csv.
        replace: write over a CSV file that is there.

    Raises:
        DatasetError: something is in the way, or the format cannot hold the set.
    """
    if form not in FORMS:
        raise UnknownNameError("form to write", form, FORMS)
    if form == "csv" and out.exists() and not (replace and out.is_file()):
        raise DatasetError(f"{out} is in the way. Name another file, or replace it (--replace).")
    if form != "csv" and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} is in the way. Name a new folder, or empty that one.")
    if not dataset.everyone:
        raise DatasetError(f"{dataset.name}: there is no picture to write.")
    out.parent.mkdir(parents=True, exist_ok=True)
    return FORMS[form](dataset, out, how)


def _csv(dataset: Dataset, out: Path, how: How) -> Written:  # noqa: ARG001 - pictures stay where they are
    if out.suffix.lower() != ".csv":
        raise DatasetError(f"{out} does not end in .csv. Name the file to write, as in {out.with_suffix('.csv')}.")
    samples = dataset.everyone
    paths = [sample.path.parent.resolve() / sample.path.name for sample in samples]  # a link keeps its own name
    _check_names(paths)
    beside = all(path.is_relative_to(out.parent.resolve()) for path in paths)
    base = out.parent.resolve() if beside else Path(os.path.commonpath([path.parent for path in paths]))
    names, people = _attribute_names(samples), _names(dataset)
    header = ("path", "pid", "camid", "split", "frame", *(PREFIX + name for name in names))
    rows = (
        (
            path.relative_to(base).as_posix(),
            people.get(sample.pid, sample.pid),
            "" if sample.camid == UNKNOWN_CAMERA else sample.camid,
            "distractor" if sample.pid == DISTRACTOR else sample.split,
            "" if sample.frame is None else sample.frame,
            *(sample.attributes.get(name, "") for name in names),
        )
        for sample, path in zip(samples, paths, strict=True)
    )
    _write_table(out, header, rows)
    return Written() if beside else Written((f"paths are relative to {base}",), {"images": str(base)})


def _names(dataset: Dataset) -> Mapping[int, str]:
    """pid -> name for a table, where every person has a name that a cell can hold; else empty."""
    pids = {sample.pid for sample in dataset.everyone if sample.pid > 0}
    fit = all(name == name.strip() and not UNSAFE.search(name) for name in dataset.people.values())
    fit = fit and len(set(dataset.people.values())) == len(dataset.people)
    return dataset.people if fit and pids <= dataset.people.keys() else {}


def _check_names(paths: Sequence[Path]) -> None:
    """DatasetError for names that a table cannot hold, and for pictures that are both query and gallery."""
    for path in paths:
        if UNSAFE.search(str(path)) or path.name != path.name.strip():
            raise DatasetError(
                f"{path.name} cannot stand in a table: its name or folder has line breaks, broken signs or "
                f"blanks at an end. Rename it, or choose the format folder."
            )
    twice, count = Counter(paths).most_common(1)[0]
    if count > 1:
        raise DatasetError(
            f"{twice.name} is both query and gallery, and a table has one row a picture. Choose the format folder."
        )


def _market(dataset: Dataset, out: Path, how: How) -> Written:
    unknown = sum(sample.camid == UNKNOWN_CAMERA for sample in dataset.everyone)
    if unknown:
        raise DatasetError(
            f"the camera of {unknown:,} pictures is unknown, and Market-1501's names must say one. "
            f"Choose the format csv or folder, which can leave it open."
        )
    made_up = sum(sample.frame is None for sample in dataset.everyone)
    taken: Counter[str] = Counter()
    placed: Placed = []
    for number, sample in enumerate(dataset.everyone):
        frame = number if sample.frame is None else sample.frame
        stem = f"{sample.pid:04d}" if sample.pid >= 0 else "-1"
        stem = f"{FOLDERS[sample.split]}/{stem}_c{sample.camid}s1_{frame:06d}"
        placed.append((sample, f"{stem}_{taken[stem]:02d}{sample.path.suffix.lower()}"))
        taken[stem] += 1
    _place(placed, out, how)
    _write_attributes(placed, out)
    note = f"{made_up:,} pictures have no frame number; theirs are running numbers"
    return Written(((note,) if made_up else ()) + _lost_names(dataset))


def _folder(dataset: Dataset, out: Path, how: How) -> Written:
    names = _folder_names(dataset)
    placed = _numbered(dataset, lambda sample: f"{sample.split}/{names.get(sample.pid) or _person(sample.pid)}")
    _place(placed, out, how)
    rows = [
        (path, "" if sample.camid == UNKNOWN_CAMERA else sample.camid, "" if sample.frame is None else sample.frame)
        for sample, path in placed
    ]
    _write_table(out / CAMERAS, ("path", "camid", "frame"), rows)
    _write_attributes(placed, out)
    return Written(() if names else _lost_names(dataset))


def _folder_names(dataset: Dataset) -> Mapping[int, str]:
    """pid -> name, where every name can be the name of a folder that the reader takes for a person."""
    names = _names(dataset)
    taken = {"distractor", "junk", str(JUNK)}
    fit = all(not re.search(r'[/\\<>:"|?*]|^\.|\.$', name) and name not in taken for name in names.values())
    return names if fit else {}


def _lost_names(dataset: Dataset) -> tuple[str, ...]:
    """A note on the names of persons, in a format that has only numbers."""
    if not dataset.people:
        return ()
    named = [f"{name} is {pid}" for pid, name in sorted(dataset.people.items())]
    return (f"the names of {len(named):,} persons are not kept; they are numbered: {first_few(named)}",)


def _list(dataset: Dataset, out: Path, how: How) -> Written:
    placed = _numbered(dataset, lambda sample: f"{'train' if sample.split == 'train' else 'test'}/{sample.pid}")
    _place(placed, out, how)
    for split in SPLITS:
        lines = [f"{path} {sample.pid} {sample.camid}\n" for sample, path in placed if sample.split == split]
        (out / f"list_{split}.txt").write_text("".join(lines), "utf-8")
    _write_attributes(placed, out)
    frames = sum(sample.frame is not None for sample, _ in placed)
    lost = (f"the frame numbers of {frames:,} pictures are not kept; lists have none",) if frames else ()
    return Written(lost + _lost_names(dataset))


FORMS: dict[str, Callable[[Dataset, Path, How], Written]] = {
    "csv": _csv,
    "folder": _folder,
    "list": _list,
    "market": _market,
}


def _person(pid: int) -> str:
    return {DISTRACTOR: "distractor", JUNK: "junk"}.get(pid, f"{pid:04d}")


def _numbered(dataset: Dataset, folder: Callable[[Sample], str]) -> Placed:
    return [
        (sample, f"{folder(sample)}/{number:06d}{sample.path.suffix.lower()}")
        for number, sample in enumerate(dataset.everyone)
    ]


def _place(placed: Placed, out: Path, how: How) -> None:
    strange = [sample.path.name for sample, _ in placed if sample.path.suffix.lower() not in IMAGE_SUFFIXES]
    if strange:
        raise DatasetError(
            f"{first_few(strange)} would not be found again: pictures end in {', '.join(sorted(IMAGE_SUFFIXES))}. "
            f"Rename them, or choose the format csv."
        )
    for sample, path in placed:
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        source = sample.path.resolve()
        if how == "copy":
            shutil.copyfile(source, target)
            continue
        try:
            os.link(source, target)
        except OSError as refused:
            raise DatasetError(
                f"{source} cannot be linked to {target} ({refused.strerror}). "
                f"Write to the same disk, copy instead (--copy), or choose the format csv."
            ) from refused


def _attribute_names(samples: Iterable[Sample]) -> list[str]:
    return sorted({name for sample in samples for name in sample.attributes})


def _write_attributes(placed: Placed, out: Path) -> None:
    names = _attribute_names(sample for sample, _ in placed)
    if names:
        rows = [(path, *(sample.attributes.get(name, "") for name in names)) for sample, path in placed]
        _write_table(out / ATTRIBUTES, ("path", *(PREFIX + name for name in names)), rows)


def _write_table(file: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
