"""The peers' own files, loaded alone: their packages import a great deal more than is measured here."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


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


def _installed(package: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    return [str(Path(place).parent) for place in (spec.submodule_search_locations or [])] if spec else []
