"""The verb `resight gallery`: list, delete, verify, back up and move galleries."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from resight.cli.common import output, params
from resight.cli.gallery.filter_options import Chosen, filter_options
from resight.cli.gallery.transfer import WHERE, backup, copy, export, import_, open_gallery, reembed, restore
from resight.errors import UsageError, printable

LIMIT = click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most so many.")


@click.group(epilog=output.example("resight gallery info galleries/mall", "resight gallery list galleries/mall"))
def command() -> None:
    """Maintain a gallery: info, list, delete, compact, verify, backup, export and more."""


for transfer in (backup, restore, export, import_, copy, reembed):
    command.add_command(transfer)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _when(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


@command.command(epilog=output.example("resight gallery info galleries/mall"))
@WHERE
@params.json_option
def info(where: Path, as_json: bool) -> None:
    """Counts, cameras, size, model, and how searches are answered."""
    with open_gallery(where) as gallery:
        cameras = [{"camera": camera, "records": count} for camera, count in gallery.facets("camera")]
        persons = [pid for pid, _ in gallery.facets("pid") if pid is not None]
        about = gallery.stats() | {
            "model": gallery.settings.get("model", ""),
            "persons": len(persons),
            "cameras": cameras,
        }
    if as_json:
        output.print_json(about)
        return
    for name, value in about.items():
        if name == "cameras":
            value = ", ".join(f"{_text(line['camera']) or 'unknown'} ({line['records']:,})" for line in cameras)
        click.echo(f"{name:12} {value:,}" if isinstance(value, int) else f"{name:12} {value}")


@command.command("list", epilog=output.example("resight gallery list galleries/mall --camera c3 --after 2026-03-01"))
@WHERE
@filter_options
@LIMIT
@click.option("--after-id", default="", help="Go on after this id.")
@params.json_option
def list_(where: Path, chosen: Chosen, limit: int, after_id: str, as_json: bool) -> None:
    """Records by id, all or those that meet the conditions."""
    with open_gallery(where) as gallery:
        records = gallery.list(limit=limit, after_id=after_id, **chosen)
        count = gallery.count(**chosen)
    if as_json:
        output.print_json({"count": count, "records": [asdict(record) for record in records]})
        return
    for r in records:
        said = [r.id, _text(r.pid), _text(r.camera), _when(r.time), r.source, _text(r.label), _text(r.note)]
        click.echo("\t".join(map(printable, said)))
    click.echo(f"{len(records):,} of {count:,} records", err=True)


@command.command(
    epilog=output.example(
        "resight gallery delete galleries/mall --pid 7", "resight gallery delete galleries/mall --keep-days 30"
    )
)
@WHERE
@filter_options
@click.option("--id", "ids", multiple=True, help="This record.  May be repeated.")
@click.option("--keep-days", type=click.FloatRange(min=0), help="Everything older than so many days.")
@click.option("--everything", is_flag=True, help="All records.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--compact", is_flag=True, help="Also remove the last trace from the files.")
@params.json_option
def delete(
    where: Path, chosen: Chosen, ids: tuple[str, ...], keep_days: float | None, everything: bool, yes: bool,
    compact: bool, as_json: bool,
) -> None:  # fmt: skip
    """Delete records with their vectors and pictures: by id, person, any other condition, or age."""
    if not (ids or chosen or everything or keep_days is not None):
        raise UsageError("delete what? Give --id, --pid or another condition, --keep-days, or --everything.")
    if keep_days is not None and (ids or chosen or everything):
        raise UsageError("--keep-days goes alone; delete by other conditions in a call of its own.")
    with open_gallery(where) as gallery:
        if not yes and not as_json:
            click.confirm(f"Delete {'these records' if not everything else 'all records'} of {where}?", abort=True)
        if keep_days is not None:
            gone = gallery.expire(keep_days)
        else:
            gone = gallery.delete(list(ids) or None, everything=everything, **chosen)
        if compact:
            gallery.compact()
        left = len(gallery)
    output.result(as_json, {"deleted": gone, "records": left}, f"{where}: {gone:,} records deleted, {left:,} left")


@command.command(epilog=output.example("resight gallery compact galleries/mall"))
@WHERE
@params.json_option
def compact(where: Path, as_json: bool) -> None:
    """Leave no trace of what was deleted in any file, and give its space back."""
    with open_gallery(where) as gallery:
        before = gallery.stats()["bytes"]
        gallery.compact()
        after = gallery.stats()["bytes"]
    output.result(as_json, {"bytes_before": before, "bytes": after}, f"{where}: {before:,} bytes before, {after:,} now")


@command.command(epilog=output.example("resight gallery verify galleries/mall"))
@WHERE
@params.json_option
def verify(where: Path, as_json: bool) -> None:
    """Look for damage; exit code 1 where there is any."""
    with open_gallery(where) as gallery:
        problems = gallery.verify()
    output.result(as_json, {"problems": problems}, "\n".join(problems) or f"{where}: no damage found")
    if problems:
        raise click.exceptions.Exit(1)


@command.command(epilog=output.example("resight gallery recall galleries/mall -k 10"))
@WHERE
@click.option("-k", "k", default=10, show_default=True, type=click.IntRange(min=1), help="Neighbors looked for.")
@click.option("--queries", default=100, show_default=True, type=click.IntRange(min=1), help="Records that ask.")
@click.option("--seed", type=params.SEED, default=0, show_default=True, help="Which records are drawn.")
@params.json_option
def recall(where: Path, k: int, queries: int, seed: int, as_json: bool) -> None:
    """What share of the exact answer searches find on this very gallery, and how long they take."""
    with open_gallery(where) as gallery:
        found = gallery.measure_recall(k, queries, seed)
    if as_json:
        output.print_json([asdict(line) for line in found])
        return
    if not found:
        click.echo(f"{where} holds no record to look for", err=True)
    for line in found:
        click.echo(
            f"{line.condition}: recall@{line.k} {line.recall:.4f} of {line.records:,} records, {line.ms:.2f} ms a "
            f"query, exact {line.exact_ms:.2f} ms ({line.queries} queries)"
        )


@command.command(epilog=output.example("resight gallery log galleries/mall --limit 50"))
@WHERE
@LIMIT
@params.json_option
def log(where: Path, limit: int, as_json: bool) -> None:
    """Who did what, newest first: every deletion, and with --audit every change and search."""
    with open_gallery(where) as gallery:
        entries = gallery.log(limit)
    if as_json:
        output.print_json([asdict(entry) for entry in entries])
        return
    for entry in entries:
        detail = ", ".join(f"{name} {value}" for name, value in entry.detail.items() if name != "ids")
        click.echo(printable(f"{_when(entry.at)}  {entry.actor}  {entry.action}  {detail}"))
