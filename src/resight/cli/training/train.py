"""The verb `resight train`: train a recipe; the same command resumes an interrupted run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resight.cli.common import output, params, processes
from resight.errors import UsageError

if TYPE_CHECKING:
    from resight.recipe import Recipe


@click.command(
    epilog=output.example(
        "resight train strong_baseline_sample --out runs/first",
        "resight train strong_baseline_market1501 --set data.root=data/market1501 --out runs/market",
        "resight train strong_baseline_sample --profile",
    )
)
@click.argument("recipe", required=False)
@click.option("--out", type=params.OUT_FOLDER, help="Run folder.  Default: runs/RECIPE.")
@params.settings_option("Change one value of the recipe; may be repeated.")
@click.option("--seed", type=params.SEED, help="Seed of everything that is drawn.  Default: the recipe's.")
@click.option("--fresh", is_flag=True, help="Throw away what is in the run folder and start again.")
@click.option(
    "--list", "show_list", is_flag=True, help="List the recipes that come with resight, and what each starts from."
)
@click.option("--show", is_flag=True, help="Print the recipe with every value, and stop.")
@click.option(
    "--profile",
    "profile_steps",
    is_flag=False,
    flag_value=10,
    type=click.IntRange(min=1),
    metavar="[STEPS]",
    help="Say where the time of a training step goes, and stop: nothing is trained.",
)
@params.device_option
@params.json_option
@processes.distributed
def command(
    recipe: str | None,
    out: Path | None,
    settings: tuple[str, ...],
    seed: int | None,
    fresh: bool,
    show_list: bool,
    show: bool,
    profile_steps: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Train RECIPE, a name from --list or a TOML file.

    Progress is saved continually: after Ctrl-C or a crash, the same command resumes.
    """
    from resight.recipe import Recipe

    if show_list:
        _print_list(as_json)
        return
    if recipe is None:
        raise UsageError("name a recipe, one of `resight train --list` or a TOML file.")
    loaded = Recipe.load(recipe).override(*settings)
    if loaded.data.root is not None:  # the run is found from any folder later
        place = Path(loaded.data.root).expanduser().resolve()
        loaded = replace(loaded, data=replace(loaded.data, root=str(place)))
    if seed is not None:
        loaded = loaded.override(f"seed={seed}")
    if show:
        output.result(as_json, loaded.to_dict(), loaded.to_toml())
        return
    folder = out or Path("runs") / loaded.name
    if profile_steps is not None and fresh:
        raise UsageError("--profile leaves the run as it is, --fresh throws it away. Give one of them.")
    if profile_steps is not None:
        _profile(loaded, folder, profile_steps, device, as_json)
        return
    with processes.interruptible(
        f"stopped at once. The same command goes on from what is saved in {folder}, if anything."
    ):
        from resight.run import train

        run = train(loaded, folder, device=device, fresh=fresh, display=output.bar())
    if not processes.first():
        return
    output.result(
        as_json, {"run": str(run.folder), **run.card}, f"trained: {run.folder}\nnext:    resight evaluate {run.folder}"
    )


def _profile(recipe: Recipe, folder: Path, steps: int, device: str, as_json: bool) -> None:
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # before torch is imported: the profiler reports on itself
    from resight.run import profile

    found = profile(recipe, folder, steps=steps, device=device, display=output.bar())
    output.result(as_json, found.as_dict(), str(found))


def _print_list(as_json: bool) -> None:
    from resight.recipe import Recipe, recipes, starting_weights

    rows = [(name, starting_weights(name), Recipe.load(name).about) for name in recipes()]
    if as_json:
        output.print_json([{"name": name, "about": about, "starts_from": start} for name, start, about in rows])
        return
    names, starts = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, start, about in rows:
        click.echo(f"{name:<{names}}  {start:<{starts}}  {about}")
