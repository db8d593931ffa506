"""The verb `resight bench`: measure how fast a recipe trains on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from resight.cli import common

if TYPE_CHECKING:
    from resight.bench import Speed
    from resight.recipe import Recipe

PRECISIONS = ("auto", "fp32", "bf16")


@click.group(epilog=common.example("resight bench train hacnn_market1501"))
def command() -> None:
    """Measure speed on this machine."""


@command.command(
    epilog=common.example(
        "resight bench train hacnn_market1501",
        "resight bench train strong_baseline_market1501 --precision fp32 --precision bf16 --steps 10",
        "resight bench train hacnn_market1501 pyramid_market1501 --compile both --peak-tflops 989 --json speed.json",
    )
)
@click.argument("recipes", nargs=-1, required=True, metavar="RECIPE...")
@click.option("--precision", "precisions", type=click.Choice(PRECISIONS), multiple=True,
              help="In place of the recipe's; more than once: one after the other.")  # fmt: skip
@click.option("--compile", "compiled", type=click.Choice(("on", "off", "both")), help="torch.compile or not.")
@click.option("--channels-last/--channels-first", default=None, help="Order of the maps in memory.")
@click.option("--batch", type=click.IntRange(min=2), help="Pictures in a batch.  Default: the recipe's.")
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True, help="Steps measured.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of torch on a processor.")
@click.option("--peak-tflops", type=click.FloatRange(min=0, min_open=True),
              help="TFLOP/s the device could do, for the share it does; known for common GPUs.")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="Change one value of every recipe; may be repeated.")  # fmt: skip
@common.device_option
@common.json_option
def train(
    recipes: tuple[str, ...], precisions: tuple[str, ...], compiled: str | None, channels_last: bool | None,
    batch: int | None, steps: int, threads: int | None, peak_tflops: float | None, settings: tuple[str, ...],
    device: str, as_json: bool,
) -> None:  # fmt: skip
    """Measure training steps of RECIPE..., names or TOML files: no data needed, nothing is saved.

    The trainer's own step on made-up pictures of the recipe's size, as many persons to tell apart as its data set has,
    each recipe in a process of its own.  The first row is what the ratios refer to.
    """
    from resight.bench import measure_alone, prepared
    from resight.bench.tables import about, table
    from resight.errors import TrainingError

    switches = {"on": (True,), "off": (False,), "both": (False, True), None: (None,)}[compiled]
    wanted = [
        prepared(
            name, precision=precision, compiled=switch, channels_last=channels_last, batch=batch, settings=settings
        )
        for name in recipes
        for precision in precisions or (None,)
        for switch in switches
    ]
    speeds: list[Speed] = []
    failed: list[TrainingError] = []
    for recipe in wanted:
        click.echo(f"measuring {_name(recipe)} ...", err=True)
        try:
            speeds.append(measure_alone(recipe, steps=steps, device=device, peak_tflops=peak_tflops, threads=threads))
        except TrainingError as error:  # the others are measured all the same
            failed.append(error)
            click.echo(f"left out: {error}", err=True)
    if not speeds:
        raise failed[0]
    if as_json:
        common.print_json([speed.to_dict() for speed in speeds])
    else:
        click.echo(f"{table(speeds)}\n{about(speeds[0])}")
        common.next_step(f"resight train {recipes[0]} --out runs/NAME")
    if failed:
        raise TrainingError(f"{len(failed)} of {len(wanted)} were not measured, see above.")


def _name(recipe: Recipe) -> str:
    return f"{recipe.name}, {recipe.train.precision}{', compiled' if recipe.train.compile else ''}"
