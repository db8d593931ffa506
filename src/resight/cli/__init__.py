"""The command line `resight VERB`: a table of verbs, each in a file of its own, imported when it is called."""

from __future__ import annotations

import importlib
import keyword
import os
import sys
from dataclasses import dataclass

import click

from resight._version import __version__
from resight.errors import ResightError, UnknownNameError


@dataclass(frozen=True)
class Verb:
    """A name on the command line, its room, the line that describes it, and the module whose `command` it is."""

    name: str
    room: str
    help: str

    @property
    def module(self) -> str:
        return f"resight.cli.{self.room}.{self.name}{'_' if keyword.iskeyword(self.name) else ''}"


VERBS = (
    Verb("demo", "training", "Bundled synthetic people: train, evaluate, search, report, index."),
    Verb("train", "training", "Train a recipe; the same command resumes an interrupted run."),
    Verb("import", "models", "Another project's weights as a model, with equal descriptors."),
    Verb("evaluate", "evaluation", "Evaluate a model on a data set: mAP, CMC, mINP."),
    Verb("embed", "search", "Turn pictures into a file of vectors."),
    Verb("index", "gallery", "Embed pictures and add them to a gallery."),
    Verb("gallery", "gallery", "Maintain a gallery: list, delete, verify, back up, export."),
    Verb("search", "search", "Find the pictures most similar to a query picture."),
    Verb("verify", "search", "Compare two pictures: the same person or not."),
    Verb("serve", "gallery", "Search galleries over HTTP and on a web page."),
    Verb("keys", "gallery", "Make and revoke the keys of a service."),
    Verb("cluster", "search", "Sort pictures by person, without labels."),
    Verb("adapt", "training", "Adapt a trained model to pictures without labels."),
    Verb("report", "evaluation", "Write one HTML page about a run: scores, curves, ranked lists."),
    Verb("compare", "evaluation", "Compare two runs on the same queries: paired test, which queries changed."),
    Verb("sweep", "training", "Train recipes x changes x seeds into one table; resumes after any stop."),
    Verb("explain", "evaluation", "Draw attention maps, or the regions a similarity comes from."),
    Verb("calibrate", "evaluation", "Find similarity thresholds, and probabilities of being the same person."),
    Verb("data", "data", "Check, split and convert data sets."),
    Verb(
        "export", "models", "Write a model as one ONNX, OpenVINO or pt2 file, with the proof that it is the same model."
    ),
    Verb("synth", "data", "Render synthetic people, seen by any number of cameras."),
    Verb("models", "models", "List the models with their size and cost, and the packaged weights."),
    Verb("losses", "models", "List the losses with what they take and their options."),
    Verb("backbones", "models", "List the backbones by name."),
    Verb("bench", "models", "Measure how fast a recipe trains, or a model embeds, on this machine."),
)


class Verbs(click.Group):
    """The group of all verbs; a verb's module is imported when the verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb.name for verb in VERBS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = next((verb for verb in VERBS if verb.name == cmd_name), None)
        if verb is None:
            return None
        command = importlib.import_module(verb.module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb.name, verb.help) for verb in VERBS])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.list_commands(ctx):
            raise UnknownNameError("verb", name, self.list_commands(ctx))
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Begin with:  resight demo        Help of a verb:  resight train --help",
)
@click.version_option(__version__, "-V", "--version", prog_name="resight")
def group() -> None:
    """Person re-identification: train, evaluate, embed and search.

    Exit codes: 0 done, 1 failed, 2 asked wrongly, 75 interrupted and resumable.
    """


def set_thread_defaults() -> None:
    """Environment variables that torch and its libraries read when they are imported; what is set already stays."""
    if "OMP_WAIT_POLICY" not in os.environ:  # threads that spin while they wait slow a busy machine down many times
        os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # large pages: less time in page faults of large activations


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.  A `ResightError` becomes one sentence and its exit code, not a traceback."""
    set_thread_defaults()
    for stream in (sys.stdout, sys.stderr):  # names of files that a terminal's encoding cannot show are escaped
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        group.main(args=arguments, prog_name="resight", standalone_mode=False)
    except ResightError as error:
        _stop(str(error), error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _stop("stopped.", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except UnicodeError as error:
        _stop(f"a name or text cannot be written in this encoding: {ascii(str(error))[1:-1]}. Rename the file.", 1)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        _stop(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.", 1)


def _stop(message: str, code: int) -> None:
    click.echo(f"{'resight' if code == 75 else 'Error'}: {message}", err=True)
    sys.exit(code)
