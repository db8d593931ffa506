"""resight models"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from resight.cli import common

if TYPE_CHECKING:
    from resight.models import Profile


@click.command(epilog=common.example("resight models", "resight models strong_baseline --num-ids 751 --json"))
@click.argument("names", nargs=-1)
@click.option("--num-ids", default=751, show_default=True, help="Identities of the classifier.")
@click.option(
    "--with",
    "classical",
    multiple=True,
    metavar="NAME",
    help="Also alexnet, vgg16, googlenet or resnet50; may be repeated.",
)
@common.json_option
def command(names: tuple[str, ...], num_ids: int, classical: tuple[str, ...], as_json: bool) -> None:
    """List the models: parameters with and without the classifier, multiply-adds, input and descriptor."""
    from resight import models
    from resight.models.profile import classical as classical_network

    for name in names:
        models.options_of(name)  # raises before any is counted
    rows = [asdict(_profile(name, num_ids)) for name in names or models.available()]
    rows += [asdict(classical_network(name)) for name in classical]
    if as_json:
        common.print_json(rows)
        return
    from resight.reporting import models_table

    common.table_console().print(models_table(rows))


def _profile(name: str, num_ids: int) -> Profile:
    """Counted on the meta device: no weight is made."""
    import torch

    from resight import models

    with torch.device("meta"):
        return models.profile(models.build(name, num_ids).eval())
