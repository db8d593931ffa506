"""The verb `resight data`: check, split and convert data sets."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli import common
from resight.errors import UsageError
from resight.files import check_output, refuse_overwriting, refuse_within

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resight.data import Dataset
    from resight.data.doctor.examine import Checkup

STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
FORMS = ("csv", "folder", "list", "market")
as_option = click.option("--as", "name", metavar="NAME", help="Read it as this data set instead of guessing.")


@click.group(epilog=common.example("resight data check data/market1501", "resight data split my_people/ --seed 0"))
def command() -> None:
    """Check, split and convert data sets."""


@command.command(
    epilog=common.example(
        "resight data check data/market1501",
        "resight data check my_people/ --near --sheet people.png",
        "resight data check data/cuhk03 --as cuhk03 --set boxes=labeled --json",
    )
)
@click.argument("root", type=common.FILE)
@as_option
@common.reader_option
@click.option("--quick", is_flag=True, help="Labels only; open no picture.")
@click.option("--near", is_flag=True, help="Also look for near-duplicates across train and test.")
@click.option("--sheet", type=common.SHEET, help="Write a contact sheet, a row per person (.png or .jpg).")
@common.json_option
def check(
    root: Path, name: str | None, settings: tuple[str, ...], quick: bool, near: bool, sheet: Path | None, as_json: bool
) -> None:
    """Tell which data set ROOT holds, what is wrong with it, and what to do.

    Exit code 1 where something must be mended.
    """
    from resight.data.doctor.examine import examine

    options = common.reader_options(settings)
    progress = common.counting(common.bar(), "looking at pictures")
    checkup = examine(root, name=name, options=options, pictures=not quick, near=near, progress=progress)
    if as_json:
        common.print_json(checkup.as_json())
    else:
        _show(checkup)
    if sheet is not None:
        _draw(checkup, sheet)
    raise SystemExit(0 if checkup.sound else 1)


@command.command(
    epilog=common.example(
        "resight data split my_people/",
        "resight data split crops/ --pattern '{pid}_c{camid}_{frame}' --test 0.3 --seed 1",
        "resight data split my_people/ --cameras ignore --form folder --out my_people_split",
    )
)
@click.argument("source", type=common.FILE)
@click.option("--pattern", help="Person and camera in the file name, as in '{pid}_c{camid}_{frame}'; * is anything.")
@click.option("--camera", help=r"For a folder per person: regular expression of the camera number, as in '_c(\d+)'.")
@click.option(
    "--cameras",
    type=click.Choice(["file", "ignore"]),
    default="file",
    show_default=True,
    help="ignore: declare cameras unknown, so that any other picture of a person is a match.",
)
@click.option("--test", type=float, default=0.5, show_default=True, help="Fraction of the persons to test on.")
@click.option("--seed", type=common.SEED, default=0, show_default=True, help="Which persons these are.")
@click.option("--form", type=click.Choice(FORMS), default="csv", show_default=True, help="What to write.")
@click.option("--out", type=common.FILE, help="Where to.  Default: split.csv in SOURCE.")
@click.option("--copy", is_flag=True, help="Copy pictures instead of linking them (not for csv).")
@click.option("--replace", is_flag=True, help="Write over a CSV file that is there.")
@common.json_option
def split(
    source: Path,
    pattern: str | None,
    camera: str | None,
    cameras: str,
    test: float,
    seed: int,
    form: str,
    out: Path | None,
    copy: bool,
    replace: bool,
    as_json: bool,
) -> None:
    """Split the pictures of SOURCE by person into train, query and gallery.

    SOURCE is a folder with a folder per person, a folder of pictures whose names follow --pattern, or a CSV file with
    the columns path, pid and perhaps camid.  Nothing is moved: the result is a CSV file, or links in a new folder.
    """
    from resight.data.formats import unsplit
    from resight.data.formats.filename_pattern import Pattern, try_pattern

    out = _out(source, form, out)
    _check_out(out, form, source)
    if source.is_file() and (pattern or camera):
        raise UsageError(f"--pattern and --camera are for names; {source} is a table, whose columns say all.")
    if pattern and camera:
        raise UsageError("--camera is for a folder per person; in a pattern the camera is {camid}.")
    if pattern and not as_json:
        _show_trial(try_pattern(Pattern(pattern), _pictures(source), source))
    everyone = unsplit.read_unsplit(source, pattern=pattern, camera=camera)
    parted = unsplit.split(everyone, test=test, cameras="ignore" if cameras == "ignore" else "file", seed=seed)
    _write(parted, form, out, copy, replace, as_json)


@command.command(
    epilog=common.example(
        "resight data convert data/market1501 --form csv --out data/market1501/market.csv",
        "resight data convert people.csv --form market --out people_market",
    )
)
@click.argument("source", type=common.FILE)
@as_option
@common.reader_option
@click.option("--form", type=click.Choice(FORMS), required=True, help="What to write.")
@click.option("--out", type=common.FILE, required=True, help="A new folder, or the CSV file.")
@click.option("--copy", is_flag=True, help="Copy pictures instead of linking them (not for csv).")
@click.option("--replace", is_flag=True, help="Write over a CSV file that is there.")
@common.json_option
def convert(
    source: Path,
    name: str | None,
    settings: tuple[str, ...],
    form: str,
    out: Path,
    copy: bool,
    replace: bool,
    as_json: bool,
) -> None:
    """Write the data set SOURCE in another form; pictures are linked, never changed."""
    from resight.data import canonical_name, load_dataset, options_of
    from resight.data.doctor.detect_format import DetectedFormat, detect_format

    _check_out(out, form, source)
    found = detect_format(source) if name is None else DetectedFormat(canonical_name(name), source, "as asked")
    if not found.is_split:
        raise UsageError(f"{found.root} has no splits. Split it first: resight data split {_quoted(found.root)}")
    keep = {"keep_junk": True} if "keep_junk" in options_of(found.name) else {}
    options = {**keep, **found.options, **common.reader_options(settings)}
    _write(load_dataset(found.name, found.root, **options), form, out, copy, replace, as_json)


def _check_out(out: Path, form: str, source: Path) -> None:
    """UsageError, before the work, for an output that cannot be written, is the source, or lies among its pictures."""
    check_output(out, folder=form != "csv")
    if form == "csv" and out.suffix.lower() != ".csv":
        raise UsageError(f"--out {out}: the file must end in .csv, as in {out.with_suffix('.csv').name}.")
    refuse_overwriting([out], [source])
    if form != "csv":
        refuse_within(out, [source], "the pictures: they would be found twice")


def _out(source: Path, form: str, out: Path | None) -> Path:

    if out is not None:
        return out
    if form != "csv":
        raise UsageError(f"--form {form} writes a folder: name it with --out.")
    return source / "split.csv" if source.is_dir() else source.with_name(f"{source.stem}_split.csv")


def _pictures(source: Path) -> tuple[Path, ...]:
    from resight.data.formats.filenames import list_pictures, no_pictures
    from resight.errors import DatasetError, DatasetNotFoundError

    if not source.is_dir():
        raise DatasetNotFoundError(f"{source} does not exist. Name the folder that holds the pictures, or a CSV file.")
    listing = list_pictures(source, source, recursive=True)
    if not listing.pictures:
        raise DatasetError(no_pictures(listing, source))
    return listing.pictures


def _write(dataset: Dataset, form: str, out: Path, copy: bool, replace: bool, as_json: bool) -> None:
    from resight.data.formats.writer import write

    written = write(dataset, form, out, "copy" if copy else "link", replace)
    notes = [*dataset.notes, *written.notes]
    counts = {
        split: {"ids": counts.ids, "images": counts.images, "cameras": counts.num_cameras}
        for split, counts in dataset.counts().items()
    }
    if as_json:
        options = dict(written.options)
        common.print_json({"out": str(out), "form": form, "options": options, "counts": counts, "notes": notes})
        return
    click.echo(str(dataset))
    for note in notes:
        click.echo(f"  {note}")
    click.echo(f"written: {out}")
    settings = "".join(_setting(key, value) for key, value in written.options.items())
    click.echo(f"check:   resight data check {_quoted(out)}{settings}")
    click.echo(f"train:   {_training(form, out, written.options)}")
    if form == "csv":
        images = "".join(f" --images {_quoted(value)}" for key, value in written.options.items() if key == "images")
        click.echo(f"embed:   resight embed MODEL {_quoted(out)}{images} --out vectors.npz")


def _training(form: str, root: Path, options: Mapping[str, object]) -> str:
    """The command that trains on a data set."""
    settings = {"name": form, "root": root, **options}
    return "resight train RECIPE" + "".join(_setting(f"data.{key}", value) for key, value in settings.items())


def _setting(key: str, value: object) -> str:
    word = str(value).lower() if isinstance(value, bool) else value
    return f" --set {_quoted(f'{key}={word}')}"


def _quoted(text: object) -> str:
    return shlex.quote(str(text))


def _show_trial(readings: Sequence[Any]) -> None:
    from resight.errors import printable

    for reading in readings:
        fields = "  ".join(f"{name}={value}" for name, value in reading.fields.items())
        click.echo(f"  {printable(reading.name)}  ->  {fields}", err=True)


def _draw(checkup: Checkup, file: Path) -> None:
    from resight.data.doctor.contact_sheet import contact_sheet

    dataset = checkup.dataset
    if dataset is None:
        click.echo(f"{file} was not drawn: the pictures have no persons yet.", err=True)
        return
    file = common.save_sheet(contact_sheet(dataset.everyone), file)
    click.echo(f"sheet:   {file}", err=True)


def _show(checkup: Checkup) -> None:
    from rich.console import Console
    from rich.table import Table

    from resight.errors import printable

    console = Console(soft_wrap=True)
    form = checkup.form
    console.print(form.name, style="bold", end="  ")
    console.print(f"{printable(str(form.root))}  ({form.why})", markup=False, highlight=False)
    if checkup.dataset is not None:
        table = Table("split", "ids", "images", "cameras", "images per id")
        for split, numbers in checkup.statistics["splits"].items():
            spread = numbers["images_per_identity"]
            per = f"{spread['min']:g} .. {spread['median']:g} .. {spread['max']:g}" if spread else "-"
            cameras = str(len(numbers["images_per_camera"])) if numbers["images_per_camera"] else "unknown"
            table.add_row(split, f"{numbers['identities']:,}", f"{numbers['images']:,}", cameras, per)
        console.print(table)
        if checkup.dataset.terms:
            console.print(f"terms: {checkup.dataset.terms}", style="dim", markup=False, highlight=False)
    for finding in checkup.findings:
        console.print(f"{finding.level:8s} {finding}", style=STYLES[finding.level], markup=False, highlight=False)
    if not checkup.sound:
        console.print("to be mended: see the errors above", style="bold")
        return
    console.print("sound", style="bold")
    line = _training(form.name, form.root, form.options)
    console.print(f"train:   {line}", markup=False, highlight=False)
