"""Market-1501.  Zheng et al., ICCV 2015.

`PPPP_cCsS_FFFFFF_BB.jpg`: person (-1 junk, 0 distractor), camera, sequence, frame, box.  24 names of the published
test end in `.jpg.jpg`; they are part of the benchmark.  docs/methods/datasets.md says where each count comes from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from resight.data.dataset import AssertCounts, Dataset, SplitCounts, add_notes, check_counts
from resight.data.dataset_ops import with_splits, without_junk
from resight.data.datasets.attribute_mat import MARKET1501 as ATTRIBUTES
from resight.data.datasets.attribute_mat import with_attribute_file
from resight.data.entry import DatasetEntry, Detection
from resight.data.formats.filenames import find_root, list_pictures, read_names, regex_grammar
from resight.data.formats.split_folders import MARKET, TEST_FOLDERS, first_names, has_test_folders, read_splits
from resight.errors import DatasetError, UsageError
from resight.types import DISTRACTOR

if TYPE_CHECKING:
    from pathlib import Path

TERMS = (
    "Distributed by its authors for research. No formal licence text is known to us: cite the paper, and treat it as "
    "non-commercial research data of identifiable people."
)
GRAMMAR = regex_grammar(
    "PPPP_cCsS_FFFFFF_BB.jpg",
    "0001_c1s1_001051_00.jpg",
    r"(?P<pid>-1|\d{4})_c(?P<camid>[1-6])s\d+_(?P<frame>\d+)_\d+",
)
COUNTS = {
    "train": SplitCounts(751, 12936, 6, {1: 2017, 2: 1709, 3: 2707, 4: 920, 5: 2338, 6: 3245}),
    "query": SplitCounts(750, 3368, 6, {1: 668, 2: 530, 3: 717, 4: 248, 5: 622, 6: 583}),
    "gallery": SplitCounts(750, 15913, 6, {1: 2738, 2: 2224, 3: 3199, 4: 1365, 5: 2762, 6: 3625}),  # junk not counted
}
MORE_DISTRACTORS = 500_000
ENOUGH = 1000  # queries; fewer in these names are a data set of one's own


def read(
    root: Path,
    *,
    assert_counts: AssertCounts = "strict",
    more_distractors: bool = False,
    keep_junk: bool = False,
    boxes: Literal["detected", "hand"] = "detected",
    attributes: bool | str | Path = False,
) -> Dataset:
    """Read Market-1501 v15.09.15.

    Args:
        root: the folder Market-1501-v15.09.15, or the one that contains it; bounding_box_train may be missing.
        assert_counts: what to do where the counts are not the published ones, see `check_counts`.
        more_distractors: add the 500,000 boxes of `images/` to the gallery.
        keep_junk: keep the 3,819 boxes with pid -1 in the gallery; they have no effect on any score.
        boxes: "hand" takes train and gallery from gt_bbox, whose boxes were drawn by hand, for the same persons.
        attributes: True, or the path of market_attribute.mat.
    """
    root = find_root("market1501", root, TEST_FOLDERS, ["Market-1501-v15.09.15", "market1501"])
    everything = read_splits("market1501", "v15.09.15", root, GRAMMAR, terms=TERMS)
    dataset = check_counts(without_junk(everything), COUNTS, assert_counts, "Unpack the archive again,")
    if keep_junk:
        dataset = with_splits(dataset, {"gallery": everything.gallery})
    if boxes == "hand":
        dataset = _with_hand_boxes(dataset)
    elif boxes != "detected":
        raise UsageError(f"boxes={boxes!r}: choose detected or hand.")
    dataset = _with_more_distractors(dataset) if more_distractors else dataset
    return with_attribute_file(dataset, attributes, ATTRIBUTES)


def _with_hand_boxes(dataset: Dataset) -> Dataset:
    folder = dataset.root / "gt_bbox"
    if not folder.is_dir():
        raise DatasetError(f"market1501: boxes='hand' asks for {folder}, which does not exist. Unpack it there.")
    samples, notes = read_names(list_pictures(folder, dataset.root), "gallery", "market1501", GRAMMAR, folder)
    learnt = {sample.pid for sample in dataset.train}
    train = tuple(replace(sample, split="train") for sample in samples if sample.pid in learnt)
    gallery = tuple(sample for sample in samples if sample.pid not in learnt)
    hand = with_splits(dataset, {"train": train, "gallery": gallery})
    return add_notes(replace(hand, version=f"{dataset.version}, hand-drawn boxes"), notes)


def _with_more_distractors(dataset: Dataset) -> Dataset:
    folder = dataset.root / "images"
    if not folder.is_dir():
        raise DatasetError(
            f"market1501: more_distractors asks for {folder}, which does not exist. "
            f"Unpack the 500k distractor archive there, or leave the option out."
        )
    samples, notes = read_names(list_pictures(folder, dataset.root), "gallery", "market1501", MARKET, folder)
    extra = tuple(replace(sample, pid=DISTRACTOR) for sample in samples)
    if len(extra) != MORE_DISTRACTORS:
        notes.append(f"images holds {len(extra):,} distractors, expected {MORE_DISTRACTORS:,}")
    grown = replace(dataset, gallery=dataset.gallery + extra, version=f"{dataset.version}+500k")
    return add_notes(grown, notes)


def _detect(root: Path) -> Detection | None:
    """By names and size: smaller sets in these names are read by `market`."""
    names = first_names(root) if has_test_folders(root) else []
    if not names or not all(GRAMMAR.read(name) for name in names):
        return None
    queries = len(list_pictures(root / "query", root).pictures)
    return Detection("Market-1501's names and size") if queries >= ENOUGH else None


ENTRY = DatasetEntry(read, _detect, COUNTS, pattern=GRAMMAR.pattern, example=GRAMMAR.example, aliases=("market_1501",))
