"""The synthetic people that come with the package: nobody's picture, nobody's permission needed."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from resight.data.dataset_ops import without_junk
from resight.data.formats.attributes_csv import with_sidecar
from resight.data.formats.filenames import find_root
from resight.data.formats.split_folders import FOLDERS, MARKET, read_splits

if TYPE_CHECKING:
    from resight.data.dataset import Dataset

TERMS = "Apache-2.0, made by this project. The people do not exist."


def read(root: Path | None = None) -> Dataset:
    """The bundled sample; `root` is only for a copy of it elsewhere."""
    where = root if root is not None else Path(str(files("resight") / "synth" / "sample"))
    where = find_root("sample", where, list(FOLDERS.values()))
    return without_junk(with_sidecar(read_splits("sample", "bundled", where, MARKET, terms=TERMS)))
