"""The bundled sample: pictures of synthetic people, rendered by this project."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from resight.data.dataset import AssertCounts, Dataset, SplitCounts, check_counts
from resight.data.dataset_ops import without_junk
from resight.data.entry import DatasetEntry
from resight.data.formats.attributes_csv import with_sidecar
from resight.data.formats.filenames import find_root
from resight.data.formats.split_folders import MARKET, TEST_FOLDERS, read_splits

TERMS = "Apache-2.0, made by this project. The people do not exist."
COUNTS = {"train": SplitCounts(40, 516, 4), "query": SplitCounts(40, 127, 4), "gallery": SplitCounts(40, 441, 4)}


def read(root: Path | None = None, *, assert_counts: AssertCounts = "strict") -> Dataset:
    """Read the bundled sample.

    Args:
        root: a copy of it elsewhere; other synthetic people are read by the format `market`.
        assert_counts: what to do where the counts are not those of the sample, see `check_counts`.
    """
    where = root if root is not None else Path(str(files("resight") / "synth" / "sample"))
    where = find_root("sample", where, TEST_FOLDERS)
    dataset = without_junk(with_sidecar(read_splits("sample", "bundled", where, MARKET, terms=TERMS)))
    return check_counts(dataset, COUNTS, assert_counts)


ENTRY = DatasetEntry(read, counts=COUNTS, aliases=("synthetic",))
