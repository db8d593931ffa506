"""The verb `resight backbones`: list the backbones by name."""

from __future__ import annotations

import click

from resight.cli.common import output, params
from resight.errors import UnknownNameError


@click.command(
    epilog=output.example("resight backbones", "resight backbones 'convnext*'", "resight backbones vit --json")
)
@click.argument("pattern", default="")
@params.json_option
def command(pattern: str, as_json: bool) -> None:
    """List the names a recipe's model.backbone.name takes: our own networks, and timm's that fit PATTERN.

    PATTERN is part of a name, or has * for any text.  Without it our own networks alone are listed.
    """
    import timm

    from resight.models.backbones.resnet import FAMILY

    own = [name for name in FAMILY if pattern.strip("*") in name]
    theirs = timm.list_models(pattern if "*" in pattern else f"*{pattern}*") if pattern else []
    names = [*own, *(name for name in theirs if name not in own)]
    if not names:
        raise UnknownNameError("backbone", pattern, [*FAMILY, *timm.list_models()], listing="resight backbones '*'")
    if as_json:
        output.print_json([{"name": name, "source": "resight" if name in FAMILY else "timm"} for name in names])
        return
    for name in names:
        click.echo(name)
    if not pattern:
        click.echo(f"and {len(timm.list_models()):,} of timm: resight backbones PATTERN", err=True)
    output.next_step("resight train RECIPE --set model.backbone.name=NAME")
