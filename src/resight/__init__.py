"""resight: train, evaluate, search and serve person re-identification.

    import resight
    model = resight.load_model("runs/demo")
    embed = resight.Extractor(model)
    vectors = embed(["a.jpg", "b.jpg"])                 # (2, D) float32, unit length

The public names are loaded when they are first used, so `import resight` is immediate.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from resight._version import __version__ as __version__

if TYPE_CHECKING:
    from resight import evaluation, losses, models
    from resight.data import Dataset, load_dataset
    from resight.errors import ResightError
    from resight.gallery import Gallery
    from resight.inference import Extractor, Result, Vectors
    from resight.inference.evaluate import evaluate
    from resight.models import load_model
    from resight.recipe import Recipe
    from resight.run import Run, train
    from resight.serving import Client
    from resight.types import Batch, ReIDOutput, Sample

_WHERE = {
    "Batch": "types", "Client": "serving", "Dataset": "data", "Extractor": "inference", "Gallery": "gallery",
    "Recipe": "recipe", "ReIDOutput": "types", "ResightError": "errors", "Result": "inference", "Run": "run",
    "Sample": "types", "Vectors": "inference", "evaluate": "inference", "load_dataset": "data", "load_model": "models",
    "train": "run",
}  # fmt: skip
_MODULES = ("evaluation", "losses", "models")

__all__ = [
    "Batch", "Client", "Dataset", "Extractor", "Gallery", "ReIDOutput", "Recipe", "ResightError", "Result", "Run",
    "Sample", "Vectors", "evaluate", "evaluation", "load_dataset", "load_model", "losses", "models", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"resight.{_WHERE[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"resight.{name}")
    raise AttributeError(f"module 'resight' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
