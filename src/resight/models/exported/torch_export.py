"""Programs saved by torch.export (.pt2), looked through before torch may load them.

`torch.export.load` trusts its file: it unpickles, looks operators up by dotted path anywhere in torch, evaluates
expressions and can run compiled libraries.  What an export of ours holds is much less, and only that is let through:
plain tensors, operators of ATen, and arithmetic on shapes.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from resight.errors import CheckpointError
from resight.models.exported.description import KEY, Description

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORDS = re.compile(
    r"(\.data/(version|serialization_id)|version|byteorder|archive_format|archive_version|extra/resight\.json"
    r"|models/model\.json|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)|data/sample_inputs/model\.pt)"
)
OPERATORS = re.compile(
    r"torch\.ops\.aten\.(?!from_file\b|set_\b|set\b|\w*unsafe|_print)\w+\.\w+"
    r"|torch\.ops\.higher_order\.wrap_with_(autocast|set_grad_enabled)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|neg|pow|eq|ne|lt|le|gt|ge|getitem)"
    r"|torch\.sym_(max|min|float|int|not|sum)|math\.(ceil|floor|trunc)"
)
WORDS = re.compile(r"[A-Za-z_][\w.]*|[^\w\s]")  # what an expression on shapes is made of, numbers aside
EXPRESSION = frozenset("+-*/(),=") | {
    "Symbol", "Integer", "Rational", "Mul", "Add", "Pow", "Max", "Min", "Mod", "PythonMod", "FloorDiv", "CeilDiv",
    "positive", "integer", "True",
}  # fmt: skip
NAME = re.compile(r"'[a-z]{1,4}\d{0,6}'")
CONTAINERS = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict"})


class TorchExportFile:
    """A program of torch.export on the CPU.  Nothing but its operators is executed."""

    def __init__(self, path: Path) -> None:
        text = check_archive(path)
        self.description = Description.from_json(text, path)
        try:
            self.program: Any = torch.export.load(str(path)).module()
        except Exception as error:  # whatever a damaged file brings up in there
            raise CheckpointError(
                f"torch cannot open {path}: {type(error).__name__}. Export the model again."
            ) from error

    def run(self, images: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.program(images)  # type: ignore[no-any-return]


def check_archive(path: Path) -> str | None:
    """The description in the archive.  Raises CheckpointError for anything in it that an export does not need."""
    try:
        reader = torch._C.PyTorchFileReader(str(path))
        names = reader.get_all_records()
        _refuse(path, "record", [name for name in names if not RECORDS.fullmatch(name)])
        parts = {name: json.loads(reader.get_record(name)) for name in names if name.endswith(".json")}
        for name in names:
            if name.endswith(".pt") and (record := reader.get_record(name)):  # empty in exports of ours
                torch.load(io.BytesIO(record), weights_only=True)
        _refuse(path, "value", [*_strangers(parts["models/model.json"]), *_pickles(parts)])
    except CheckpointError:
        raise
    except Exception as error:  # torch's reader has no class of error of its own
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160] if str(error).strip() else ''}"
        raise CheckpointError(
            f"{path} is not an exported model ({reason}). It may be damaged; copy it again."
        ) from error
    return json.dumps(parts[f"extra/{KEY}.json"]) if f"extra/{KEY}.json" in parts else None


def _refuse(path: Path, kind: str, found: list[str]) -> None:
    if found:
        raise CheckpointError(
            f"{path} holds a {kind} that no export of resight needs ({found[0][:120]!r}) and that loading might "
            f"execute. It was not opened."
        )


def _pickles(parts: dict[str, Any]) -> Iterator[str]:
    for name, part in parts.items():
        if name.endswith("_config.json"):
            yield from (key for key, entry in part["config"].items() if entry["use_pickle"] is not False)


def _strangers(model: Any) -> Iterator[str]:
    """Values of a program that would be looked up, evaluated or imported, and are none of the known ones."""
    yield from model.get("guards_code") or []
    for key, value in _entries(model):
        unknown_operator = key in ("target", "as_operator") and not OPERATORS.fullmatch(str(value))
        if unknown_operator or (key == "expr_str" and not _is_arithmetic(str(value))):
            yield str(value)
        elif key in ("in_spec", "out_spec"):
            yield from _strange_containers(json.loads(value) if isinstance(value, str) else value)
        elif key in ("as_custom_obj", "__enum__", "as_script_obj", "as_opaque"):
            yield key


def _is_arithmetic(text: str) -> bool:
    return all(word in EXPRESSION for word in WORDS.findall(NAME.sub("", text)))


def _strange_containers(spec: Any) -> Iterator[str]:
    for key, value in _entries(spec):
        if key == "type" and value not in CONTAINERS:
            yield str(value)


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, to the bottom."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield key, part
            yield from _entries(part)
    elif isinstance(value, list):
        for part in value:
            yield from _entries(part)
