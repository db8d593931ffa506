"""The verb `resight serve`: search galleries over HTTP and on a web page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from resight.cli.common import output, params
from resight.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from resight.inference.precision import Precision
    from resight.serving import Keys

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command(
    epilog=output.example(
        "resight serve --gallery galleries/mall",
        "resight keys create 'front desk' --role search --days 90",
        "resight serve --gallery galleries/mall --host 0.0.0.0 --allow-host reid.example.org --keys keys.json",
    )
)
@click.option("--gallery", "galleries", type=params.FILE, multiple=True, required=True, help="May be given again.")
@click.option("--model", help="The galleries' model.  Default: the one named in a gallery.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; another than this machine's own needs keys.",
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any that is free.")
@click.option(
    "--keys",
    "keys_file",
    type=params.FILE,
    help="Made by `resight keys create`.",
)
@click.option("--allow-host", "hosts", multiple=True, help="A name the service is reached by; may be given again.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Of the model.  Default: 8 on a CPU, 32 elsewhere.")
@click.option("--per-minute", type=click.IntRange(min=1), help="Requests a minute of one key or address.")
@click.option("--max-body", "body_mib", type=click.IntRange(min=1), help="MiB of a request.")
@click.option("--keep-days", type=click.FloatRange(min=0, min_open=True), help="Delete older records every hour.")
@params.precision_option
@params.device_option
def command(
    galleries: tuple[Path, ...], model: str | None, host: str, port: int, keys_file: Path | None,
    hosts: tuple[str, ...], batch_size: int | None, per_minute: int | None, body_mib: int | None,
    keep_days: float | None, precision: Precision, device: str,
) -> None:  # fmt: skip
    """Serve galleries over HTTP, with a page to search them at the address that is printed.

    Only this machine can reach the service unless --host says otherwise, which demands keys.  Pictures sent to it stay
    in memory; only what is added to a gallery is kept.  Ctrl-C finishes what was begun.
    """
    from resight.cli.common.run_folder import calibration_of

    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as missing:
        raise MissingExtraError("the service", "serve") from missing
    from resight.serving.server import serve

    opened = _keys(host, keys_file)
    named = {path.resolve().name: path for path in galleries}
    if len(named) != len(galleries):
        raise UsageError("two galleries have the same folder name; the service tells them apart by it. Rename one.")
    changes = {"per_minute": per_minute, "body_bytes": None if body_mib is None else body_mib * 2**20}
    serve(
        named, model, host=host, port=port, keys=opened, hosts=hosts, batch_size=batch_size, device=device,
        precision=precision, keep_days=keep_days,
        limits={name: value for name, value in changes.items() if value is not None},
        say=lambda line: click.echo(line, err=True),
        calibration_of=lambda name, fingerprint: calibration_of(Path(name), fingerprint, None),
    )  # fmt: skip


def _keys(host: str, path: Path | None) -> Keys | None:
    """Raises UsageError where the service would be open to others without keys."""
    from resight.serving import Keys

    found = None if path is None else Keys(path)
    if path is not None and not found:
        raise UsageError(f"{path} holds no key. Make one: resight keys create NAME --file {path}")
    if host not in LOOPBACK and not found:
        raise UsageError(
            f"--host {host} lets other machines reach pictures of people, so keys are needed. Make one with "
            f"resight keys create NAME --file keys.json, and give --keys keys.json."
        )
    return found
