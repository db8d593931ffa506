"""Overrides of a recipe: `key.path=value` settings, written into its plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_type_hints

from resight import data, losses, models, options
from resight.errors import RecipeError, UsageError
from resight.options import Option

# The options that the named loss, model or reader takes, by the table that names it.
NAMED: dict[str, tuple[str, Callable[[str], Mapping[str, Option]]]] = {
    "data": ("name", lambda name: data.options_of(name)),
    "model": ("name", lambda name: options.field_options(type(models.options_of(name)))),
    "terms": ("loss", lambda name: losses.options_of(name)),
}


def exchanges(path: str) -> bool:
    """Whether the key names a data set, a model or a term's loss."""
    return path in ("data.name", "model.name") or (path.startswith("objective.terms.") and path.endswith(".loss"))


def assign(values: dict[str, Any], path: list[str], text: str, kind: type) -> None:
    """Set the value at a path, or take it away where there is no text; list items by number or by their `name`.

    kind: the dataclass whose plain values these are.
    """
    here: Any = values
    for depth, key in enumerate(path[:-1]):
        here = _enter(here, key, path[: depth + 1])
    where, last = ".".join(path), path[-1]
    if isinstance(here, list):
        position = _position(here, last, where)
        if text:
            here[position] = options.value_of(text)
        else:
            del here[position]
    elif not isinstance(here, dict):
        raise RecipeError(f"{where}: {'.'.join(path[:-1])} is a single value, it has no {last!r}.")
    elif not text:
        if last not in here:
            raise RecipeError(f"{where}: there is nothing to take away; known here: {', '.join(here)}.")
        del here[last]
    else:
        known = _options_at(here, path)
        value = options.value_of(text, known[last].type if last in known else _type_at(kind, path))
        if exchanges(where) and value != here.get(last):
            _forget_options(here, path, str(value))
        here[last] = value


def _enter(here: Any, key: str, path: list[str]) -> Any:
    where = ".".join(path)
    if isinstance(here, list):
        return here[_position(here, key, where)]
    if isinstance(here, dict) and path[0] == "model" and len(path) > 1:  # a group of the model's, whole or by its name
        group = here.get(key, {})
        here[key] = {"name": group} if isinstance(group, str) else group
    if not isinstance(here, dict) or key not in here:
        known = ", ".join(here) if isinstance(here, dict) else "nothing"
        raise RecipeError(f"{where}: there is no such table; known here: {known}.")
    return here[key]


def _position(items: list[Any], key: str, path: str) -> int:
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if key in names:
        return names.index(key)
    if key.isdecimal() and int(key) < len(items):
        return int(key)
    raise RecipeError(f"{path}: no item {key!r}; there are {', '.join(map(str, names))}.")


def _options_at(table: Mapping[str, Any], path: list[str]) -> Mapping[str, Option]:
    """What the loss, model or reader named in the table at `path` takes."""
    key, known = NAMED.get(path[-3] if path[0] == "objective" and len(path) == 4 else path[0], ("", None))
    name = table.get(key)
    try:
        return known(name) if known is not None and isinstance(name, str) and len(path) in (2, 4) else {}
    except UsageError:  # an unknown name is answered where it is used
        return {}


def _forget_options(table: dict[str, Any], path: list[str], name: str) -> None:
    """Take the options of what was named so far out of its table, but for those that `name` has, too."""
    before, after = _options_at(table, path), _options_at({**table, path[-1]: name}, path)
    for option in [option for option in table if option in before and option not in after]:
        del table[option]


def _type_at(kind: Any, path: list[str]) -> Any:
    """The type of the key at a path, as far as the dataclasses tell."""
    for key in path:
        if dataclasses.is_dataclass(kind):
            kind = get_type_hints(kind).get(key, Any)
        else:  # an item of a tuple or a dict
            kind = next((inner for inner in get_args(kind) if dataclasses.is_dataclass(inner)), Any)
    return kind
