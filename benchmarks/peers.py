"""The peers' own code: single files of theirs where their packages import a great deal more than is measured here.

uv run --group peers python benchmarks/reranking.py
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

MISSING = "not installed: uv run --group peers python ..."


def torchreid_file(name: str) -> ModuleType | None:
    """A module of torchreid 0.2.5 alone, such as 'metrics/rank'; None where the package is not installed."""
    for place in _installed("torchreid"):
        for path in (place / "reid" / f"{name}.py", place / f"{name}.py"):
            if path.exists():
                spec = importlib.util.spec_from_file_location(f"peer_{path.stem}", path)
                if spec and spec.loader:
                    module = importlib.util.module_from_spec(spec)
                    spec.loader.exec_module(module)
                    return module
    return None


def torchreid_package() -> Any:
    """torchreid 0.2.5 itself.  Raises SystemExit where it is not installed."""
    if not _installed("torchreid"):
        raise SystemExit(f"torchreid is {MISSING}")
    return importlib.import_module("torchreid").reid


def _installed(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
