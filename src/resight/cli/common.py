"""Options, parameter types, console output and JSON that all verbs share."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import re
import signal
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from resight.errors import MissingExtraError, NotFoundError, ResightError, UsageError, suggestion
from resight.files import check_output, refuse_overwriting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from PIL.Image import Image
    from rich.console import Console

    from resight.data import Dataset
    from resight.training.monitoring.progress import Bar, Display

F = TypeVar("F", bound="Callable[..., Any]")

FILE = click.Path(path_type=Path)
JSON_FILE = "resight.json"
TRAINED = "synth_small"  # the weights that come with the package
SHEETS = (".png", ".jpg", ".jpeg", ".webp")
JPEG_LIMIT, WEBP_LIMIT = 65_500, 16_383  # pixels on a side
WEIGHTS = (".safetensors", ".onnx", ".pt2", ".xml", ".pth", ".pt")  # endings of files that can be a model
HUB_ID = re.compile(r"(?:hf:/{1,2}.+|[\w.-]+/[\w.-]+)")


class Output(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click
    """A file or folder to write, refused while the command line is read if it cannot be written.

    Args:
        folder: a folder, not a file; None: a file where the name has one of the endings, else a folder.
        endings: what a file may end in; any ending where left out.
        extras: ending -> (module, extra) that writing it needs.
    """

    name = "path"

    def __init__(
        self,
        *,
        folder: bool | None = False,
        endings: Sequence[str] = (),
        extras: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.folder, self.endings, self.extras = folder, tuple(endings), extras or {}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ARG002
        path, option = Path(value), param.opts[0] if param is not None else "--out"
        option = option if option.startswith("-") else option.upper()
        ending = path.suffix.lower()
        folder = ending not in self.endings if self.folder is None else self.folder
        if self.endings and ending not in self.endings and not folder:
            raise UsageError(f"{option} {path}: the file must end in {' or '.join(self.endings)}.")
        module, extra = self.extras.get(ending, ("", ""))
        if module and importlib.util.find_spec(module) is None:
            raise MissingExtraError(f"a {ending} file", extra)
        check_output(path, folder=folder, option=option)
        return path


class Model(click.ParamType):  # type: ignore[type-arg]
    """A model: a run folder, a weights file, the name of packaged weights, or a hub id owner/name."""

    name = "model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ARG002
        path = Path(value)
        packaged = packaged_weights()
        if path.exists() or str(value) in packaged:
            return path
        if HUB_ID.fullmatch(str(value)) and not path.parent.exists():
            return path
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        names = [near.name for near in beside if near.is_dir() or near.suffix in WEIGHTS]
        raise NotFoundError(
            f"there is no model {value}.{suggestion(path.name, [*packaged, *names])} Name a run folder, a weights "
            f"file, packaged weights ({', '.join(packaged)}) or a hub id owner/name."
        )


class Picture(click.ParamType):  # type: ignore[type-arg]
    """A picture, or a folder of pictures, that exists."""

    name = "picture"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ARG002
        if not Path(value).exists():
            raise NotFoundError(f"there is no picture {value}.")
        return Path(value)


def packaged_weights() -> list[str]:
    """Names of the weights that come with the package, without importing torch."""
    shelf = Path(str(files("resight") / "models" / "trained"))
    return sorted(folder.name for folder in shelf.iterdir() if (folder / "card.json").is_file())


EMBEDDINGS = Output(endings=(".npz", ".parquet"), extras={".parquet": ("pyarrow", "parquet")})
SHEET = Output(endings=SHEETS)
TABLE = Output(endings=(".csv", ".html"))
PAGE = Output(folder=None, endings=(".html", ".htm"))
OUT_FILE, OUT_FOLDER = Output(), Output(folder=True)
MODEL, PICTURE = Model(), Picture()
SEED = click.IntRange(min=0)


def device_option(function: F) -> F:
    return click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")(function)


def json_option(function: F) -> F:
    """`--json` prints the result as JSON instead of words; `--json FILE` writes it there.

    Before the verb runs, every file it is to write is compared with all it is to read.
    """

    @functools.wraps(function)
    def checked(*args: Any, **options: Any) -> Any:
        refuse_overwriting(*_files_of(click.get_current_context()))
        return function(*args, **options)

    return click.option(
        "--json", "as_json", is_flag=False, flag_value="-", metavar="[FILE]", callback=_json_target,
        help="The result as JSON, on standard output or in FILE.",
    )(checked)  # type: ignore[return-value]  # fmt: skip


def _files_of(context: click.Context) -> tuple[list[Path], list[Path]]:
    """The files a command writes and what it reads, of its parameters."""
    outputs: list[Path | None] = [context.meta.get(JSON_FILE)]
    inputs: list[Path] = []
    for param in context.command.params:
        value = context.params.get(param.name or "")
        found = [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Path)]
        if not isinstance(param.type, Output):
            inputs += found
        elif not param.type.folder:
            outputs += found
    return [path for path in outputs if path is not None], inputs


def _json_target(context: click.Context, _: click.Parameter, value: str | None) -> bool:
    if value not in (None, "-") and not str(value).endswith(".json"):
        raise UsageError(f"--json takes nothing, or a file ending in .json; found {value!r}. Put a bare --json last.")
    if value not in (None, "-"):
        check_output(Path(str(value)), option="--json")
    context.meta[JSON_FILE] = None if value in (None, "-") else Path(str(value))
    return value is not None


def model_option(function: F) -> F:
    return click.option(
        "--model", type=MODEL, default=TRAINED, show_default=True,
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
    """Join the processes torchrun started before the verb runs.  Only rank 0 prints, and an error is printed once."""

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
    """Whether this process is rank 0, which alone writes and prints."""
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
    """Turn SIGTERM and Ctrl-C into Interrupted with `sentence`, that is, into the exit code of a resumable stop.

    For the times in which the training loop does not handle them itself: while pictures are read, between the runs of
    a sweep.
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
