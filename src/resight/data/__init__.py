"""Data sets, pixels, samplers and augmentation.

`load_dataset` reads any of `DATASETS`.  A new data set is one file, which ends in its `DatasetEntry`, and one row here.
torch is imported only when pixels are asked for.
"""

from __future__ import annotations

import importlib
import os
from collections import ChainMap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.data.dataset import Dataset, SplitCounts, attribute_columns
from resight.data.datasets import cuhk03, dukemtmcreid, market1501, msmt17, pku_reid_mini, sample, synergyreid
from resight.data.entry import DatasetEntry
from resight.data.formats import csv_table, folder_per_person, image_list, market_style
from resight.data.splits import hold_out, join
from resight.errors import DatasetNotFoundError, UnknownNameError
from resight.options import Option, call_options, check_call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resight.data.augment.augmenter import Augment as Augment
    from resight.data.augment.augmenter import Augmenter as Augmenter
    from resight.data.loading.base import Pixels as Pixels
    from resight.data.loading.cache import PixelCache as PixelCache
    from resight.data.loading.decode import decode as decode
    from resight.data.loading.open import open_pixels as open_pixels
    from resight.data.loading.stream import PixelStream as PixelStream
    from resight.data.samplers import PKSampler as PKSampler
    from resight.data.samplers import RandomSampler as RandomSampler

DATASETS: dict[str, DatasetEntry] = {
    "csv": csv_table.ENTRY,
    "cuhk03": cuhk03.ENTRY,
    "dukemtmcreid": dukemtmcreid.ENTRY,
    "folder": folder_per_person.ENTRY,
    "list": image_list.ENTRY,
    "market": market_style.ENTRY,
    "market1501": market1501.ENTRY,
    "msmt17": msmt17.ENTRY,
    "pku_reid_mini": pku_reid_mini.ENTRY,
    "sample": sample.ENTRY,
    "synergyreid": synergyreid.ENTRY,
}
ALIASES = {alias: name for name, entry in DATASETS.items() for alias in entry.aliases}
DATA_HOME = "RESIGHT_DATA"  # the folder that is searched where no root is given

_LAZY = {
    "Augment": "augment.augmenter",
    "Augmenter": "augment.augmenter",
    "PKSampler": "samplers",
    "PixelCache": "loading.cache",
    "PixelStream": "loading.stream",
    "Pixels": "loading.base",
    "RandomSampler": "samplers",
    "decode": "loading.decode",
    "open_pixels": "loading.open",
}
__all__ = [
    "ALIASES",
    "DATASETS",
    "Augment",
    "Augmenter",
    "Dataset",
    "DatasetEntry",
    "PKSampler",
    "PixelCache",
    "PixelStream",
    "Pixels",
    "RandomSampler",
    "SplitCounts",
    "attribute_columns",
    "canonical_name",
    "decode",
    "hold_out",
    "join",
    "load_dataset",
    "open_pixels",
    "options_of",
    "protocol_of",
]


def load_dataset(name: str, root: str | Path | None = None, **options: object) -> Dataset:
    """Read a data set by name, or several joined by a plus, as in "market1501+msmt17".

    A named data set is that data set, by its published counts, or a DatasetError; `assert_counts="warn"` reads an
    altered copy all the same and marks its version.

    Args:
        name: a key of `DATASETS` or `ALIASES`, or several joined by "+".
        root: where it lies; without one the folder in the environment variable RESIGHT_DATA is searched.  The sample
            needs none, and takes none beside other sets.
        options: of the reader, as `boxes="labeled"`; of several sets, each takes those it knows.

    Raises:
        UnknownNameError: no such data set.
        UsageError: an option that no reader has.
        DatasetNotFoundError: the root does not exist.
        DatasetError: the files are not what was asked for.
    """
    names = [canonical_name(part) for part in name.split("+")]
    known = {one: options_of(one) for one in names}
    given = check_call(dict(ChainMap(*known.values())), options, f"data set {'+'.join(names)}")
    datasets = [
        DATASETS[one].read(_root_of(one, names, root), **{key: given[key] for key in known[one] if key in given})
        for one in names
    ]
    return datasets[0] if len(datasets) == 1 else join(datasets)


def options_of(name: str) -> dict[str, Option]:
    """The options a reader takes; of several data sets, those of any.

    Args:
        name: a data set, or several joined by +.

    Raises:
        UnknownNameError: there is no such data set.
    """
    known = (call_options(DATASETS[canonical_name(part)].read, {"root"}) for part in name.split("+"))
    return dict(ChainMap(*known))


def protocol_of(name: str) -> Mapping[str, object]:
    """Fields of `resight.evaluation.Protocol` in which a data set's rules differ from Market-1501's; {} for most."""
    entry = DATASETS.get(name)
    return {} if entry is None else entry.protocol


def canonical_name(name: str) -> str:
    """The key of `DATASETS` for a name as people write it: `Market-1501` is market1501.

    Args:
        name: upper or lower case, with hyphens or spaces, or an alias such as duke.

    Raises:
        UnknownNameError: there is no such data set.
    """
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    plain = ALIASES.get(plain, plain)
    if plain not in DATASETS:
        raise UnknownNameError("data set", name, [*DATASETS, *ALIASES])
    return plain


def _root_of(name: str, names: list[str], root: str | Path | None) -> Path | None:
    if name == "sample" and (root is None or len(names) > 1):
        return None
    if root is not None:
        return Path(root).expanduser()
    home = os.environ.get(DATA_HOME)
    if not home:
        raise DatasetNotFoundError(
            f"{name}: no root given and {DATA_HOME} is not set. Say where the data lie (--root, data.root), or set "
            f"{DATA_HOME} to the folder that holds your data sets."
        )
    return Path(home).expanduser()


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"resight.data.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
