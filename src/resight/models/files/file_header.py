"""The header of a model file: the specification of the model, and the shapes of its tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from resight.errors import CheckpointError
from resight.models.base import ModelSpec
from resight.models.registry import MODELS, PRESETS

KEY = "resight"


def is_described(path: Path) -> bool:
    """Whether a file is ours, or at least no other project's: those hold tensors and no description."""
    if path.suffix != ".safetensors":
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return True  # reading the header says what is wrong with it


def read_header(path: Path) -> tuple[ModelSpec, dict[str, tuple[int, ...]]]:
    """The specification and the tensors' shapes, without reading a tensor."""
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        if text is None:
            raise CheckpointError(
                f"{path} holds tensors but no description of a model. Files of other programs can serve as "
                f"backbone.weights of a new model."
            )
        spec = json.loads(text)["spec"]
        name, options = str(spec["name"]), dict(spec["options"])
        return ModelSpec(name, int(spec["num_ids"]), earlier_options(name, options)), shapes
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        if (kind := other_format(path)) is not None:
            raise CheckpointError(
                f"{path} is {kind}, not a model file of resight (safetensors with a description of the model)."
            ) from error
        raise CheckpointError(
            f"{path} is not a model file of resight ({type(error).__name__}: {error}). It may be damaged; "
            f"copy it again, or save it with resight.models.save_model."
        ) from error


def earlier_options(name: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options of a file that an earlier version wrote, as this one calls them."""
    kind = MODELS.get(PRESETS.get(name, (name, {}))[0])
    return options if kind is None else kind.Options.from_earlier(options)


def other_format(path: Path) -> str | None:
    """What a file of another program is, by its first bytes; None where they tell nothing."""
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"PK\x03\x04"):
        return "a zip archive, as torch.save writes checkpoints (.pth, .pt)"
    if start.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return "a pickle, as older versions of torch.save wrote checkpoints (.pth), which is not opened"
    if start.startswith(b"\x89HDF\r\n"):
        return "an HDF5 file, as Keras writes weights (.h5)"
    return "an ONNX file" if path.suffix.lower() == ".onnx" else None
