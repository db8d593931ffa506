"""MATLAB files, which need the extra `formats` (scipy for v5, h5py for v7.3)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from resight.errors import DatasetError, MissingExtraError


def optional(module: str, feature: str) -> Any:
    """An optional module of the extra `formats`, or the line that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(feature, "formats") from None


def load_mat(file: Path) -> dict[str, Any]:
    """Variables of a MATLAB v5 file, structures as dictionaries; DatasetError where it is none."""
    io = optional("scipy.io", f"{file.name} (a MATLAB file)")
    try:
        table: dict[str, Any] = io.loadmat(file, simplify_cells=True)
    except Exception as broken:  # scipy raises whatever the bytes lead it to
        raise DatasetError(f"{file} cannot be read as a MATLAB v5 file: {broken}. Fetch it again.") from broken
    return table
