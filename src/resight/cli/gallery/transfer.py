"""The verbs of `resight gallery` that bring one from place to place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli.common import output, params
from resight.errors import printable
from resight.files import refuse_overwriting

if TYPE_CHECKING:
    from resight.gallery import Gallery

WHERE = click.argument("where", type=params.FILE)


def open_gallery(where: Path) -> Gallery:
    from resight.gallery import Gallery

    return Gallery.open(where)


@click.command(epilog=output.example("resight gallery backup galleries/mall mall.backup"))
@WHERE
@click.argument("file", type=params.OUT_FILE)
@params.json_option
def backup(where: Path, file: Path, as_json: bool) -> None:
    """Write one FILE with everything, while others may go on writing."""
    with open_gallery(where) as gallery:
        gallery.backup(file)
    output.result(as_json, {"file": str(file)}, f"{file}: written")


@click.command(epilog=output.example("resight gallery restore mall.backup galleries/mall"))
@click.argument("file", type=params.FILE)
@click.argument("where", type=params.OUT_FOLDER)
@params.json_option
def restore(file: Path, where: Path, as_json: bool) -> None:
    """Make a gallery in the folder WHERE from a backup."""
    from resight.gallery import Gallery

    with Gallery.restore(file, where) as gallery:
        count = len(gallery)
    output.result(as_json, {"gallery": str(where), "records": count}, f"{where}: {count:,} records")


@click.command(epilog=output.example("resight gallery export galleries/mall mall.parquet"))
@WHERE
@click.argument("file", type=params.Output(endings=(".parquet",), extras={".parquet": ("pyarrow", "parquet")}))
@params.json_option
def export(where: Path, file: Path, as_json: bool) -> None:
    """Write records, vectors and pictures into a Parquet FILE."""
    with open_gallery(where) as gallery:
        count = gallery.export_parquet(file)
    output.result(as_json, {"file": str(file), "records": count}, f"{file}: {count:,} records")


@click.command("import", epilog=output.example("resight gallery import galleries/mall mall.parquet"))
@WHERE
@click.argument("file", type=params.FILE)
@params.json_option
def import_(where: Path, file: Path, as_json: bool) -> None:
    """Add the records of a Parquet FILE that `export` wrote."""
    with open_gallery(where) as gallery:
        count = gallery.import_parquet(file)
    output.result(as_json, {"gallery": str(where), "records": count}, f"{where}: {count:,} records from {file}")


@click.command(
    epilog=output.example("resight gallery copy galleries/mall galleries/cluster --server http://localhost:19530")
)
@WHERE
@click.argument("to", type=params.OUT_FOLDER)
@click.option("--server", default="", help="Keep the copy's vectors on this Milvus server.")
@click.option("--collection", default="", help="Its collection there.")
@click.option("--index", default="FLAT", show_default=True, help="Its index there.")
@params.json_option
def copy(where: Path, to: Path, server: str, collection: str, index: str, as_json: bool) -> None:
    """Copy a gallery into the folder TO, in a folder or on a Milvus server; the same command goes on after a stop."""
    from resight.gallery import Gallery

    refuse_overwriting([to], [where])
    with open_gallery(where) as source:
        same: dict[str, Any] = {
            name: source.settings[name] for name in ("dim", "metric", "fingerprint", "thumbnail", "audit")
        }
        with Gallery.open(to, **same, server=server, collection=collection, index=index) as target:
            if "model" in source.settings:
                target.remember(model=source.settings["model"])
            count = source.copy_to(target)
            target.optimize()
    output.result(as_json, {"gallery": str(to), "records": count}, f"{to}: {count:,} records")


@click.command(epilog=output.example("resight gallery reembed galleries/mall galleries/mall2 --model runs/better"))
@WHERE
@click.argument("to", type=params.OUT_FOLDER)
@click.option("--model", type=params.MODEL, required=True, help="The new model.")
@params.batch_option
@params.device_option
@params.json_option
def reembed(where: Path, to: Path, model: Path, batch_size: int, device: str, as_json: bool) -> None:
    """Make the gallery TO: the records of WHERE with vectors of another model, from their pictures."""
    from resight.gallery import Gallery
    from resight.inference import Extractor
    from resight.models import load_model

    refuse_overwriting([to], [where])
    extractor = Extractor(load_model(model), device, batch_size)
    with open_gallery(where) as source:
        kept: dict[str, Any] = {name: source.settings[name] for name in ("thumbnail", "audit")}
        with Gallery.open(to, model=extractor.model, **kept) as target:
            target.remember(model=str(model.resolve()) if model.exists() else str(model))
            lost = source.reembed_to(target, extractor)
            target.optimize()
            count = len(target)
    for record in lost:
        click.echo(printable(f"left out: {record.id} has no picture that can be read ({record.source})"), err=True)
    made = {"gallery": str(to), "records": count, "left_out": len(lost)}
    output.result(as_json, made, f"{to}: {count:,} records, {len(lost):,} left out")
