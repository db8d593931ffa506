"""CUHK03.  Li et al., CVPR 2014; new protocol by Zhong et al., CVPR 2017.

Three layouts are read.  The raw file cuhk-03.mat (MATLAB v7.3) with or without the new protocol's
cuhk03_new_protocol_config_*.mat (v5); pictures already taken out of it, named P_III_V_NN.png (pair of
cameras, person, view, number); and the repacked folders cuhk03-np/{detected,labeled} in Market-1501's layout.
The camera is the view, 1 or 2, as in the official evaluation.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from resight.data.dataset import AssertCounts, Dataset, SplitCounts, add_notes, check_counts
from resight.data.dataset_ops import with_splits
from resight.data.datasets.cuhk03_mat import NewProtocol, RawFile, read_protocol
from resight.data.entry import DatasetEntry, Detection
from resight.data.formats.filenames import ENDING, Parsed, find_root, first_few, list_pictures
from resight.data.formats.split_folders import FOLDERS, MARKET, TEST_FOLDERS, has_test_folders, read_splits
from resight.errors import DatasetError, UsageError
from resight.types import Sample, Split

Boxes = Literal["detected", "labeled"]

TERMS = (
    "Released by CUHK for academic research, on request. The licence text is not known to us; treat it as "
    "non-commercial research data of identifiable people."
)
COUNTS: dict[str, dict[str, SplitCounts]] = {
    "detected": {
        "train": SplitCounts(767, 7365, 2),
        "query": SplitCounts(700, 1400, 2),
        "gallery": SplitCounts(700, 5332, 2),
    },
    "labeled": {
        "train": SplitCounts(767, 7368, 2),
        "query": SplitCounts(700, 1400, 2),
        "gallery": SplitCounts(700, 5328, 2),
    },
}
CLASSIC = {"train": 1367, "query": 100, "gallery": 100}  # persons
PERSONS = (843, 440, 77, 58, 49)  # of each pair of cameras
INNER = ("cuhk03", "cuhk03_release", "cuhk03/cuhk03_release", "CUHK03", "cuhk03-np", "cuhk03/cuhk03-np")
RAW, CONFIG = "cuhk-03.mat", "cuhk03_new_protocol_config_{}.mat"
PATTERN, EXAMPLE = "P_III_V_NN.png", "1_001_1_01.png"
_NAME = re.compile(r"([1-5])_(\d{3})_([12])_(\d{2})" + ENDING, re.ASCII)


def read(
    root: Path,
    *,
    boxes: Boxes = "detected",
    protocol: Literal["new", "classic"] = "new",
    split: int = 0,
    assert_counts: AssertCounts = "strict",
) -> Dataset:
    """Read CUHK03.

    Pictures are extracted from cuhk-03.mat once, into images_detected or images_labeled beside it; that needs the
    extra `formats`.

    Args:
        root: one of the layouts, or a folder that holds one.
        boxes: drawn by a detector, or labeled by hand.
        protocol: "new" has 767 training and 700 test persons; "classic" is one of 20 splits with 100 test persons,
            whose query and gallery are the same pictures (single-gallery-shot CMC, mean over the splits, no mAP).
        split: which of the 20, from 0.
        assert_counts: what to do where the counts are not the published ones, see `check_counts`.
    """
    if boxes not in ("detected", "labeled") or protocol not in ("new", "classic"):
        raise UsageError(f"boxes={boxes!r}, protocol={protocol!r}: choose detected or labeled, and new or classic.")
    if protocol == "classic":
        dataset = _classic(root, boxes, split)
        found = dataset.counts()
        return check_counts(
            dataset, {s: SplitCounts(ids, found[s].images, 2) for s, ids in CLASSIC.items()}, assert_counts
        )
    repacked = [place for place in _places(root) if has_test_folders(place / boxes)]
    if not repacked and has_test_folders(root):
        repacked = [root.resolve().parent] if root.resolve().name == boxes else []
    dataset = _repacked(repacked[0], boxes) if repacked else _by_protocol(root, boxes)
    return _check(dataset, boxes, assert_counts)


def _places(root: Path) -> list[Path]:
    return [place for place in (root, *(root / name for name in INNER)) if place.is_dir()]


def _first(root: Path, name: str) -> Path | None:
    return next((place / name for place in _places(root) if (place / name).exists()), None)


def _repacked(root: Path, boxes: Boxes) -> Dataset:
    where = find_root("cuhk03", root / boxes, TEST_FOLDERS)
    return read_splits("cuhk03", f"new protocol, {boxes}", where, MARKET, terms=TERMS)


def _by_protocol(root: Path, boxes: Boxes) -> Dataset:
    config = _first(root, CONFIG.format(boxes))
    if config is None:
        raise DatasetError(
            f"cuhk03: {root} holds neither {boxes}/bounding_box_train nor {CONFIG.format(boxes)}. "
            f"{_instead(root, boxes)}"
        )
    protocol = read_protocol(config)
    folder = _pictures(root, boxes)
    have = {path.name for path in list_pictures(folder, folder).pictures}
    lost = sorted(set(protocol.names) - have)
    if len(lost) == len(protocol.names):
        raise DatasetError(
            f"cuhk03: none of the {len(lost):,} pictures {config.name} names is in {folder}. "
            f"Take them out of cuhk-03.mat again."
        )
    dataset = Dataset("cuhk03", f"new protocol, {boxes}", folder, terms=TERMS)
    dataset = with_splits(dataset, _splits_of(protocol, folder, have))
    note = f"{len(lost):,} pictures of {config.name} are not in {folder.name}: {first_few(lost)}. "
    note += f"Are they {_other(boxes)} ones?"
    return add_notes(dataset, [note] if lost else [])


def _instead(root: Path, boxes: Boxes) -> str:
    """Advice where the boxes asked for have no protocol."""
    other = _other(boxes)
    if _first(root, CONFIG.format(other)) or _first(root, f"{other}/{FOLDERS['train']}"):
        return f"It holds the {other} boxes: pass boxes='{other}'."
    return "Point the root at the release, put the new protocol's files there, or pass protocol='classic'."


def _other(boxes: Boxes) -> Boxes:
    return "labeled" if boxes == "detected" else "detected"


def _splits_of(protocol: NewProtocol, folder: Path, have: set[str]) -> dict[Split, tuple[Sample, ...]]:
    def sample(row: int, split: Split) -> Sample:
        name = protocol.names[row]
        parsed = parse(name)
        return Sample(
            folder / name, protocol.pids[row], protocol.camids[row], split, "cuhk03", parsed.frame if parsed else None
        )

    return {
        split: tuple(sample(row, split) for row in rows if protocol.names[row] in have)
        for split, rows in protocol.rows.items()
    }


def _pictures(root: Path, boxes: Boxes) -> Path:
    """The folder of pictures, extracted from the raw file where that has not been done."""
    done = _first(root, f"images_{boxes}")
    if done is not None:
        return done
    raw = _first(root, RAW)
    if raw is None:
        raise DatasetError(f"cuhk03: {root} holds neither images_{boxes} nor {RAW}. Point the root at cuhk03_release.")
    return RawFile(raw).extract(boxes, raw.parent / f"images_{boxes}")


def _classic(root: Path, boxes: Boxes, split: int) -> Dataset:
    raw = _first(root, RAW)
    if raw is None:
        raise DatasetError(
            f"cuhk03: the classic protocol needs {RAW}, which is not in {root}. "
            f"Point the root at cuhk03_release, or pass protocol='new'."
        )
    tests = RawFile(raw).test_sets()
    if split not in range(len(tests)):
        raise UsageError(f"cuhk03: split is {split}; {raw.name} has the splits 0 to {len(tests) - 1}.")
    held = {f"{pair}_{person:03d}" for pair, person in tests[split]}
    folder = _pictures(root, boxes)
    train: list[Sample] = []
    test: list[Sample] = []
    strange: list[str] = []
    for path in list_pictures(folder, folder).pictures:
        parsed = parse(path.name)
        if parsed is None:
            strange.append(path.name)
        else:
            (test if path.name[:5] in held else train).append(
                Sample(path, parsed.pid, parsed.camid, "train", "cuhk03", parsed.frame)
            )
    if not test:
        raise DatasetError(f"cuhk03: {folder} holds no picture of split {split}. Take them out of {raw.name} again.")
    dataset = Dataset("cuhk03", f"classic split {split}, {boxes}", folder, terms=TERMS)
    dataset = with_splits(
        dataset,
        {
            "train": tuple(train),
            "query": tuple(replace(sample, split="query") for sample in test),
            "gallery": tuple(replace(sample, split="gallery") for sample in test),
        },
    )
    notes = ["query and gallery are the same pictures; report the mean CMC of 20 splits, no mAP"]
    if strange:
        notes.append(f"left out pictures not named {PATTERN} ({len(strange):,}): {first_few(strange)}")
    return add_notes(dataset, notes)


def parse(name: str) -> Parsed | None:
    """`1_001_1_01.png` -> person 1..1467, counted through the pairs of cameras; view; number."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    pair, person, view, number = map(int, match.groups())
    return Parsed(sum(PERSONS[: pair - 1]) + person, view, number)


def _check(dataset: Dataset, boxes: Boxes, assert_counts: AssertCounts) -> Dataset:
    found = {split: counts.ids for split, counts in dataset.counts().items()}
    images = {split: counts.images for split, counts in dataset.counts().items()}
    hint = ""
    if found == CLASSIC:
        hint = "These are the classic protocol's 1,367 and 100 persons: pass protocol='classic', or fetch the new one,"
    for other, table in COUNTS.items():
        if other != boxes and images == {split: counts.images for split, counts in table.items()}:
            hint = f"These are the {other} boxes: pass boxes='{other}',"
    checked = check_counts(dataset, COUNTS[boxes], assert_counts, hint)
    return add_notes(checked, [hint.rstrip(",") + "."]) if hint and assert_counts != "off" else checked


def _detect(root: Path) -> Detection | None:
    """The release, with or without the new protocol's files, or the repack; with one kind of boxes, those."""
    where = root.resolve()
    if has_test_folders(root):
        repack = where.name in COUNTS and "cuhk03" in where.parent.name.lower()
        return Detection("CUHK03's repacked folders", {"boxes": where.name}) if repack else None
    kinds = [boxes for boxes in COUNTS if (root / CONFIG.format(boxes)).is_file() or has_test_folders(root / boxes)]
    if not kinds and not (root / RAW).is_file():
        return None
    return Detection("CUHK03's release or its repack", {"boxes": kinds[0]} if len(kinds) == 1 else {})


ENTRY = DatasetEntry(
    read, _detect, COUNTS["detected"], pattern=PATTERN, example=EXAMPLE, aliases=("cuhk03_np", "cuhk03np")
)
