"""One folder per split, the layout that Market-1501 gave the field; and what is done to any set after reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight.data.dataset import Dataset
from resight.data.dataset_ops import with_splits
from resight.data.formats.filenames import Grammar, list_pictures, read_names, regex_grammar
from resight.errors import DatasetError
from resight.types import Sample, Split

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


FOLDERS: dict[Split, str] = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
# Market-1501's names in other hands: any width, the sequence and the box optional, any picture suffix.
MARKET = regex_grammar(
    "PID_cC[sS]_FRAME[_BOX].jpg",
    "0001_c1s1_001051_00.jpg",
    r"(?P<pid>-1|\d{1,18})_c(?P<camid>\d{1,18})(?:s\d+)?_(?P<frame>\d{1,18})(?:_\d+)?\.(?i:jpe?g|png|bmp|webp|tiff?)",
)


def read_splits(
    name: str,
    version: str,
    root: Path,
    grammar: Grammar,
    *,
    folders: Mapping[Split, str] = FOLDERS,
    terms: str = "",
) -> Dataset:
    """Parse every name in every split's folder by one grammar; DatasetError where one is empty."""
    splits: dict[Split, tuple[Sample, ...]] = {}
    notes: list[str] = []
    for split, folder in folders.items():
        listing = list_pictures(root / folder, root)
        samples, said = read_names(listing, split, name, grammar, root / folder)
        if not samples:
            raise DatasetError(f"{name}: {root / folder} holds no picture. Unpack the data set there again.")
        splits[split] = tuple(samples)
        notes += said
    return with_splits(Dataset(name, version, root, notes=tuple(notes), terms=terms), splits)
