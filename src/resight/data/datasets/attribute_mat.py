"""The attribute files of Market-1501 and DukeMTMC-reID (Lin et al., Pattern Recognition 2019), read by name.

Every person has one row; values count from 1 in the file and from 0 here.  One head per attribute; the
colors, which the file spreads over yes-or-no fields, become two heads, `upcolor` and `downcolor`.  A
color that is set nowhere or more than once, and a value outside the table (Duke's `top` is 0 twice), is left
unannotated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from resight.data.dataset import Dataset, add_notes
from resight.data.dataset_ops import map_samples
from resight.data.formats.mat_file import load_mat
from resight.errors import DatasetError
from resight.types import Sample


@dataclass(frozen=True)
class AttributeFile:
    """One attribute file: its name, its structure's name, how many values each head has, the colors in order."""

    file: str
    struct: str
    heads: Mapping[str, int]
    up: tuple[str, ...]
    down: tuple[str, ...]


# Colors in the order of the public evaluation code, which is not the order of the file's fields.
MARKET1501 = AttributeFile(
    "market_attribute.mat",
    "market_attribute",
    {
        **dict.fromkeys(("gender", "hair", "up", "down", "clothes", "hat", "backpack", "bag", "handbag"), 2),
        "age": 4,
    },
    ("black", "white", "red", "purple", "gray", "blue", "green", "yellow"),
    ("black", "white", "pink", "gray", "blue", "green", "brown", "yellow", "purple"),
)
DUKE = AttributeFile(
    "duke_attribute.mat",
    "duke_attribute",
    dict.fromkeys(("backpack", "bag", "handbag", "boots", "gender", "hat", "shoes", "top"), 2),
    ("black", "white", "red", "purple", "gray", "blue", "green", "brown"),
    ("black", "white", "red", "gray", "blue", "green", "brown"),
)


def with_attribute_file(dataset: Dataset, where: bool | str | Path, form: AttributeFile) -> Dataset:
    """Add the attributes of a data set's MATLAB file: True looks in the root and beside it, a path is the file."""
    if where is False:
        return dataset
    file = _find(dataset.root, form.file) if where is True else Path(str(where))
    table = read_attribute_file(file, form)
    named = map_samples(dataset, lambda sample: _named(sample, table))
    without = len({s.pid for s in (*dataset.train, *dataset.query) if s.pid > 0} - table.keys())
    return add_notes(named, [f"persons without a row in {file.name}: {without:,}"] if without else [])


def _named(sample: Sample, table: Mapping[int, Mapping[str, int]]) -> Sample:
    return replace(sample, attributes={**sample.attributes, **table.get(sample.pid, {})})


def _find(root: Path, name: str) -> Path:
    for place in (root, root / "attribute", root.parent):
        if (place / name).is_file():
            return place / name
    raise DatasetError(f"{name} is neither in {root} nor beside it. Put it there, or pass its path as attributes=.")


def read_attribute_file(file: Path, form: AttributeFile) -> dict[int, dict[str, int]]:
    """Read an attribute file: pid -> head -> value from 0, of both its halves."""
    table = load_mat(file)
    try:
        halves = [table[form.struct][half] for half in ("train", "test")]
        return {pid: values for half in halves for pid, values in _read_half(half, form).items()}
    except (KeyError, TypeError, IndexError, ValueError) as broken:
        raise DatasetError(
            f"{file} is not {form.file}: it lacks {broken}. Expected a structure {form.struct} with train and test."
        ) from broken


def _read_half(half: Mapping[str, Any], form: AttributeFile) -> dict[int, dict[str, int]]:
    pids = [int(str(index)) for index in np.ravel(half["image_index"])]
    people: dict[int, dict[str, int]] = {pid: {} for pid in pids}
    for head, values in form.heads.items():
        for pid, value in zip(pids, np.ravel(half[head]), strict=True):
            if 1 <= value <= values:
                people[pid][head] = int(value) - 1
    for head, prefix, colors in (("upcolor", "up", form.up), ("downcolor", "down", form.down)):
        worn = np.stack([np.ravel(half[prefix + color]) == 2 for color in colors])  # (colors, persons)
        for pid, column in zip(pids, worn.T, strict=True):
            if column.sum() == 1:
                people[pid][head] = int(column.argmax())
    return people
