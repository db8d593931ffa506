"""What the verbs share: the same options, the same console, the same way to say a result."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from resight.errors import ResightError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from resight.training.progress import Bar, Display

F = TypeVar("F", bound="Callable[..., Any]")

FILE = click.Path(path_type=Path)
JSON_FILE = "resight.json"
TRAINED = "synth_small"  # the weights that come with the package


def device_option(function: F) -> F:
    return click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")(function)


def json_option(function: F) -> F:
    """`--json` prints the result as JSON instead of words; `--json FILE` writes it there."""
    return click.option(
        "--json", "as_json", is_flag=False, flag_value="-", metavar="[FILE]", callback=_json_target,
        help="The result as JSON, on standard output or in FILE.",
    )(function)  # fmt: skip


def _json_target(context: click.Context, _: click.Parameter, value: str | None) -> bool:
    if value not in (None, "-") and not str(value).endswith(".json"):
        raise UsageError(f"--json takes nothing, or a file ending in .json; found {value!r}. Put a bare --json last.")
    context.meta[JSON_FILE] = None if value in (None, "-") else Path(str(value))
    return value is not None


def model_option(function: F) -> F:
    return click.option(
        "--model", type=FILE, default=TRAINED, show_default=True,
        help="Run folder, weights file, packaged name or hub id.",
    )(function)  # fmt: skip


def batch_option(function: F) -> F:
    return click.option(
        "--batch-size",
        "--batch",
        "batch_size",
        default=64,
        show_default=True,
        type=click.IntRange(min=1),
        help="Pictures computed together.",
    )(function)


def precision_option(function: F) -> F:
    return click.option(
        "--precision", default="auto", show_default=True, type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
        help="Number format of the model.  auto tries fp32 and bf16 once and takes the faster; fp16 on a GPU only.",
    )(function)  # fmt: skip


def distributed(function: F) -> F:
    """Under torchrun the processes of this verb meet first.  Only the first speaks; an error is said once."""

    @functools.wraps(function)
    def joined(**options: Any) -> Any:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return function(**options)
        from resight.dist.processes import first_to_report, process_group

        try:
            with process_group(options["device"]), contextlib.nullcontext() if first() else _mute():
                return function(**options)
        except ResightError as error:
            if first_to_report(str(error)):
                raise
            sys.exit(error.exit_code)

    return joined  # type: ignore[return-value]


def first() -> bool:
    """Whether this process is the one that writes: every one but the first of several is not."""
    from resight.dist import rank

    return rank() == 0


@contextlib.contextmanager
def _mute() -> Iterator[None]:
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


@contextlib.contextmanager
def interruptible(sentence: str) -> Iterator[None]:
    """SIGTERM stops like Ctrl-C, and both end with `sentence` and the exit code of what can be gone on with.

    For the moments in which nothing listens by itself, as the training loop does: while pictures are read, between
    the runs of a sweep.  Raises Interrupted.
    """
    from resight.errors import Interrupted

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(sentence) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def reader_option(function: F) -> F:
    """`--set KEY=VALUE` for the reader of a data set; `reader_options` reads it."""
    return click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE",
        help="An option of the data set's reader, as in boxes=labeled or cameras=ignore.",
    )(function)  # fmt: skip


def reader_options(settings: Sequence[str]) -> dict[str, object]:
    """KEY=VALUE with TOML values: split=3 is a number, boxes=labeled and whatever the option takes as text a word."""
    from resight import data, options

    return options.settings(settings, data.options_of("+".join(data.DATASETS)))


def example(*lines: str) -> str:
    """The end of every help text: something to paste."""
    return "\b\nExample:\n  " + "\n  ".join(lines)


def console() -> Console:
    """Progress and notes go to standard error, so that standard output stays clean for the result."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True)


def table_console() -> Console:
    """Standard output for tables: as wide as the terminal, and wide enough where there is none."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=140)


def bar() -> Bar:
    from resight.training.progress import Bar

    return Bar(console())


def counting(display: Display, title: str) -> Callable[[int, int], None]:
    """A progress function (done, total) that draws itself on first use."""
    began = False

    def progress(done: int, total: int) -> None:
        nonlocal began
        if not began:
            display.begin(title, total, done)  # what was there before says nothing about the speed
            began = True
        display.advance(done, f"{done:,} of {total:,}")
        if done >= total:
            display.end()

    return progress


def print_json(value: Any) -> None:
    """To where `--json` said."""
    text = json.dumps(value, indent=1, allow_nan=False, default=str)
    file: Path | None = click.get_current_context().meta.get(JSON_FILE)
    if file is None:
        click.echo(text)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n", encoding="utf-8")
    click.echo(f"result: {file}", err=True)
