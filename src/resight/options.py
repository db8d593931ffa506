"""From the words of a recipe to a model's typed options, and back to plain JSON."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from resight.errors import UsageError

T = TypeVar("T")

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]

JSON = dict[str, Any]


def resolve(kind: type[T], name: str, *layers: Mapping[str, Any]) -> T:
    """`kind`'s defaults, overlaid by each layer in turn.

    A nested group may be given whole, in part, or by its name: backbone = "resnet18" means backbone.name =
    "resnet18".  Raises UsageError with the valid options and types.
    """
    merged: JSON = plain(kind())
    for layer in layers:
        merged = overlay(kind, merged, layer)
    refuse_unknown(kind, name, merged)
    try:
        return TypeAdapter(kind).validate_python(merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "options"
        raise UsageError(
            f"{name}: {key} = {first['input']!r} is not valid ({first['msg']}). Valid: {describe(kind)}."
        ) from error


def overlay(kind: Any, below: Mapping[str, Any], above: Mapping[str, Any]) -> JSON:
    merged = dict(below)
    groups = nested(kind)
    for key, value in above.items():
        if key in groups:
            given = {"name": value} if isinstance(value, str) else plain(value)
            merged[key] = overlay(groups[key], merged[key], given) if isinstance(given, Mapping) else given
        else:
            merged[key] = value
    return merged


def nested(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind) if dataclasses.is_dataclass(hints[f.name])}


def refuse_unknown(kind: Any, name: str, given: Mapping[str, Any]) -> None:
    known = [f.name for f in dataclasses.fields(kind)]
    for key in given:
        if key not in known:
            raise UsageError(f"{name} has no option {key!r}. Valid: {describe(kind)}.")
    for key, group in nested(kind).items():
        if isinstance(given[key], Mapping):
            refuse_unknown(group, f"{name}.{key}", given[key])


def plain(value: Any) -> Any:
    """Dataclasses to dictionaries and tuples to lists: what JSON would give back."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def describe(kind: Any) -> str:
    """`input_size: tuple[int, int] = (256, 128), ...`: every option with its type and default."""
    hints = typing.get_type_hints(kind)
    default = kind()
    shown = []
    for f in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[f.name]):
            inner = describe(hints[f.name])
            shown.append(f"{f.name} (a name, or a group of: {inner})")
        else:
            shown.append(f"{f.name}: {spell(hints[f.name])} = {getattr(default, f.name)!r}")
    return ", ".join(shown)


def spell(hint: Any) -> str:
    """A type as a reader of TOML would say it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(repr(a) for a in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(spell(a) for a in arguments if a is not type(None))
    return hint.__name__ if isinstance(hint, type) and origin is None else str(hint).rpartition(".")[2]
