"""resight search"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli import common

if TYPE_CHECKING:
    from resight.evaluation import Calibration
    from resight.inference import Extractor, Vectors
    from resight.inference.precision import Precision


@click.command(
    epilog=common.example(
        "resight search crops/ query.jpg -k 10 --sheet hits.png",
        "resight search crops.npz query.jpg --model runs/first --json",
    )
)
@click.argument("where", type=common.FILE)
@click.argument("pictures", type=common.FILE, nargs=-1, required=True)
@common.model_option
@click.option("-k", "k", default=10, show_default=True, type=click.IntRange(min=1), help="Hits for each picture.")
@click.option("--calibration", type=common.FILE, help="From resight calibrate.  Default: calibration.json in MODEL.")
@click.option("--no-calibration", is_flag=True, help="Similarities alone, even if the model has a calibration.")
@click.option("--fmr", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Answer 'unknown' to a hit under the threshold of this false-match rate.")  # fmt: skip
@click.option("--sheet", type=common.FILE, help="Write a picture of the queries and their hits (.png or .jpg).")
@common.batch_option
@common.precision_option
@common.device_option
@common.json_option
def command(
    where: Path, pictures: tuple[Path, ...], model: Path, k: int, calibration: Path | None, no_calibration: bool,
    fmr: float | None, sheet: Path | None, batch_size: int, precision: Precision, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Find in WHERE (a folder of pictures or an embedding file) those most like each of PICTURES.

    With a calibration, the model's own where it has one, each hit carries the chance, beforehand even, that it shows
    the same person.
    """
    from resight.cli.run_folder import calibration_for
    from resight.inference import Extractor
    from resight.models import load_model

    extractor = Extractor(load_model(model), device, batch_size, precision=precision)
    mine = extractor.model.fingerprint()
    known = calibration_for(model, mine, calibration, fmr, no_calibration)
    gallery = _gallery(where, extractor)
    queries = extractor([str(p) for p in pictures])
    rows = _hits(queries, gallery, extractor, k)
    answer = [_answer(str(picture), hits, known, fmr) for picture, hits in zip(pictures, rows, strict=True)]
    if sheet is not None:
        from resight.reporting import search_sheet

        sheet.parent.mkdir(parents=True, exist_ok=True)
        search_sheet(answer).save(sheet)
    if as_json:
        common.print_json(answer)
        return
    from resight.reporting import hits_table

    for item in answer:
        common.table_console().print(hits_table(item))
        if item.get("answer") == "unknown":
            click.echo(f"unknown: no hit is as similar as a false-match rate of {fmr:g} asks for")
    if sheet is not None:
        click.echo(f"picture: {sheet}")


def _answer(query: str, hits: list[dict[str, Any]], known: Calibration | None, fmr: float | None) -> dict[str, Any]:
    """A query with its hits; with a calibration their chances, and 'unknown' where the best is not good enough."""
    answer: dict[str, Any] = {"query": query, "hits": hits}
    if known is None:
        return answer
    for hit in hits:
        score = hit.get("similarity", -hit.get("distance", 0.0))
        hit["probability"] = round(float(known.probability(score)), 4)
        if fmr is not None:
            hit["accepted"] = bool(score >= known.threshold(fmr))
    if fmr is not None:
        answer["answer"] = "known" if any(hit["accepted"] for hit in hits) else "unknown"
    return answer


def _gallery(where: Path, extractor: Extractor) -> Vectors:
    """The vectors of a file, after a look at whose they are, or of a folder, made now."""
    from resight.errors import CheckpointError, DatasetError
    from resight.inference import Vectors, embed_samples
    from resight.inference.embeddings import FORMATS
    from resight.inference.image_sources import find

    if where.suffix in FORMATS and not where.is_dir():
        vectors = Vectors.load(where)
        mine = extractor.model.fingerprint()
        if vectors.fingerprint != mine:
            raise CheckpointError(
                f"{where} was made by another model ({vectors.fingerprint[:12]}, this one is {mine[:12]}); vectors "
                f"of two models cannot be compared. Embed the pictures again with this model, "
                f"or give the model that made the file."
            )
        return vectors
    samples, root = find(where)
    display = common.bar()
    display.begin("embedding", len(samples))
    try:
        vectors, broken = embed_samples(extractor, samples, root, display.advance)
    finally:
        display.end()
    for item in broken:
        click.echo(f"left out: {item.reason}", err=True)
    if not len(vectors):
        raise DatasetError(f"none of the {len(samples)} pictures of {where} can be read.")
    return vectors


def _hits(queries: Any, gallery: Vectors, extractor: Extractor, k: int) -> list[list[dict[str, Any]]]:
    from resight.evaluation import nearest
    from resight.types import UNKNOWN_CAMERA

    distances, indices = nearest(queries, gallery.vectors, min(k, len(gallery)), metric=extractor.model.metric)
    cosine = extractor.model.metric == "cosine"

    def hit(rank: int, row: int, distance: float) -> dict[str, Any]:
        entry: dict[str, Any] = {"rank": rank, "path": str(gallery.path(row)), "id": gallery.ids[row]}
        entry["similarity" if cosine else "distance"] = round(1.0 - distance if cosine else distance, 6)
        if gallery.pids[row] != gallery.UNKNOWN_PID:
            entry["pid"] = int(gallery.pids[row])
        if gallery.camids[row] != UNKNOWN_CAMERA:
            entry["camera"] = int(gallery.camids[row])
        return entry

    return [
        [hit(rank, int(row), float(d)) for rank, (row, d) in enumerate(zip(index, distance, strict=True), start=1)]
        for index, distance in zip(indices, distances, strict=True)
    ]
