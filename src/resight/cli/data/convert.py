"""`resight data split` and `resight data convert`: data sets written in another form."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli.common import output, params
from resight.errors import DatasetError, DatasetNotFoundError, UsageError, printable
from resight.files import check_output, refuse_overwriting, refuse_within

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resight.data import Dataset

FORMS = ("csv", "folder", "list", "market")
as_option = click.option("--as", "name", metavar="NAME", help="Read it as this data set instead of guessing.")


@click.command(
    epilog=output.example(
        "resight data split my_people/",
        "resight data split crops/ --pattern '{pid}_c{camid}_{frame}' --test 0.3 --seed 1",
        "resight data split my_people/ --cameras ignore --form folder --out my_people_split",
    )
)
@click.argument("source", type=params.FILE)
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
@click.option("--seed", type=params.SEED, default=0, show_default=True, help="Which persons these are.")
@click.option("--form", type=click.Choice(FORMS), default="csv", show_default=True, help="What to write.")
@click.option("--out", type=params.FILE, help="Where to.  Default: split.csv in SOURCE.")
@click.option("--copy", is_flag=True, help="Copy pictures instead of linking them (not for csv).")
@click.option("--replace", is_flag=True, help="Write over a CSV file that is there.")
@params.json_option
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


@click.command(
    epilog=output.example(
        "resight data convert data/market1501 --form csv --out data/market1501/market.csv",
        "resight data convert people.csv --form market --out people_market",
    )
)
@click.argument("source", type=params.FILE)
@as_option
@params.reader_option
@click.option("--form", type=click.Choice(FORMS), required=True, help="What to write.")
@click.option("--out", type=params.FILE, required=True, help="A new folder, or the CSV file.")
@click.option("--copy", is_flag=True, help="Copy pictures instead of linking them (not for csv).")
@click.option("--replace", is_flag=True, help="Write over a CSV file that is there.")
@params.json_option
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
    options = {**keep, **found.options, **params.reader_options(settings)}
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
        output.print_json({"out": str(out), "form": form, "options": options, "counts": counts, "notes": notes})
        return
    click.echo(str(dataset))
    for note in notes:
        click.echo(f"  {note}")
    click.echo(f"written: {out}")
    settings = "".join(_setting(key, value) for key, value in written.options.items())
    click.echo(f"check:   resight data check {_quoted(out)}{settings}")
    click.echo(f"train:   {training_command(form, out, written.options)}")
    if form == "csv":
        images = "".join(f" --images {_quoted(value)}" for key, value in written.options.items() if key == "images")
        click.echo(f"embed:   resight embed MODEL {_quoted(out)}{images} --out vectors.npz")


def training_command(form: str, root: Path, options: Mapping[str, object]) -> str:
    """The command that trains on a data set."""
    settings = {"name": form, "root": root, **options}
    return "resight train RECIPE" + "".join(_setting(f"data.{key}", value) for key, value in settings.items())


def _setting(key: str, value: object) -> str:
    word = str(value).lower() if isinstance(value, bool) else value
    return f" --set {_quoted(f'{key}={word}')}"


def _quoted(text: object) -> str:
    return shlex.quote(str(text))


def _show_trial(readings: Sequence[Any]) -> None:
    for reading in readings:
        fields = "  ".join(f"{name}={value}" for name, value in reading.fields.items())
        click.echo(f"  {printable(reading.name)}  ->  {fields}", err=True)
