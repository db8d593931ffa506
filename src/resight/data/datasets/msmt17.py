"""MSMT17.  Wei et al., CVPR 2018.

`PPPP_III_CC_MMDDpart_FFFF_K[_ex].jpg`, named by lists; the camera is the third field.  Persons restart at 0
in train and test and are different people, so both are renumbered: train 1..1041, test 1042..4101.  V1 and V2
(faces blurred) give figures that cannot be compared; the version stands in every result.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from resight.data.dataset import AssertCounts, Dataset, SplitCounts, check_counts
from resight.data.dataset_ops import with_splits
from resight.data.entry import DatasetEntry, Detection
from resight.data.formats.filenames import ENDING, first_few, is_file
from resight.data.formats.image_list import LISTS, lines_of
from resight.errors import DatasetError, UsageError
from resight.types import Sample, Split

TERMS = (
    "Given out by its authors after a signed agreement, for non-commercial research; not to be passed on. "
    "The wording you signed is what counts."
)
TRAIN_IDS = 1041
COUNTS = {
    "train": SplitCounts(TRAIN_IDS, 32621, 15),  # list_train and list_val
    "query": SplitCounts(3060, 11659, 15),
    "gallery": SplitCounts(3060, 82161, 15),
}
FORMS = {
    "v1": ("MSMT17_V1", "train", "test"),
    "v2": ("MSMT17_V2", "mask_train_v2", "mask_test_v2"),
}
NAME = re.compile(r"\d+_\d+_(\d{1,2})_[^/]+" + ENDING, re.ASCII)
PATTERN, EXAMPLE = "PPPP_III_CC_MMDDpart_FFFF_K.jpg", "0000_000_01_0303morning_0008_0.jpg"


def read(
    root: Path,
    *,
    version: Literal["auto", "v1", "v2"] = "auto",
    train_on: Literal["train+val", "train"] = "train+val",
    assert_counts: AssertCounts = "strict",
) -> Dataset:
    """Read MSMT17.

    Args:
        root: MSMT17_V1 or MSMT17_V2, or the folder that contains one of them; the training part may be missing.
        version: which of the two, where both are there.
        train_on: both training lists, as most papers do, or list_train alone.
        assert_counts: what to do where the counts are not the published ones, see `check_counts`.
    """
    if train_on not in ("train+val", "train"):
        raise UsageError(f"train_on={train_on!r}: choose 'train+val' or 'train'.")
    version, root = _find(root, version)
    _, *folders = FORMS[version]
    splits: dict[Split, tuple[Sample, ...]] = {}
    notes: list[str] = []
    for split, names in LISTS.items():
        if split == "train" and not (root / folders[0]).is_dir():
            notes.append(f"there is no {folders[0]}: this copy can be evaluated on, not trained on")
            continue
        names = names[:1] if split == "train" and train_on == "train" else names
        folder = root / folders[split != "train"]
        samples, lost = _read_lists(root, folder, names, split)
        splits[split] = tuple(samples)
        notes += (
            [f"{split}: left out listed pictures that do not exist ({len(lost):,}): {first_few(lost)}"] if lost else []
        )
    said = f"{version.upper()}, {train_on}"
    dataset = with_splits(Dataset("msmt17", said, root, notes=tuple(notes), terms=TERMS), splits)
    counts = COUNTS if train_on == "train+val" else {s: c for s, c in COUNTS.items() if s != "train"}
    return check_counts(dataset, counts, assert_counts)


def _find(root: Path, version: str) -> tuple[Literal["v1", "v2"], Path]:
    if version not in ("auto", *FORMS):
        raise UsageError(f"version={version!r}: choose auto, v1 or v2.")
    found: dict[Literal["v1", "v2"], Path] = {}
    for name in ("v1", "v2"):
        outer, _, test = FORMS[name]
        for folder in (root, root / outer, root / "msmt17" / outer):
            if (folder / test).is_dir() and (folder / LISTS["query"][0]).is_file():
                found.setdefault(name, folder)
    if version != "auto":
        found = {name: folder for name, folder in found.items() if name == version}
    if len(found) > 1:
        raise DatasetError(
            f"msmt17: {root} holds V1 and V2, whose figures cannot be compared. Point the root at one of the two, or "
            f"choose with version='v1' or 'v2'."
        )
    if not found:
        wanted = " or ".join(f"{train} and {test}" for _, train, test in FORMS.values())
        raise DatasetError(
            f"msmt17: {root} holds no {version.upper() if version != 'auto' else 'MSMT17'}. "
            f"Point the root at the folder that holds {wanted}."
        )
    return next(iter(found.items()))


def _read_lists(root: Path, folder: Path, names: tuple[str, ...], split: Split) -> tuple[list[Sample], list[str]]:
    samples: list[Sample] = []
    lost: list[str] = []
    shift = 1 if split == "train" else 1 + TRAIN_IDS
    for name in names:
        file = root / name
        if not file.is_file():
            raise DatasetError(f"msmt17: {file} does not exist. Unpack the lists beside the pictures again.")
        for place, pid, _ in lines_of(file):
            path = folder / place
            match = NAME.fullmatch(path.name)
            if match is None or pid < 0:
                raise DatasetError(
                    f"msmt17: {file} names {place} and person {pid}, expected {PATTERN} as in {EXAMPLE} and a person "
                    f"from 0. Fetch the lists again."
                )
            if not is_file(path):
                lost.append(place)
                continue
            samples.append(Sample(path, pid + shift, int(match[1]), split, "msmt17"))
    if not samples and not lost:
        raise DatasetError(f"msmt17: {' and '.join(names)} in {root} name no picture. Fetch the lists again.")
    if not samples:
        raise DatasetError(
            f"msmt17: none of the {len(lost):,} pictures in {' and '.join(names)} is in {folder}; the first is "
            f"{lost[0]}. Lists of one version do not fit pictures of the other: take both from one archive."
        )
    return samples, lost


def _detect(root: Path) -> Detection | None:
    found = any((root / outer).is_dir() for outer, _, _ in FORMS.values()) or (root / FORMS["v2"][2]).is_dir()
    return Detection("MSMT17's folders and lists") if found or _lists_its_names(root) else None


def _lists_its_names(root: Path) -> bool:
    file = next((root / name for name in ("list_train.txt", "list_query.txt") if (root / name).is_file()), None)
    first = "" if file is None else file.read_text("utf-8", errors="replace").split("\n", 1)[0]
    return NAME.fullmatch(Path(first.split(" ")[0]).name) is not None


ENTRY = DatasetEntry(
    read,
    _detect,
    COUNTS,
    protocol={"distractor": None},  # person 0 is a person
    pattern=PATTERN,
    example=EXAMPLE,
    aliases=("msmt",),
)
