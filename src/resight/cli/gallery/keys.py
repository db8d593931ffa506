"""The verb `resight keys`: create, list and revoke the keys of a service."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli.common import output, params
from resight.files import check_output

if TYPE_CHECKING:
    from collections.abc import Callable

    from resight.serving.keys import Keys

EPILOG = output.example(
    "resight keys create 'front desk' --role search --days 90",
    "resight keys list",
    "resight keys revoke 1a2b3c4d",
)


def file_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--file", "path", type=params.FILE, help="The file of keys.  Default: RESIGHT_KEYS, or the user's settings."
    )(function)


@click.group(epilog=EPILOG)
def command() -> None:
    """Make, list and revoke the keys of a service.

    A key is shown once, when it is made; the file keeps only its hash.  A running service sees changes at once.
    """


@command.command(epilog=EPILOG)
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["search", "write", "admin"]), default="search", show_default=True,
    help="search looks; write also adds and labels; admin also deletes and reads the audit log.",
)  # fmt: skip
@click.option("--days", type=click.FloatRange(min=0, min_open=True), default=90, show_default=True, help="Valid for.")
@click.option("--never-expires", is_flag=True, help="Valid until it is revoked.")
@file_option
@params.json_option
def create(name: str, role: Any, days: float, never_expires: bool, path: Path | None, as_json: bool) -> None:
    """Make a key for NAME and print it, once."""
    keys = _open(path)
    check_output(keys.path, option="--file")
    key = keys.create(name, role, None if never_expires else days)
    if as_json:
        output.print_json({"key": key, "name": name, "role": role, "file": str(keys.path)})
        return
    click.echo(key)
    click.echo(f"{name}: {role}, in {keys.path}. It cannot be shown again.", err=True)
    click.echo(f"Next: resight serve --gallery GALLERY --keys {keys.path}", err=True)


@command.command("list", epilog=EPILOG)
@file_option
@params.json_option
def list_keys(path: Path | None, as_json: bool) -> None:
    """List the keys: id, name, role, expiry."""
    keys = _open(path)
    found = keys.list()
    rows = [{"id": key.id, "name": key.name, "role": key.role, "expires": key.expires} for key in found]
    if as_json:
        output.print_json(rows)
        return
    for key in found:
        click.echo(f"{key.id}  {key.role:<6}  {_until(key.expires):<16}  {key.name}")
    if not rows:
        click.echo(f"{keys.path} holds no key. Make one: resight keys create NAME", err=True)


@command.command(epilog=EPILOG)
@click.argument("id")
@file_option
def revoke(id: str, path: Path | None) -> None:
    """Remove the key ID; it stops working at once."""
    gone = _open(path).revoke(id)
    click.echo(f"{gone.name}: {gone.role}, revoked.", err=True)


def _open(path: Path | None) -> Keys:
    from resight.serving.keys import Keys, default_path

    return Keys(path or default_path())


def _until(expires: float | None) -> str:
    return "never expires" if expires is None else f"until {datetime.fromtimestamp(expires, UTC):%Y-%m-%d}"
