"""The verb `resight data`: check, split and convert data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from resight.cli.common import output, params
from resight.cli.data.convert import as_option, convert, split, training_command
from resight.errors import printable

if TYPE_CHECKING:
    from resight.data.doctor.examine import Checkup

STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


@click.group(epilog=output.example("resight data check data/market1501", "resight data split my_people/ --seed 0"))
def command() -> None:
    """Check, split and convert data sets."""


command.add_command(split)
command.add_command(convert)


@command.command(
    epilog=output.example(
        "resight data check data/market1501",
        "resight data check my_people/ --near --sheet people.png",
        "resight data check data/cuhk03 --as cuhk03 --set boxes=labeled --json",
    )
)
@click.argument("root", type=params.FILE)
@as_option
@params.reader_option
@click.option("--quick", is_flag=True, help="Labels only; open no picture.")
@click.option("--near", is_flag=True, help="Also look for near-duplicates across train and test.")
@click.option("--sheet", type=params.SHEET, help="Write a contact sheet, a row per person (.png or .jpg).")
@params.json_option
def check(
    root: Path, name: str | None, settings: tuple[str, ...], quick: bool, near: bool, sheet: Path | None, as_json: bool
) -> None:
    """Tell which data set ROOT holds, what is wrong with it, and what to do.

    Exit code 1 where something must be mended.
    """
    from resight.data.doctor.examine import examine

    options = params.reader_options(settings)
    progress = output.counting(output.bar(), "looking at pictures")
    checkup = examine(root, name=name, options=options, pictures=not quick, near=near, progress=progress)
    if as_json:
        output.print_json(checkup.as_json())
    else:
        _show(checkup)
    if sheet is not None:
        _draw(checkup, sheet)
    raise SystemExit(0 if checkup.sound else 1)


def _draw(checkup: Checkup, file: Path) -> None:
    from resight.data.doctor.contact_sheet import contact_sheet

    dataset = checkup.dataset
    if dataset is None:
        click.echo(f"{file} was not drawn: the pictures have no persons yet.", err=True)
        return
    file = output.save_sheet(contact_sheet(dataset.everyone), file)
    click.echo(f"sheet:   {file}", err=True)


def _show(checkup: Checkup) -> None:
    from rich.console import Console
    from rich.table import Table

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
    line = training_command(form.name, form.root, form.options)
    console.print(f"train:   {line}", markup=False, highlight=False)
