"""The verb `resight models`: list the models with their size and cost, and the packaged weights."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from resight.cli.common import output, params

if TYPE_CHECKING:
    from resight.models import Complexity


@click.command(
    epilog=output.example(
        "resight models",
        "resight models --with alexnet vgg16 googlenet resnet50",
        "resight models strong_baseline --num-ids 751 --json",
    )
)
@click.argument("names", nargs=-1)
@click.option("--num-ids", default=751, show_default=True, type=click.IntRange(min=0),
              help="Identities of the classifier.")  # fmt: skip
@click.option("--with", "classical", multiple=True, metavar="NAME...",
              help="Also alexnet, vgg16, googlenet or resnet50, one or more.")  # fmt: skip
@click.option("--weights", is_flag=True, help="List the weights that come with the package, and stop.")
@params.json_option
def command(names: tuple[str, ...], num_ids: int, classical: tuple[str, ...], weights: bool, as_json: bool) -> None:
    """List the models: parameters with and without the classifier, multiply-adds, input and descriptor.

    NAMES alone, or all of them; the classical networks are those HA-CNN is compared with in its paper.  Weights that
    come with the package are listed below the table, and alone with --weights.
    """
    from resight import models
    from resight.models.complexity import CLASSICAL
    from resight.models.complexity import classical as classical_network

    if weights:
        _print_weights(as_json)
        return
    if classical:  # an option takes one word; the networks behind it are its as well
        classical += tuple(name for name in names if name in CLASSICAL)
        names = tuple(name for name in names if name not in CLASSICAL)
    for name in names:
        models.options_of(name)  # raises before any is counted
    compared = [asdict(classical_network(name)) for name in dict.fromkeys(classical)]
    rows = [asdict(_profile(name, num_ids)) for name in names or models.available()] + compared
    if as_json:
        output.print_json(rows)
        return
    from resight.reporting import models_table

    output.table_console().print(models_table(rows))
    if not names and not classical:
        _print_weights(as_json)
    output.next_step("resight train --list")


def _print_weights(as_json: bool) -> None:
    """Packaged weights: name, model and what they were trained on."""
    from resight import models

    cards = {name: models.trained_card(name) for name in models.trained()}
    if as_json:
        output.print_json([{"name": name, **card} for name, card in cards.items()])
        return
    for name, card in cards.items():
        click.echo(f"packaged weights {name}: {card.get('about', '')}")


def _profile(name: str, num_ids: int) -> Complexity:
    """Counted on the meta device: no weight is made."""
    import torch

    from resight import models
    from resight.models.undrawn import Undrawn

    with torch.device("meta"):
        with Undrawn():
            model = models.build(name, num_ids).eval()
        return models.complexity_of(model)
