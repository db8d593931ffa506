"""The verb `resight search`: find the pictures most similar to a query picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from resight.cli.common import output, params
from resight.cli.gallery.gallery_search import GallerySearch, gallery_options
from resight.errors import UsageError
from resight.files import refuse_within

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from resight.evaluation import Calibration
    from resight.inference import Extractor, Vectors
    from resight.inference.precision import Precision


@click.command(
    epilog=output.example(
        "resight search crops/ query.jpg -k 10 --sheet hits.png",
        "resight search crops.npz query.jpg --model runs/first --json",
        "resight search galleries/mall query.jpg --exclude-camera c3 --after 2026-03-01",
    )
)
@click.argument("where", type=params.FILE)
@click.argument("pictures", type=params.PICTURE, nargs=-1)
@params.model_option
@click.option("-k", "k", default=10, show_default=True, type=click.IntRange(min=1), help="Hits for each picture.")
@click.option("--calibration", type=params.FILE, help="From resight calibrate.  Default: calibration.json in MODEL.")
@click.option("--no-calibration", is_flag=True, help="Similarities alone, even if the model has a calibration.")
@click.option("--fmr", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Accept hits from the threshold of this false-match rate on; 'unknown' if none is.")  # fmt: skip
@click.option("--prior", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Chance beforehand that a picture of WHERE shows the person asked for.  Default: one in the number "
              "of its people, or of its pictures where they are not named.")  # fmt: skip
@click.option("--sheet", type=params.SHEET, help="Write a picture of the queries and their hits (.png or .jpg).")
@click.option("--no-keep", is_flag=True, help="Keep no vectors of a folder's pictures for the next search.")
@click.option("--center-cameras", is_flag=True,
              help="Subtract each camera's mean on both sides; the cameras of WHERE are known.")  # fmt: skip
@click.option("--query-camera", help="Camera of PICTURES, for --center-cameras.  Default: not known.")
@gallery_options
@click.option("--table", type=params.TABLE, help="Write the hits with their full paths (.csv, or .html with pictures).")
@params.embedding_options
@params.json_option
def command(
    where: Path, pictures: tuple[Path, ...], model: Path, k: int, calibration: Path | None, no_calibration: bool,
    fmr: float | None, prior: float | None, sheet: Path | None, table: Path | None, batch_size: int,
    precision: Precision, device: str, as_json: bool, no_keep: bool, center_cameras: bool, query_camera: str | None,
    asked: GallerySearch,
) -> None:  # fmt: skip
    """Find in WHERE (a gallery, a folder of pictures or an embedding file) those most like each of PICTURES.

    A gallery keeps the name of its model and takes filters; a folder or a file is embedded with --model.

    With a calibration, the model's own where it has one, each hit carries the chance that it shows the same person,
    in a gallery of this size.
    """
    from resight.gallery import Gallery
    from resight.gallery.database import NAME
    from resight.inference.search import find_nearest

    in_gallery = (where / NAME).exists()
    if sheet is not None and sheet.exists() and not in_gallery:
        refuse_within(sheet, [where], "the pictures that are searched")
    if not in_gallery and asked:
        raise UsageError(
            f"{where} is no gallery, and {', '.join(asked.given)} choose among the records of one. "
            f"Make one with: resight index {model} {where} --gallery galleries/mine"
        )
    if center_cameras and (fmr is not None or prior is not None):
        raise UsageError(
            "--center-cameras compares vectors without their cameras' means, which no calibration was made for. "
            "Leave it out, or --fmr and --prior."
        )
    if query_camera is not None and not center_cameras:
        raise UsageError("--query-camera says whose mean --center-cameras subtracts from PICTURES; give that, too.")
    if not (pictures or asked.records):
        raise UsageError("give at least one picture to look for, or --record ID of a gallery.")
    names = [str(picture) for picture in pictures]

    def opened(model: Path) -> tuple[Extractor, Calibration | None]:
        """The extractor, and the calibration that hits get their chances from."""
        from resight.cli.common.run_folder import calibration_for
        from resight.inference import Extractor
        from resight.models import load_model

        extractor = Extractor(load_model(model), device, batch_size, precision=precision)
        known = calibration_for(model, extractor.model.fingerprint(), calibration, fmr, no_calibration)
        if prior is not None and known is None:
            raise UsageError(f"--prior needs a calibration. Make one with: resight calibrate VECTORS --model {model}")
        return extractor, None if center_cameras else known

    if in_gallery:
        asked = replace(asked, center_cameras=center_cameras, query_camera=query_camera)
        with Gallery.open(where) as gallery:
            extractor, known = opened(asked.model_of(gallery, model))
            rows = asked.search(gallery, names, extractor, k, known, fmr, prior)
            with asked.with_pictures(gallery, rows) as drawn:
                _show(rows, len(gallery), sheet, table, as_json, drawn)
        return
    extractor, known = opened(model)
    queries = extractor(names)  # before the gallery: a query that cannot be read is known at once
    held = _vectors(where, extractor, no_keep)
    if center_cameras:
        queries, held = _centered(queries, held, query_camera)
    answers = find_nearest(queries, names, held, k, calibration=known, fmr=fmr, prior=prior)
    said = {"center_cameras": True} if center_cameras else {}
    _show([answer.to_dict() | said for answer in answers], len(held), sheet, table, as_json)


def _vectors(where: Path, extractor: Extractor, no_keep: bool) -> Vectors:
    """Those of a folder, kept for the next search, or of an embedding file."""
    from resight.inference.kept_vectors import KeptVectors
    from resight.inference.search import gallery_vectors

    kept = KeptVectors(where, extractor) if where.is_dir() else None
    embed = extractor if kept is None else cast("Extractor", kept)  # it embeds what the extractor has not before
    found, unreadable = gallery_vectors(where, embed, output.counting(output.bar(), "embedding"))
    if kept is not None and kept.taken:
        click.echo(f"vectors of {kept.taken:,} pictures taken from {kept.file}", err=True)
    if kept is not None and no_keep:
        kept.forget()
    elif kept is not None and kept.file.exists():
        click.echo(f"vectors kept for the next search in {kept.file} (--no-keep keeps none)", err=True)
    output.left_out(item.reason for item in unreadable)
    return found


def _centered(
    queries: NDArray[np.float32], gallery: Vectors, camera: str | None
) -> tuple[NDArray[np.float32], Vectors]:
    """Both sides less their cameras' means, which are those of the gallery's own vectors."""
    import numpy as np

    from resight.inference.camera_means import CameraMeans
    from resight.types import UNKNOWN_CAMERA

    means = CameraMeans.of(gallery)
    if camera is not None and not camera.isdecimal():
        raise UsageError(f"--query-camera {camera}: cameras of a folder or an embedding file are whole numbers.")
    own = np.full(len(queries), UNKNOWN_CAMERA if camera is None else int(camera))
    moved = replace(gallery, vectors=means.subtracted(gallery.vectors, gallery.camids))
    click.echo(f"means of {len(means.cameras)} cameras subtracted; hits carry no probability", err=True)
    return means.subtracted(queries, own), moved


def _show(
    answers: list[dict[str, Any]], size: int, sheet: Path | None, table: Path | None, as_json: bool,
    drawn: list[dict[str, Any]] | None = None,
) -> None:  # fmt: skip
    """drawn: the answers with pictures that can be opened, for the sheet and the table."""
    from resight.reporting import hits_table, search_sheet
    from resight.reporting.hits import save_hits

    if table is not None:
        save_hits(drawn or answers, table)
    if sheet is not None:
        sheet = output.save_sheet(search_sheet(drawn or answers), sheet)
    if as_json:
        output.print_json(answers)
        return
    for answer in answers:
        if answer["hits"]:
            output.table_console().print(hits_table(answer))
        else:
            click.echo(f"{answer['query']}: no record meets the conditions")
        if answer.get("answer") == "unknown":
            click.echo(f"unknown: no hit is as similar as a false-match rate of {answer['fmr']:g} asks for")
    if "prior" in next((answer for answer in answers if answer["hits"]), {}):
        click.echo(
            f"right %: the share expected to be right among hits this similar, in a gallery of {size:,} pictures of "
            f"which one in {1 / answers[0]['prior']:,.0f} shows the person asked for (--prior sets another share)"
        )
    for made in filter(None, (sheet, table)):
        click.echo(f"written: {made}")
