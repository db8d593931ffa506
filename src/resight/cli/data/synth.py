"""The verb `resight synth`: render synthetic people, seen by any number of cameras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli.common import output, params, processes

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
PRESETS = ("sample", "misaligned", "occluded", "cluttered", "lookalike", "school", "streets", "hard")
DIALS = {
    "misalign": "How badly the detector's boxes sit.",
    "occlude": "How often and how much something stands before the person.",
    "lighting": "How differently the cameras are lit, exposed and tinted.",
    "resolution": "How few pixels a person has: 0 about 190 of height, 1 about 40.",
    "lookalikes": "Share of identities who dress like somebody else.",
    "clutter": "How much stands and walks about around the person.",
}
COUNTS = {
    "identities": "People; half of them to train on if --train-share says nothing else.",
    "cameras": "Cameras, each with its own place and character.",
    "images": "Pictures per identity and camera.",
    "distractors": "Gallery boxes around nobody of the data set.",
    "junk": "Gallery boxes too badly placed to be evaluated.",
    "samples": "Light paths per pixel: fewer are faster and grainier.",
}


def settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each count and dial; what is not given comes from the preset."""
    for name, text in reversed(DIALS.items()):
        function = click.option(f"--{name}", type=click.FloatRange(0, 1), metavar="0..1", help=text)(function)
    for name, text in reversed(COUNTS.items()):
        function = click.option(f"--{name}", type=click.IntRange(min=0), help=text)(function)
    return function


@click.command(
    epilog=output.example(
        "resight synth people",
        "resight synth --preset hard --parquet hard",
        "resight synth --identities 500 --cameras 6 --images 20 --misalign 0.3 --occlude 0.4 --seed 7 people",
    )
)
@click.argument("out", type=params.OUT_FOLDER)
@click.option(
    "--preset", type=click.Choice(PRESETS), default="sample", show_default=True, help="Where the dials start."
)
@settings
@click.option("--seen", type=click.FloatRange(0, 1), metavar="0..1", help="Chance that a camera sees a person.")
@click.option(
    "--environments", type=FOLDER, help="Panoramas (.exr, .hdr, or npm's @pmndrs/assets) for light and background."
)
@click.option("--garments", type=FOLDER, help="MakeHuman's assets: meshes of clothes, shoes and hair.")
@click.option("--train-share", type=click.FloatRange(0, 1), metavar="0..1", help="Share of the people to train on.")
@click.option("--seed", type=params.SEED, help="Who the people are.  Default: the preset's.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  Default: one per core.")
@click.option("--parquet", is_flag=True, help="Write the table as attributes.parquet too.")
@params.json_option
def command(
    out: Path, preset: str, seed: int | None, workers: int | None, parquet: bool, as_json: bool,
    **changed: int | float | Path | None,
) -> None:  # fmt: skip
    """Render a data set of synthetic people into the folder OUT.

    Everything is known about every picture: who, which camera, which attributes, how difficult.  Names follow
    Market-1501, `attributes.csv` holds the rest.  After Ctrl-C or a crash, the same command goes on where it stopped.
    """
    from resight.synth import PRESETS, generate

    given: dict[str, Any] = {name: value for name, value in {"seed": seed, **changed}.items() if value is not None}
    given |= {name: str(value.resolve()) for name, value in given.items() if isinstance(value, Path)}
    config = replace(PRESETS[preset], **given)
    progress = output.counting(output.bar(), "rendering")
    with processes.interruptible(f"stopped. The same command goes on with what is in {out}, if anything is."):
        summary = generate(config, out, workers=workers, progress=progress, parquet=parquet)
    result = {
        "root": str(summary.root),
        "pictures": summary.pictures,
        "made": summary.made,
        "seconds": round(summary.seconds, 1),
        "pictures_per_second": round(summary.per_second, 2),
        **summary.counts,
    }
    if as_json:
        output.print_json(result)
        return
    counts = ", ".join(f"{count:,} {split}" for split, count in sorted(summary.counts.items()))
    click.echo(f"{summary.pictures:,} pictures in {summary.root}: {counts}")
    output.next_step(f"resight train RECIPE --set data.name=market --set data.root={summary.root}")
    if summary.made:
        click.echo(f"made {summary.made:,} in {summary.seconds:,.0f} s, {summary.per_second:.2f} a second")
