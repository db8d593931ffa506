"""One folder per split, in Market-1501's layout, and the reading of such folders by one grammar."""

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
TEST_FOLDERS = [FOLDERS["query"], FOLDERS["gallery"]]
# Market-1501's names as others use them: numbers of any width, sequence and box optional
MARKET = regex_grammar(
    "PID_cC[sS]_FRAME[_BOX].jpg",
    "0001_c1s1_001051_00.jpg",
    r"(?P<pid>-1|\d{1,18})_c(?P<camid>\d{1,18})(?:s\d+)?_(?P<frame>\d{1,18})(?:_\d+)?",
)


def has_test_folders(root: Path) -> bool:
    """Whether a folder has Market-1501's folders of the test."""
    return all((root / folder).is_dir() for folder in TEST_FOLDERS)


def first_names(root: Path, count: int = 20) -> list[str]:
    """The first names of the training folder, or of the queries where there is no training folder."""
    folder = next((root / name for name in (FOLDERS["train"], FOLDERS["query"]) if (root / name).is_dir()), None)
    return [] if folder is None else [path.name for path in list_pictures(folder, root).pictures[:count]]


def read_splits(
    name: str,
    version: str,
    root: Path,
    grammar: Grammar,
    *,
    folders: Mapping[Split, str] = FOLDERS,
    terms: str = "",
) -> Dataset:
    """Parse every name in every split's folder by one grammar.

    A copy without the training folder is read for evaluation only, and a note says so.

    Raises:
        DatasetError: a folder of the test is empty, or its names do not match.
    """
    splits: dict[Split, tuple[Sample, ...]] = {}
    notes: list[str] = []
    for split, folder in folders.items():
        if split == "train" and not (root / folder).is_dir():
            notes.append(f"there is no {folder}: this copy can be evaluated on, not trained on")
            continue
        listing = list_pictures(root / folder, root)
        samples, said = read_names(listing, split, name, grammar, root / folder)
        if not samples:
            raise DatasetError(f"{name}: {root / folder} holds no picture. Unpack the data set there again.")
        splits[split] = tuple(samples)
        notes += said
    return with_splits(Dataset(name, version, root, notes=tuple(notes), terms=terms), splits)
