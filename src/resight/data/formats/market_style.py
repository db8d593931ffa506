"""Any folder in Market-1501's layout and naming: data of your own, a subset, a repack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight.data.dataset_ops import Cameras, shift_pid_zero, use_cameras, without_junk
from resight.data.entry import DatasetEntry, Detection
from resight.data.formats.attributes_csv import with_sidecar
from resight.data.formats.filenames import find_root
from resight.data.formats.split_folders import MARKET, TEST_FOLDERS, has_test_folders, read_splits

if TYPE_CHECKING:
    from pathlib import Path

    from resight.data.dataset import Dataset


def read(root: Path, *, cameras: Cameras = "file", keep_junk: bool = False) -> Dataset:
    """Read bounding_box_train, query and bounding_box_test with names like 0001_c1s1_001051_00.jpg.

    `attributes.csv` in the root is read where there is one.

    Args:
        root: the folder with the three; bounding_box_train may be missing.
        cameras: "ignore" declares every camera unknown.
        keep_junk: keep gallery boxes with pid -1.
    """
    root = find_root("market", root, TEST_FOLDERS)
    dataset = use_cameras(with_sidecar(read_splits("market", root.resolve().name, root, MARKET)), cameras)
    dataset = shift_pid_zero(dataset)
    return without_junk(dataset, keep_junk)


def _detect(root: Path) -> Detection | None:
    return Detection("Market-1501's layout") if has_test_folders(root) else None


ENTRY = DatasetEntry(read, _detect, pattern=MARKET.pattern, example=MARKET.example)
