"""PKU-Reid-mini: a small part of PKU-Reid in Market-1501's naming; 30 training and 14 test persons, two cameras.

Ma, Liu, Hu, Wang, Sun, "Orientation driven bag of appearances for person re-identification",
arXiv:1605.02464.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight.data.dataset import AssertCounts, Dataset, SplitCounts, check_counts
from resight.data.dataset_ops import without_junk
from resight.data.entry import DatasetEntry, Detection
from resight.data.formats.filenames import find_root
from resight.data.formats.split_folders import MARKET, TEST_FOLDERS, has_test_folders, read_splits

if TYPE_CHECKING:
    from pathlib import Path

TERMS = (
    "CC BY-NC-SA 4.0, Ma et al. 2016 (arXiv:1605.02464): attribution, no commercial use, share alike. "
    "Pictures of identifiable people; never redistributed with this package."
)
COUNTS = {
    "train": SplitCounts(30, 480, 2, {1: 240, 2: 240}),
    "query": SplitCounts(14, 112, 2, {1: 56, 2: 56}),
    "gallery": SplitCounts(14, 112, 2, {1: 56, 2: 56}),
}


def read(root: Path, *, assert_counts: AssertCounts = "strict") -> Dataset:
    """Read PKU-Reid-mini.

    Args:
        root: the folder pku-reid-mini, or the one that contains it.
        assert_counts: what to do where the counts are not the published ones, see `check_counts`.
    """
    root = find_root("pku_reid_mini", root, TEST_FOLDERS, ["pku-reid-mini"])
    dataset = without_junk(read_splits("pku_reid_mini", "mini", root, MARKET, terms=TERMS))
    return check_counts(dataset, COUNTS, assert_counts)


def _detect(root: Path) -> Detection | None:
    return Detection("its name") if root.resolve().name == "pku-reid-mini" and has_test_folders(root) else None


ENTRY = DatasetEntry(read, _detect, COUNTS, aliases=("pku", "pku_reid"))
