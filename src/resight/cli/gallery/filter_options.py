"""The options that choose among the records of a gallery, the same for every verb."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")
Chosen = dict[str, Any]  # the conditions given, by their name in `resight.gallery.Filter`
NAMED = {
    "cameras": ("--camera", "Only this camera."),
    "exclude_cameras": ("--exclude-camera", "Not this camera."),
    "pids": ("--pid", "Only this person."),
    "exclude_pids": ("--exclude-pid", "Not this person."),
    "labels": ("--label", "Only this label."),
    "sources": ("--source", "Only this source, or what is below it where it ends in a slash."),
}


def filter_options(function: F) -> F:
    """Adds the options; the command gets those given as one argument, `chosen`."""

    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> Any:
        given = {name: options.pop(name) for name in (*NAMED, "after", "before")}
        chosen = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items() if value}
        return function(*args, chosen=chosen, **options)

    decorated: Any = wrapped
    decorated = click.option("--before", help="Only before this time.")(decorated)
    decorated = click.option("--after", help="Only from this time on: 2026-03-01T14:05, UTC without a zone.")(decorated)
    for name, (flag, words) in reversed(NAMED.items()):
        decorated = click.option(flag, name, multiple=True, help=f"{words}  May be repeated.")(decorated)
    return cast("F", decorated)
