"""The verb `resight embed`: turn pictures into a file of vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from resight.cli.common import output, params, processes
from resight.errors import DatasetError

if TYPE_CHECKING:
    from resight.inference.precision import Precision


@click.command(epilog=output.example("resight embed runs/first crops/ --out crops.npz"))
@click.argument("model", type=params.MODEL)
@click.argument("source", type=params.FILE)
@click.option("--out", type=params.EMBEDDINGS, required=True, help="File to write, .npz or .parquet.")
@click.option("--images", type=params.FILE,
              help="Folder that the paths of a table or list are relative to.  Default: its own.")  # fmt: skip
@click.option("--flip", is_flag=True, help="Average each descriptor with that of the mirrored picture.")
@params.embedding_options
@params.json_option
@processes.distributed
def command(
    model: Path, source: Path, out: Path, images: Path | None, flip: bool, batch_size: int, precision: Precision,
    device: str, as_json: bool,
) -> None:  # fmt: skip
    """Turn the pictures of SOURCE into vectors with MODEL (a run folder, a weights file, a packaged name, a hub id).

    SOURCE is a folder (searched to the bottom, hidden files aside), a CSV with a column `path` (and `pid`, `camid` if
    known) or a text file with a path a line.  Each picture's id is the hash of its bytes.
    """
    from resight.inference import Extractor, embed_samples
    from resight.inference.embeddings import content_id
    from resight.inference.image_sources import find
    from resight.models import load_model
    from resight.training.monitoring.progress import progress_of

    samples, root = find(source, images, lambda note: click.echo(note, err=True))
    extractor = Extractor(load_model(model), device, batch_size, flip=flip, precision=precision)
    with progress_of(output.bar(), "embedding", len(samples)) as advance:
        vectors, broken = embed_samples(extractor, samples, root, advance, [content_id(s.path) for s in samples])
    if not processes.first():
        return
    output.left_out(item.reason for item in broken)
    if not len(vectors):
        raise DatasetError(f"none of the {len(samples)} pictures of {source} can be read; {out} was not written.")
    vectors.save(out)
    if as_json:
        output.print_json(
            {
                "file": str(out),
                "vectors": len(vectors),
                "dim": vectors.vectors.shape[1],
                "unreadable": [{"path": b.name, "reason": b.reason} for b in broken],
                "precision": extractor.chosen.name,
                "images_per_second": round(extractor.rate, 1),
            }
        )
    else:
        click.echo(
            f"{out}: {len(vectors)} vectors of {vectors.vectors.shape[1]} numbers, {len(broken)} pictures left out"
        )
        output.next_step(f"resight search {out} PICTURE --model {model}")
        click.echo(f"embedded in {extractor.chosen}, {extractor.rate:.0f} pictures a second", err=True)
