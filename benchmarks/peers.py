"""The peers' own code: single files of theirs where their packages import a great deal more than is measured here."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

DRAWING_AND_DOWNLOADING = ("cv2", "gdown")  # what torchreid imports and training does not touch


def torchreid_file(folder: Path | None, name: str) -> ModuleType | None:
    """A module of torchreid 0.2.5, such as 'metrics/rank'; None where it cannot be found.

    folder holds the package: `pip install --no-deps --target FOLDER torchreid==0.2.5`.
    """
    places = [folder] if folder else [Path(place) for place in _installed("torchreid")]
    for place in places:
        for path in (place / "torchreid" / "reid" / f"{name}.py", place / "torchreid" / f"{name}.py"):
            if path.exists():
                spec = importlib.util.spec_from_file_location(f"peer_{path.stem}", path)
                if spec and spec.loader:
                    module = importlib.util.module_from_spec(spec)
                    spec.loader.exec_module(module)
                    return module
    return None


def torchreid_package(folder: Path) -> Any:
    """torchreid 0.2.5 itself, from a folder it was installed into as above."""
    for name in DRAWING_AND_DOWNLOADING:
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = ModuleType(name)
    sys.path.insert(0, str(folder))
    return importlib.import_module("torchreid").reid


def _installed(package: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    return [str(Path(place).parent) for place in (spec.submodule_search_locations or [])] if spec else []
