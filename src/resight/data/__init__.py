"""Data sets, pixels, samplers and augmentation.

`load_dataset` reads any of `DATASETS`.  A new data set is one file with a grammar and a table of counts, and
one row here.  Nothing below needs torch until pixels are asked for.
"""

from __future__ import annotations

import importlib
import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.data.dataset import Dataset, SplitCounts, attribute_columns, dense_labels
from resight.data.datasets import cuhk03, dukemtmcreid, market1501, msmt17, pku_reid_mini, sample, synergyreid
from resight.data.formats import csv_table, folder_per_person, image_list, market_style
from resight.data.splits import hold_out, join
from resight.errors import DatasetError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from resight.data.augment.augmenter import Augment as Augment
    from resight.data.augment.augmenter import Augmenter as Augmenter
    from resight.data.loading.base import Pixels as Pixels
    from resight.data.loading.cache import PixelCache as PixelCache
    from resight.data.loading.decode import decode as decode
    from resight.data.loading.open import open_pixels as open_pixels
    from resight.data.loading.stream import PixelStream as PixelStream
    from resight.data.samplers import PKSampler as PKSampler
    from resight.data.samplers import RandomSampler as RandomSampler

DATASETS: dict[str, Callable[..., Dataset]] = {
    "csv": csv_table.read,
    "cuhk03": cuhk03.read,
    "dukemtmcreid": dukemtmcreid.read,
    "folder": folder_per_person.read,
    "list": image_list.read,
    "market": market_style.read,
    "market1501": market1501.read,
    "msmt17": msmt17.read,
    "pku_reid_mini": pku_reid_mini.read,
    "sample": sample.read,
    "synergyreid": synergyreid.read,
}
ALIASES = {
    "cuhk03_np": "cuhk03",
    "duke": "dukemtmcreid",
    "dukemtmc": "dukemtmcreid",
    "dukemtmc_reid": "dukemtmcreid",
    "market_1501": "market1501",
    "msmt": "msmt17",
    "pku": "pku_reid_mini",
    "pku_reid": "pku_reid_mini",
    "synergy": "synergyreid",
    "synergy_reid": "synergyreid",
    "synthetic": "sample",
}
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
    "PKSampler",
    "PixelCache",
    "PixelStream",
    "Pixels",
    "RandomSampler",
    "SplitCounts",
    "attribute_columns",
    "canonical_name",
    "decode",
    "dense_labels",
    "hold_out",
    "join",
    "load_dataset",
    "open_pixels",
    "options_known_to",
]


def load_dataset(name: str, root: str | Path | None = None, **options: object) -> Dataset:
    """Read a data set by name, or several joined by a plus, as in "market1501+msmt17".

    root     where it lies; without one the folder that RESIGHT_DATA names is searched.  The sample needs none,
             and beside other sets takes none
    options  what the reader takes, as `assert_counts="strict"`; of several sets, each takes those it knows

    Raises UnknownNameError for a name in no table, UsageError for an option no reader has, DatasetError where
    the files are not what was asked for.
    """
    names = [canonical_name(part) for part in name.split("+")]
    known = {one: options_known_to(one) for one in names}
    everything = sorted({option for those in known.values() for option in those})
    strange = sorted(set(options) - set(everything))
    if strange:
        raise UsageError(
            f"{'+'.join(names)} has no option {', '.join(strange)}; it takes {', '.join(everything) or 'none'}."
        )
    datasets = [
        DATASETS[one](_root_of(one, names, root), **{key: options[key] for key in known[one] if key in options})
        for one in names
    ]
    return datasets[0] if len(datasets) == 1 else join(datasets)


def options_known_to(name: str) -> list[str]:
    """The options a reader takes."""
    reader = DATASETS[canonical_name(name)]
    return [parameter for parameter in inspect.signature(reader).parameters if parameter != "root"]


def canonical_name(name: str) -> str:
    """The table's name for what a person may write: `Market-1501` is market1501."""
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
        raise DatasetError(
            f"{name}: no root given and {DATA_HOME} is not set. Say where the data lie (--root, data.root), or set "
            f"{DATA_HOME} to the folder that holds your data sets."
        )
    return Path(home).expanduser()


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"resight.data.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
