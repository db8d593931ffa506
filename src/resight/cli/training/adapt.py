"""The verb `resight adapt`: adapt a trained model to pictures without labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from resight.cli.common import output, params, processes
from resight.errors import UsageError

if TYPE_CHECKING:
    from resight.adapt import Adaptation
    from resight.data import Dataset


@click.command(
    epilog=output.example(
        "resight adapt synth_small crops/ --out runs/mine",
        "resight adapt synth_small crops/ --camera '_c([0-9]+)' --set train.epochs=40 --out runs/mine",
        "resight adapt runs/first crops/ --keep market1501 --keep-root data/market --out runs/both",
        "resight adapt runs/first crops.csv --statistics-only --out runs/statistics",
    )
)
@click.argument("model", type=params.MODEL)
@click.argument("crops", type=params.FILE)
@click.option("--out", type=params.OUT_FOLDER, required=True, help="Run folder.")
@click.option(
    "--recipe",
    help="The method: a name or a TOML file.  Default: cluster_contrast_cameras_small where every picture's camera is "
    "known, else cluster_contrast_small.",
)
@params.settings_option("Change one value of the recipe; may be repeated.")
@click.option("--keep", metavar="DATASET",
              help="Go on learning this labelled data set, half of every batch: domain adaptation.")  # fmt: skip
@click.option("--keep-root", type=params.FILE, help="Folder of --keep.")
@click.option("--camera", metavar="REGEX", help="Finds the camera's number in file names, as '_c([0-9]+)'.")
@click.option("--statistics-only", is_flag=True, help="Take batch statistics anew and change no weight: a minute.")
@click.option("--sheets", default=4, show_default=True, type=click.IntRange(min=0),
              help="Draw so many groups that stayed and so many that fell apart, in report/.")  # fmt: skip
@click.option("--queries", "asked", type=params.PICTURE, multiple=True, metavar="PICTURE",
              help="Show what is found for this picture among CROPS before and after; may be repeated.")  # fmt: skip
@click.option("--seed", type=params.SEED, help="Seed of everything that is drawn.  Default: the recipe's.")
@click.option("--fresh", is_flag=True, help="Throw away what is in the run folder and start again.")
@params.device_option
@params.json_option
@processes.distributed
def command(
    model: Path, crops: Path, out: Path, recipe: str | None, settings: tuple[str, ...], keep: str | None,
    keep_root: Path | None, camera: str | None, statistics_only: bool, seed: int | None, fresh: bool, device: str,
    as_json: bool, sheets: int, asked: tuple[Path, ...],
) -> None:  # fmt: skip
    """Adapt MODEL to the pictures of CROPS, none of which needs a name: a folder, a CSV with `path`, or a list.

    Labels are never read, neither from file names nor from a table.  MODEL stays as it is.  Everything is saved as it
    goes: after Ctrl-C or a crash, the same command goes on where it stopped.
    """
    with processes.interruptible(
        f"stopped at once. The same command goes on from what is saved in {out}, if anything."
    ):
        from resight.adapt import adapt
        from resight.adapt import crops as without_labels
        from resight.data import load_dataset

        if keep_root is not None and keep is None:
            raise UsageError("--keep-root is the folder of --keep, which is not given.")
        kept = None if keep is None else load_dataset(keep, root=keep_root)
        chosen = settings if seed is None else (*settings, f"seed={seed}")
        done = adapt(
            model, without_labels(crops, camera), out, recipe=recipe, settings=chosen, statistics_only=statistics_only,
            device=device, fresh=fresh, display=output.bar(), keep=kept,
        )  # fmt: skip
    if not processes.first():
        return
    drawn = _draw(done, model, without_labels(crops, camera), sheets, asked, device)
    if as_json:
        pages = {"report": [str(path) for path in drawn]}
        output.print_json({"run": str(out), "recommended": done.recommended, **done.record, **pages})
        return
    of = f"; {done.record['kept']['labels']} labelled pictures of {keep} kept" if keep else ""
    how = "new batch statistics alone" if statistics_only else done.run.recipe.name
    click.echo(f"adapted: {out} ({done.record['pictures']} pictures, 0 labels used{of}) by {how}")
    for sentence in done.advice:
        click.echo(f"not recommended: {sentence}")
    if done.advice:
        click.echo(
            f"kept beside it: {out / 'start.safetensors'}, with new batch statistics alone, and {model} as it was"
        )
    if drawn:
        click.echo(f"drawn:   {len(drawn)} files in {out / 'report'}")
    click.echo(f"next:    resight search crops query.jpg --model {out}")


def _draw(
    done: Adaptation, model: Path, pictures: Dataset, sheets: int, asked: tuple[Path, ...], device: str
) -> list[Path]:
    """Sheets of groups, and of the named queries."""
    from resight.adapt import ask
    from resight.models import load_model
    from resight.reporting.adaptation import draw_answers, draw_groups

    drawn = draw_groups(done.run.folder, sheets) if sheets else []
    if asked:
        answers = ask(load_model(model, num_ids=0), done.model, pictures, asked, device=device)
        drawn += draw_answers(done.run.folder, answers)
    return drawn
