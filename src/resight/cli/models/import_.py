"""The verb `resight import`: another project's weights as a model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli.common import output, params
from resight.errors import UsageError

if TYPE_CHECKING:
    from resight.run import Run

FAMILIES = ("torchreid", "fastreid", "strong-baseline", "transreid", "personvit", "clip-reid", "solider")


@click.command(
    epilog=output.example(
        "resight import osnet_x1_0_msmt17.pth --from torchreid --out runs/osnet",
        "resight import market_sbs_R50.pth --from fastreid --out runs/sbs --data 'Market-1501, research only'",
        "resight import hf://kaiyangzhou/osnet/osnet_x1_0_imagenet.pth --out runs/osnet_imagenet",
    )
)
@click.argument("checkpoint")
@click.option("--from", "family", type=click.Choice(FAMILIES),
              help="The project the file comes from.  Default: detected from the names of its tensors.")  # fmt: skip
@click.option("--arch", metavar="NAME", help="The project's own name of the network.  Default: detected likewise.")
@click.option("--out", type=params.OUT_FOLDER, required=True, help="Run folder to make.")
@params.settings_option("An option of the model, as in input_size=[384,128]; may be repeated.")
@click.option("--data", metavar="TEXT", help="What the weights saw, and on which terms, for the card.")
@params.json_option
def command(
    checkpoint: str,
    family: str | None,
    arch: str | None,
    out: Path,
    settings: tuple[str, ...],
    data: str | None,
    as_json: bool,
) -> None:
    """Turn CHECKPOINT, another project's weights, into a run folder whose descriptors equal that project's.

    CHECKPOINT is a file or hf://owner/name/FILE.  Nothing in it is executed.  Every tensor is used, or named with the
    reason why it takes no part in the descriptor.
    """
    from resight.checkpoint_import import import_checkpoint

    run = import_checkpoint(checkpoint, out, family=family, arch=arch, options=_options(settings), data=data)
    if as_json:
        output.print_json({"run": str(run.folder), **run.card})
    else:
        _say(run)


def _options(settings: tuple[str, ...]) -> dict[str, Any]:
    """KEY.PATH=VALUE with TOML values, a bare word being text -> nested options."""
    from resight.options import setting, value_of

    found: dict[str, Any] = {}
    for text in settings:
        path, value = setting(text)
        *groups, last = path.split(".")
        table = found
        for group in groups:
            table = table.setdefault(group, {})
            if not isinstance(table, dict):
                raise UsageError(f"--set {text}: {group} is a single value already.")
        table[last] = value_of(value)
    return found


def _say(run: Run) -> None:
    imported = run.card["imported"]
    click.echo(f"imported: {run.folder} ({imported['arch']} of {imported['project']})")
    click.echo(f"tensors:  {imported['tensors_used']} used, {len(imported['tensors_dropped'])} dropped")
    for reason, count in Counter(imported["tensors_dropped"].values()).items():
        click.echo(f"          {count} because {reason}")
    click.echo(f"terms:    {run.card['licence']}")
    click.echo(f"next:     resight evaluate {run.folder} --dataset NAME --root FOLDER")
