"""resight adapt"""

from __future__ import annotations

from pathlib import Path

import click

from resight.cli import common


@click.command(
    epilog=common.example(
        "resight adapt synth_small crops/ --out runs/mine",
        "resight adapt synth_small crops/ --camera '_c([0-9]+)' --set train.epochs=40 --out runs/mine",
        "resight adapt runs/first crops.csv --statistics-only --out runs/statistics",
    )
)
@click.argument("model", type=click.Path())
@click.argument("crops", type=common.FILE)
@click.option("--out", type=common.FILE, required=True, help="Run folder.")
@click.option(
    "--recipe", default="cluster_contrast_small", show_default=True, help="The method: a name or a TOML file."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="Change one value of the recipe; may be repeated.")  # fmt: skip
@click.option("--camera", metavar="REGEX", help="Finds the camera's number in file names, as '_c([0-9]+)'.")
@click.option("--statistics-only", is_flag=True, help="Take batch statistics anew and change no weight: a minute.")
@click.option("--seed", type=int, help="Seed of everything that is drawn.  Default: the recipe's.")
@click.option("--fresh", is_flag=True, help="Throw away what is in the run folder and start again.")
@common.device_option
@common.json_option
@common.distributed
def command(
    model: str, crops: Path, out: Path, recipe: str, settings: tuple[str, ...], camera: str | None,
    statistics_only: bool, seed: int | None, fresh: bool, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Adapt MODEL to the pictures of CROPS, none of which needs a name: a folder, a CSV with `path`, or a list.

    Labels are never read, neither from file names nor from a table.  MODEL stays as it is.  Everything is saved as it
    goes: after Ctrl-C or a crash, the same command goes on where it stopped.
    """
    with common.interruptible(f"stopped at once. The same command goes on from what is saved in {out}, if anything."):
        from resight.adapt import adapt
        from resight.adapt import crops as without_labels

        chosen = settings if seed is None else (*settings, f"seed={seed}")
        done = adapt(
            model, without_labels(crops, camera), out, recipe=recipe, settings=chosen, statistics_only=statistics_only,
            device=device, fresh=fresh, display=common.bar(),
        )  # fmt: skip
    if not common.first():
        return
    if as_json:
        common.print_json({"run": str(out), "recommended": done.recommended, **done.record})
        return
    click.echo(f"adapted: {out} ({done.record['pictures']} pictures, 0 labels used)")
    for sentence in done.advice:
        click.echo(f"not recommended: {sentence}")
    if done.advice:
        click.echo(
            f"kept beside it: {out / 'start.safetensors'}, with new batch statistics alone, and {model} as it was"
        )
    click.echo(f"next:    resight search crops query.jpg --model {out}")
