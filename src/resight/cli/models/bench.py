"""The verb `resight bench`: measure how fast a recipe trains, or a model embeds, on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from resight.cli.common import output, params
from resight.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from resight.bench import Speed
    from resight.recipe import Recipe

PRECISIONS = ("auto", "fp32", "bf16")


@click.group(epilog=output.example("resight bench train hacnn_market1501"))
def command() -> None:
    """Measure speed on this machine."""


@command.command(
    epilog=output.example(
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
@params.settings_option("Change one value of every recipe; may be repeated.")
@params.device_option
@params.json_option
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
        output.print_json([speed.to_dict() for speed in speeds])
    else:
        click.echo(f"{table(speeds)}\n{about(speeds[0])}")
        output.next_step(f"resight train {recipes[0]} --out runs/NAME")
    if failed:
        raise TrainingError(f"{len(failed)} of {len(wanted)} were not measured, see above.")


@command.command(
    epilog=output.example(
        "resight bench embed synth_small",
        "resight bench embed runs/first --runtime eager-fp32 --runtime openvino-int8 --proof market1501 --root data",
        "resight bench embed strong_baseline --threads 2 --json speed.json",
    )
)
@click.argument("model")
@click.option("--runtime", "names", multiple=True, metavar="NAME",
              help="One of eager-fp32, eager-bf16, compiled-fp32, compiled-bf16, onnx-fp32, onnx-int8, openvino-fp32, "
              "openvino-bf16, openvino-int8; may be repeated.  Default: all.")  # fmt: skip
@click.option("--batch-size", "--batch", "batch_size", type=click.IntRange(min=1), default=32, show_default=True,
              help="Pictures in a batch.")  # fmt: skip
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True, help="Batches measured.")
@click.option("--threads", type=click.IntRange(min=1), help="Of every runtime.  Default: torch's number.")
@click.option("--proof", default="sample", show_default=True, metavar="DATASET",
              help="Embedded for cosine and mAP; its training pictures calibrate int8.")  # fmt: skip
@click.option("--root", type=params.FILE, help="Folder of that data set.")
@params.json_option
def embed(
    model: str, names: tuple[str, ...], batch_size: int, steps: int, threads: int | None, proof: str, root: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Measure how fast MODEL embeds on the processor: eager, compiled, and exported to ONNX and OpenVINO.

    MODEL is a run folder, a weights file, a packaged name, or the name of an architecture, whose weights are drawn.
    Each runtime has a process of its own; the first is what ratios and cosines refer to.
    """
    from resight.bench.embedding import compare_runtimes, load, runtimes_named, runtimes_table
    from resight.data import load_dataset

    chosen, dataset = runtimes_named(names), output.say_left_out(load_dataset(proof, root))
    speeds = compare_runtimes(
        load(model), dataset, chosen, batch_size=batch_size, steps=steps, threads=threads,
        say=lambda text: click.echo(text, err=True),
    )  # fmt: skip
    output.result(as_json, [speed.to_dict() for speed in speeds], runtimes_table(speeds))


def _name(recipe: Recipe) -> str:
    return f"{recipe.name}, {recipe.train.precision}{', compiled' if recipe.train.compile else ''}"
