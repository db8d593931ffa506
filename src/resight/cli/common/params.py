"""Parameter types and options that verbs share."""

from __future__ import annotations

import functools
import importlib.util
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from resight.cli.common.output import JSON_FILE
from resight.errors import MissingExtraError, NotFoundError, UsageError, suggestion
from resight.files import check_output, refuse_overwriting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

F = TypeVar("F", bound="Callable[..., Any]")

FILE = click.Path(path_type=Path)
TRAINED = "synth_small"  # the weights that come with the package
SHEETS = (".png", ".jpg", ".jpeg", ".webp")
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


def embedding_options(function: F) -> F:
    """Batch size, precision and device, of every verb that embeds."""
    return batch_option(precision_option(device_option(function)))


def settings_option(words: str) -> Callable[[F], F]:
    """`--set KEY=VALUE`, once or more."""
    return click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help=words)


reader_option = settings_option("An option of the data set's reader, as in boxes=labeled or cameras=ignore.")


def reader_options(settings: Sequence[str]) -> dict[str, object]:
    """KEY=VALUE with TOML values: split=3 is a number, boxes=labeled and whatever the option takes as text a word."""
    from resight import data, options

    return options.settings(settings, data.options_of("+".join(data.DATASETS)))
