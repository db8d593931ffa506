"""What verbs print and write: console, progress, JSON, contact sheets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from PIL.Image import Image
    from rich.console import Console

    from resight.data import Dataset
    from resight.training.monitoring.progress import Bar, Display

JSON_FILE = "resight.json"  # in a command's context: the file that `--json` named
JPEG_LIMIT, WEBP_LIMIT = 65_500, 16_383  # pixels on a side


def example(*lines: str) -> str:
    """The end of a help text: commands to paste."""
    return "\b\nExample:\n  " + "\n  ".join(lines)


def console() -> Console:
    """The console for progress and notes: standard error, so that standard output holds the result alone."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True)


def table_console() -> Console:
    """Standard output for tables: as wide as the terminal, and wide enough where there is none."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=140)


def bar() -> Bar:
    """A progress bar on standard error."""
    from resight.training.monitoring.progress import Bar

    return Bar(console())


def counting(display: Display, title: str) -> Callable[[int, int], None]:
    """A progress function (done, total) that draws a bar from its first call."""
    began = False

    def progress(done: int, total: int) -> None:
        nonlocal began
        if not began:
            display.begin(title, total, done)  # what was done before does not count for the speed
            began = True
        display.advance(done, f"{done:,} of {total:,}")
        if done >= total:
            display.end()

    return progress


def print_json(value: Any) -> None:
    """Write a result as JSON to standard output, or to the file that `--json` named."""
    text = json.dumps(value, indent=1, allow_nan=False, default=str)
    file: Path | None = click.get_current_context().meta.get(JSON_FILE)
    if file is None:
        click.echo(text)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n", encoding="utf-8")
    click.echo(f"result: {file}", err=True)


def result(as_json: bool, record: Any, text: str) -> None:
    """Print a result: as JSON where that was asked for, else as text."""
    if as_json:
        print_json(record)
    else:
        click.echo(text)


def left_out(reasons: Iterable[str]) -> None:
    """Print what could not be used, a line each, on standard error."""
    for reason in reasons:
        click.echo(f"left out: {reason}", err=True)


def save_sheet(image: Image, path: Path) -> Path:
    """Save a sheet; a picture too large for its format as PNG beside it, and a line says so.

    Returns:
        The file written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name, limit = ("WebP", WEBP_LIMIT) if path.suffix.lower() == ".webp" else ("JPEG", JPEG_LIMIT)
    if max(image.size) > limit and path.suffix.lower() != ".png":
        width, height = image.size
        click.echo(f"{path}: {name} allows {limit:,} pixels a side, the sheet has {width:,} x {height:,}", err=True)
        path = path.with_suffix(".png")
    image.save(path)
    return path


def say_left_out(dataset: Dataset) -> Dataset:
    """The data set, once what its reader left out is printed on standard error."""
    from resight.data.doctor.label_checks import left_out

    for finding in left_out(dataset):
        click.echo(str(finding), err=True)
    return dataset


def next_step(*commands: str) -> None:
    """Print what to do next, on standard error."""
    for command in commands:
        click.echo(f"next:    {command}", err=True)
