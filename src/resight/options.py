"""Options: the values of recipes, models, losses, readers and sweeps, read and checked in one way.

    read(TrainConfig, {"epochs": 80})                     # a dataclass from plain values, or an error with the key
    call_options(TriHard)                                 # what a class or a function takes, with types and defaults
    settings(["optim.lr=1e-4", "data.root=2024"])         # KEY=VALUE of a command line, in TOML

Every error starts with the path of the key and says what was found and what is valid.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import functools
import inspect
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from pydantic import Field, TypeAdapter, ValidationError

from resight.errors import OptionError, RecipeError, UnknownNameError

T = TypeVar("T")

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]

JSON = dict[str, Any]
OPEN = "options"  # the field of a dataclass that takes the keys it does not know


# Values of a command line


def setting(text: str) -> tuple[str, str]:
    """ "KEY=VALUE" as key and text.  Raises RecipeError where there is no equals sign."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"{text!r}: found no KEY=VALUE; expected such as train.epochs=80 or boxes=labeled.")
    return key.strip(), value.strip()


def value_of(text: str, kind: Any = Any) -> Any:
    """A TOML value; a bare word is text, and so is everything where `kind`, the option's type, is text."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    if isinstance(value, datetime.date | datetime.time) or (admits(kind, str) and not admits(kind, type(value))):
        return value if isinstance(value, str) else text
    return value


def settings(texts: Iterable[str], known: Mapping[str, Option]) -> JSON:
    """KEY=VALUE, each for one of the `known` options."""
    pairs = [setting(text) for text in texts]
    return {key: value_of(text, known[key].type if key in known else Any) for key, text in pairs}


def admits(kind: Any, value: type) -> bool:
    """Whether an option of this type may be a `value`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or origin is Annotated:
        return kind is Any or admits(arguments[0], value)
    if origin is typing.Literal:
        return any(isinstance(argument, value) for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return any(admits(argument, value) for argument in arguments)
    base = origin or kind
    if value is list:
        return isinstance(base, type) and issubclass(base, collections.abc.Sequence) and base is not str
    return base is value or (base is float and value is int) or (base is Path and value is str)


# What a class or a function takes


@dataclasses.dataclass(frozen=True)
class Option:
    """One option: its type and its default, `inspect.Parameter.empty` where it has to be given."""

    type: Any
    default: Any

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


def call_options(call: Callable[..., Any], leave_out: Iterable[str] = ()) -> dict[str, Option]:
    """The options of a function, or of a class and, where it passes more on, of its ancestors."""
    if not isinstance(call, type):
        return _parameters(call, leave_out)[0]
    known: dict[str, Option] = {}
    for ancestor in call.__mro__:
        if "__init__" in vars(ancestor):
            found, passes_on = _parameters(vars(ancestor)["__init__"], {"self", *leave_out})
            known |= {name: option for name, option in found.items() if name not in known}
            if not passes_on:
                break
    return known


def _parameters(call: Callable[..., Any], leave_out: Iterable[str]) -> tuple[dict[str, Option], bool]:
    parameters = inspect.signature(call).parameters.values()
    named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name not in leave_out]
    hints = _types(call)
    options = {p.name: Option(hints.get(p.name, Any), p.default) for p in named}
    return options, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _types(call: Callable[..., Any]) -> dict[str, Any]:
    """The types of the parameters; none where they have names that only type checkers see."""
    try:
        return typing.get_type_hints(call, localns={**vars(collections.abc), "Path": Path}, include_extras=True)
    except NameError:
        return {}


def field_options(kind: Any) -> dict[str, Option]:
    """The options of a dataclass."""
    hints, default = typing.get_type_hints(kind, include_extras=True), kind()
    return {name: Option(hints[name], getattr(default, name)) for name in keys_of(kind)}


def check_call(known: Mapping[str, Option], given: Mapping[str, Any], what: str) -> JSON:
    """`given` with its types made right.  Raises OptionError for an option unknown, missing or of a wrong value."""
    refuse_unknown(given, known, what)
    for name, option in known.items():
        if option.required and name not in given:
            raise OptionError(f"{name}: found nothing; {what} needs a value of {spell(option.type)}.")
    return {name: _checked(known[name].type, value, name) for name, value in given.items()}


def _checked(kind: Any, value: Any, path: str) -> Any:
    try:
        checked = TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise OptionError("; ".join(explain(item, path) for item in error.errors())) from error
    if isinstance(value, str) and not isinstance(checked, str | Path):  # "yes" is text, not true
        raise OptionError(f"{path}: found {value!r}; expected {spell(kind)}.")
    return checked


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str, path: str = "") -> None:
    """Raises OptionError for the first key that is none of `known`."""
    names = list(known)
    for key in given:
        if key not in names:
            raise OptionError(f"{path}{key}: {UnknownNameError(f'option of {what}' if what else 'key', key, names)}")


# Dataclasses


def read(kind: type[T], values: Mapping[str, Any], what: str = "") -> T:
    """A dataclass, with those inside it, from plain values.

    A key that a dataclass does not know goes into its field `options`, where it has one.  Fields whose metadata says
    `key = False` are not read.

    Raises:
        OptionError: a key is unknown, is called otherwise now, or has a value that is not valid.
    """
    folded = _fold(kind, values, "", what)
    try:
        return cast("T", _adapter(cast("Any", kind)).validate_python(folded))
    except ValidationError as error:
        raise OptionError("; ".join(explain(item) for item in error.errors())) from error


@functools.cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Made once for each dataclass: it takes longer than all that it checks."""
    return TypeAdapter(kind)


def explain(item: Any, path: str = "") -> str:
    """One error of pydantic: the path of the key, what was found, what is valid."""
    where = path + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"])
    return f"{where.lstrip('.')}: found {item['input']!r}; {item['msg'][0].lower()}{item['msg'][1:]}"


def keys_of(kind: Any) -> list[str]:
    """The keys a dataclass is read from."""
    return [f.name for f in dataclasses.fields(kind) if f.metadata.get("key", True)]


def _fold(kind: Any, values: Any, path: str, what: str) -> Any:
    """Check the keys of a table against its dataclass, and put those it does not know into `options`."""
    if not isinstance(values, Mapping):
        return values  # pydantic says what was expected
    known, hints, folded = keys_of(kind), typing.get_type_hints(kind), {}
    refuse_renamed(values, getattr(kind, "RENAMED", {}), path)
    if OPEN not in known:
        refuse_unknown(values, known, what, path)
    for key, value in values.items():
        if key in known:
            folded[key] = _fold_inner(hints[key], value, f"{path}{key}", what)
        else:
            folded.setdefault(OPEN, {})[key] = value
    return folded


def _fold_inner(hint: Any, value: Any, path: str, what: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _fold(hint, value, f"{path}.", what)
    inner = [argument for argument in typing.get_args(hint) if dataclasses.is_dataclass(argument)]
    if inner and isinstance(value, Mapping):
        return {key: _fold(inner[0], item, f"{path}.{key}.", what) for key, item in value.items()}
    if inner and isinstance(value, list):
        return [_fold(inner[0], item, f"{path}[{number}].", what) for number, item in enumerate(value)]
    return value


def refuse_renamed(given: Iterable[str], renamed: Mapping[str, str], path: str = "") -> None:
    """Raises OptionError for a key that is called otherwise now."""
    for key in given:
        if key in renamed:
            raise OptionError(f"{path}{key}: this key is now called {renamed[key]!r}.")


def resolve(kind: type[T], name: str, *layers: Mapping[str, Any]) -> T:
    """`kind`'s defaults, overlaid by each layer in turn.

    A nested group may be given whole, in part, or by its name: backbone = "resnet18" means backbone.name =
    "resnet18".  Raises OptionError.
    """
    merged: JSON = plain(kind())
    for layer in layers:
        merged = overlay(kind, merged, layer)
    return read(kind, merged, name)


def overlay(kind: Any, below: Mapping[str, Any], above: Mapping[str, Any]) -> JSON:
    """`below` with the values of `above`; groups are merged."""
    merged, groups = dict(below), nested(kind)
    for key, value in above.items():
        if key in groups:
            given = {"name": value} if isinstance(value, str) else plain(value)
            merged[key] = overlay(groups[key], merged[key], given) if isinstance(given, Mapping) else given
        else:
            merged[key] = value
    return merged


def nested(kind: Any) -> dict[str, Any]:
    """The fields of a dataclass that are dataclasses."""
    hints = typing.get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind) if dataclasses.is_dataclass(hints[f.name])}


def plain(value: Any) -> Any:
    """Dataclasses to dictionaries and tuples to lists: what JSON would give back; `options` join the other keys."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        values = {name: plain(getattr(value, name)) for name in keys_of(value)}
        return values | values.pop(OPEN, {})
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def spell(hint: Any) -> str:
    """A type as a reader of TOML would say it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(repr(a) for a in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(spell(a) for a in arguments if a is not type(None))
    return hint.__name__ if isinstance(hint, type) and origin is None else str(hint).rpartition(".")[2]
