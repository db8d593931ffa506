"""resight evaluate"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resight.cli import common

if TYPE_CHECKING:
    from resight.evaluation.protocol import ApMode, CameraRule


@click.command(
    epilog=common.example(
        "resight evaluate runs/first",
        "resight evaluate runs/first --dataset market1501 --root data/market1501 --json",
    )
)
@click.argument("run", type=common.FILE)
@click.option("--dataset", help="Data set to judge on.  Default: the recipe's.")
@click.option("--root", type=common.FILE, help="Folder of that data set.")
@click.option(
    "--out",
    type=common.FILE,
    help="Folder for result.json and the vectors.  Default: RUN/evaluation/DATASET.",
)
@click.option("--flip", is_flag=True, help="Average each descriptor with that of the mirrored picture.")
@click.option(
    "--ap-mode",
    type=click.Choice(["rectangle", "trapezoid"]),
    default="rectangle",
    show_default=True,
    help="Rectangle is today's custom; trapezoid is that of the first Market-1501 toolkit.",
)
@click.option(
    "--camera-rule",
    type=click.Choice(["cross", "any"]),
    default="cross",
    show_default=True,
    help="cross: same person in the same camera does not count; any: everything counts.",
)
@common.batch_option
@common.device_option
@common.json_option
def command(
    run: Path,
    dataset: str | None,
    root: Path | None,
    out: Path | None,
    flip: bool,
    ap_mode: ApMode,
    camera_rule: CameraRule,
    batch: int,
    device: str,
    as_json: bool,
) -> None:
    """Judge the model in RUN (a run folder or a weights file) and keep the result."""
    from resight.cli.judging import dataset_for
    from resight.embedding import evaluate
    from resight.evaluation import PROTOCOLS, Protocol
    from resight.models import load_model

    chosen, context = dataset_for(run, dataset, root)
    model = load_model(run)
    rules = replace(PROTOCOLS.get(chosen.name, Protocol()), ap_mode=ap_mode, camera_rule=camera_rule)
    result = evaluate(
        model,
        chosen,
        device=device,
        batch=batch,
        flip=flip,
        context=context,
        progress=common.counting(common.bar(), "embedding"),
        protocol=rules,
    )
    parent = run if run.is_dir() else run.parent
    folder = out or parent / "evaluation" / chosen.name
    result.save(folder)
    if as_json:
        common.print_json(result.record())
        return
    for item in result.context["unreadable"]:
        click.echo(f"left out: {item['reason']}", err=True)
    click.echo(str(result))
    click.echo(f"kept in {folder}\nnext:   resight report {parent}", err=True)
