"""The verb `resight index`: embed pictures and add them to a gallery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli.common import output, params, processes
from resight.errors import DatasetError, NotFoundError

if TYPE_CHECKING:
    from resight.gallery import Gallery
    from resight.gallery.ingest.ingest import Ingested
    from resight.gallery.ingest.sources import Reading
    from resight.inference import Extractor
    from resight.inference.precision import Precision


@click.command(
    epilog=output.example(
        "resight index runs/first crops/ --gallery galleries/mall --camera entrance",
        "resight index synth_small crops.zip --gallery galleries/mall --pattern '{pid}_{camera}_{time}'",
        "torchrun --nproc-per-node 4 -m resight index runs/first crops/ --gallery galleries/mall",
    )
)
@click.argument("model", type=params.MODEL)
@click.argument("sources", type=params.FILE, nargs=-1, required=True)
@click.option(
    "--gallery", "folder", type=params.OUT_FOLDER, required=True, help="Folder of the gallery; made if need be."
)
@click.option("--camera", help="Camera of all pictures.")
@click.option("--time", help="Time of all pictures: 2026-03-01T14:05, in UTC where no zone is named.")
@click.option("--label", help="A word to find all of them by.")
@click.option("--pattern", help="Read names of files, e.g. '{pid}_{camera}_{time}' or '{camera}/{pid}_*'.")
@click.option("--sidecars", is_flag=True, help="Read JSON files beside the pictures: pid, camera, time, label, note.")
@click.option("--exif", is_flag=True, help="Read the time from EXIF where nothing else tells it.")
@click.option("--thumbnail", default=256, show_default=True, type=click.IntRange(min=0),
              help="Longest side of the pictures a new gallery keeps; 0 keeps none.")  # fmt: skip
@click.option("--audit", is_flag=True, help="A new gallery logs every change and search.")
@click.option(
    "--server", default="", help="Keep a new gallery's vectors on this Milvus server: http://localhost:19530."
)
@click.option("--collection", default="", help="Its collection there; needed where several machines fill one gallery.")
@params.embedding_options
@params.json_option
@processes.distributed
def command(
    model: Path, sources: tuple[Path, ...], folder: Path, camera: str | None, time: str | None, label: str | None,
    pattern: str | None, sidecars: bool, exif: bool, thumbnail: int, audit: bool, server: str, collection: str,
    batch_size: int, precision: Precision, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Embed the pictures of SOURCES with MODEL and add them to a gallery.

    SOURCES are folders (searched to the bottom), pictures, .csv or .parquet tables with a column `path` (and pid,
    camera, time, label, note if known), .txt lists, zip and tar archives.  Pictures the gallery holds are left as they
    are, so the same command goes on after any stop.  What is known of a picture comes from its table, the options, the
    pattern, its sidecar, its EXIF; the first that says it counts.
    """
    from resight.dist.processes import gather_objects
    from resight.gallery import Gallery
    from resight.gallery.ingest.source_metadata import NamePattern
    from resight.gallery.ingest.sources import Reading
    from resight.gallery.records import moment
    from resight.inference import Extractor
    from resight.models import load_model

    for source in sources:
        if not source.exists():
            raise NotFoundError(f"there is no {source}; give a picture, a folder, a table, a list, or an archive.")
    given = {"camera": camera, "time": moment(time), "label": label}
    reading = Reading(
        {name: value for name, value in given.items() if value is not None},
        NamePattern(pattern) if pattern else None, sidecars, exif,
    )  # fmt: skip
    extractor = Extractor(load_model(model), device, batch_size, precision=precision, share=False)
    options: dict[str, Any] = {"thumbnail": thumbnail, "audit": audit, "server": server, "collection": collection}
    with Gallery.open(folder, model=extractor.model, **options) as gallery:
        if "model" not in gallery.settings:
            gallery.remember(model=str(model.resolve()) if model.exists() else str(model))
        with processes.interruptible(f"stopped; what was added to {folder} stays. The same command adds the rest."):
            found = [_index(gallery, source, reading, extractor) for source in sources]
        everything = [one for theirs in gather_objects(found) for one in theirs]
        if processes.first():
            gallery.optimize()
            _say(gallery, everything, extractor, as_json)


def _index(gallery: Gallery, source: Path, reading: Reading, extractor: Extractor) -> Ingested:
    """What this process, one of several under torchrun, has done of a source."""
    from resight.data.formats.filenames import LeftOut
    from resight.dist import rank, world_size
    from resight.gallery.ingest.ingest import ingest
    from resight.gallery.ingest.sources import count_of, pictures_of
    from resight.training.monitoring.progress import progress_of

    left_out, total = LeftOut(), (count_of(source) or 0) if processes.first() else 0
    with progress_of(output.bar(), f"indexing {source.name}", total) as advance:
        pictures = pictures_of(source, reading, (rank(), world_size()), left_out)
        found = ingest(gallery, pictures, extractor, lambda seen: advance(seen * world_size()))
    if processes.first():
        nothing = [] if found.seen else [f"{source}: no picture found"]
        for note in (*nothing, *left_out.notes(source.name)):
            click.echo(note, err=True)
    return found


def _say(gallery: Gallery, everything: list[Ingested], extractor: Extractor, as_json: bool) -> None:
    broken = [line for found in everything for line in found.unreadable]
    output.left_out(reason for _, reason in broken)
    added, known = sum(found.added for found in everything), sum(found.known for found in everything)
    if as_json:
        output.print_json({
            "gallery": str(gallery.folder), "added": added, "known": known, "records": len(gallery),
            "unreadable": [{"path": source, "reason": reason} for source, reason in broken],
            "images_per_second": round(extractor.rate, 1),
        })  # fmt: skip
    else:
        click.echo(
            f"{gallery.folder}: {added:,} pictures added, {known:,} were there, {len(broken):,} left out; "
            f"{len(gallery):,} records"
        )
    if broken and not added + known:
        raise DatasetError(f"none of the {len(broken):,} pictures can be read; nothing was added to {gallery.folder}.")
    if extractor.embedded and not as_json:
        click.echo(f"embedded {extractor.rate:.0f} pictures a second in {extractor.chosen}", err=True)
