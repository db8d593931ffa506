"""The verb `resight losses`: list the losses with what they take and their options."""

from __future__ import annotations

import inspect

import click

from resight.cli.common import output, params


@click.command(epilog=output.example("resight losses", "resight losses trihard arcface", "resight losses --json"))
@click.argument("names", nargs=-1)
@params.json_option
def command(names: tuple[str, ...], as_json: bool) -> None:
    """List the losses: what each takes, its options, and its first line.  NAMES alone, or all of them.

    A recipe names them in objective.terms; their options stand beside the name.
    """
    from resight import losses

    rows = []
    for name in names or losses.available():
        options = losses.options_of(name)
        required = [option for option, how in options.items() if how.required]
        kind = losses.LOSSES[name]
        about = (inspect.getdoc(kind) or "").split("\n")[0]
        rows.append({"name": name, "takes": kind.takes, "options": list(options), "required": required, "about": about})
    if as_json:
        output.print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['name']:<20} {row['takes']}: {row['about']}")
        if names:
            click.echo(f"{'':<20} options: {', '.join(row['options']) or 'none'}")
    output.next_step("resight train RECIPE --set objective.terms.TERM.loss=NAME")
