"""The verb `resight cluster`: sort pictures by person, without labels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from resight.cli.common import output, params
from resight.errors import DatasetError, UsageError
from resight.files import refuse_overwriting, refuse_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.clustering import Clusters
    from resight.clustering.constraints import Pair
    from resight.inference import Vectors
    from resight.inference.precision import Precision

CORRECTIONS = "corrections.json"
DOUBTFUL = 0.1  # confidence below which a picture is marked on a sheet
PAIR = {"nargs": 2, "type": str, "multiple": True, "metavar": "PICTURE PICTURE"}


@click.command(
    epilog=output.example(
        "resight cluster crops/ --out people",
        "resight cluster crops/ --camera '_c([0-9]+)' --center-cameras --out people",
        "resight cluster crops/ --out people --merge a.jpg b.jpg --split c.jpg d.jpg",
        "resight cluster crops.npz --method agglomerative --eps 0.3 --json",
    )
)
@click.argument("crops", type=params.FILE)
@params.model_option
@click.option("--out", type=params.OUT_FOLDER, default=Path("groups"), show_default=True, help="Folder to write.")
@click.option("--camera", metavar="REGEX", help="Finds the camera's number in file names, as '_c([0-9]+)'.")
@click.option("--center-cameras", is_flag=True, help="Subtract each camera's mean vector first; needs known cameras.")
@click.option("--method", type=click.Choice(["dbscan", "agglomerative"]), default="dbscan", show_default=True,
              help="DBSCAN on k-reciprocal Jaccard distances, or average linkage on the model's own.")  # fmt: skip
@click.option("--eps", type=click.FloatRange(min=0, min_open=True),
              help="Radius, or threshold of agglomeration.  Default: what suits the vectors; see --fmr.")  # fmt: skip
@click.option("--fmr", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Agglomerate up to the model's calibrated threshold of this false-match rate.")  # fmt: skip
@click.option("--k1", type=click.IntRange(min=1), default=15, show_default=True,
              help="Length of the rank lists compared: about the pictures of one person.")  # fmt: skip
@click.option("--min-crops", type=click.IntRange(min=1), default=4, show_default=True,
              help="Neighbors, itself counted, that make a picture the core of a group.")  # fmt: skip
@click.option("--merge", **PAIR, help="These two show one person.  Kept in OUT for later calls.")  # type: ignore[arg-type]
@click.option("--split", **PAIR, help="These two show different people.  Kept likewise.")  # type: ignore[arg-type]
@click.option("--sheets", type=click.IntRange(min=0), default=100, show_default=True,
              help="Sheets to draw, for the largest groups.")  # fmt: skip
@params.embedding_options
@params.json_option
def command(
    crops: Path, model: Path, out: Path, camera: str | None, center_cameras: bool,
    method: Literal["dbscan", "agglomerative"], eps: float | None, fmr: float | None, k1: int, min_crops: int,
    merge: Sequence[tuple[str, str]], split: Sequence[tuple[str, str]], sheets: int, batch_size: int,
    precision: Precision, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Sort the pictures of CROPS by person: a folder, a CSV with `path`, a list, or an embedding file.

    No label is read to find the groups; persons a CSV or an embedding file names are only compared with them
    afterwards.  Pictures of one camera and frame (CSV columns `camid` and `frame`) are never put together.
    """
    from resight import clustering
    from resight.clustering.files import LINKS, TABLE, write_links, write_table
    from resight.inference import Vectors
    from resight.inference.embeddings import FORMATS

    refuse_within(out, [crops], "the pictures: they would be found twice")
    refuse_within(crops, [out / LINKS], "the groups that are written anew")
    refuse_overwriting([out / TABLE], [crops])
    clustering.require_scikit_learn()
    given = Vectors.load(crops) if crops.suffix in FORMATS and not crops.is_dir() else None
    threshold = _threshold(model, given, method, eps, fmr)
    how = {"batch_size": batch_size, "precision": precision, "device": device}
    vectors, frames = (given, [None] * len(given)) if given is not None else _embedded(crops, model, camera, how)
    corrections = clustering.Corrections.load(out / CORRECTIONS)
    corrections.add(_named(merge, vectors), _named(split, vectors))
    together, apart = corrections.rows({name: row for row, name in enumerate(vectors.paths)})
    apart += clustering.one_frame(vectors.camids.tolist(), frames)
    config = clustering.ClusterConfig(
        method=method, distance="plain" if method == "agglomerative" else "jaccard", k1=k1, eps=threshold,
        min_samples=min_crops,
    )  # fmt: skip
    found = _clusters(vectors, config, center_cameras, apart, together)
    paths = [vectors.path(row) for row in range(len(vectors))]
    table = write_table(out, vectors.paths, found)
    if merge or split:
        corrections.save(out / CORRECTIONS)
    if all(path.is_file() for path in paths):
        write_links(out, paths, found)
        _draw(out, paths, found, sheets)
    _say(found, vectors, table, as_json)


def _threshold(model: Path, vectors: Vectors | None, method: str, eps: float | None, fmr: float | None) -> float | None:
    """The distance to cluster at; None: what suits the vectors.  Raises UsageError for a question without answer."""
    if fmr is None:
        if method == "agglomerative" and eps is None:
            raise UsageError("--method agglomerative needs a threshold: --eps, or --fmr with a calibrated model.")
        return eps
    if method != "agglomerative" or eps is not None:
        raise UsageError("--fmr gives the threshold of --method agglomerative, in place of --eps.")
    from resight.cli.common.run_folder import calibration_for
    from resight.models import load_model

    known = calibration_for(
        model, vectors.fingerprint if vectors else load_model(model).fingerprint(), None, fmr, False
    )
    assert known is not None  # an --fmr without calibration is refused
    likeness = float(known.threshold(fmr))
    return 1 - likeness if known.metric == "cosine" else -likeness


def _embedded(crops: Path, model: Path, camera: str | None, how: dict[str, Any]) -> tuple[Vectors, list[int | None]]:
    """Descriptors of the pictures, made now, and the frames that are known."""
    from resight.inference import Extractor, embed_samples
    from resight.inference.image_sources import find, with_cameras
    from resight.models import load_model
    from resight.training.monitoring.progress import progress_of

    samples, root = find(crops, say=lambda note: click.echo(note, err=True))
    samples = with_cameras(samples, root, camera)
    with progress_of(output.bar(), "embedding", len(samples)) as advance:
        vectors, broken = embed_samples(Extractor(load_model(model), **how), samples, root, advance)
    output.left_out(item.reason for item in broken)
    if not len(vectors):
        raise DatasetError(f"none of the {len(samples)} pictures of {crops} can be read.")
    lost = {item.index for item in broken}
    return vectors, [sample.frame for row, sample in enumerate(samples) if row not in lost]


def _named(pairs: Sequence[tuple[str, str]], vectors: Vectors) -> list[tuple[str, str]]:
    """Pairs of pictures by their names in groups.csv, each given so or as a path.  Raises UsageError."""
    names = set(vectors.paths)

    def name(given: str) -> str:
        path = Path(given).resolve()
        relative = path.relative_to(vectors.root).as_posix() if path.is_relative_to(vectors.root) else given
        for candidate in (given, relative):
            if candidate in names:
                return candidate
        raise UsageError(f"{given} is none of the pictures; name one as groups.csv does, such as {vectors.paths[0]}.")

    return [(name(one), name(other)) for one, other in pairs]


def _clusters(
    vectors: Vectors, config: Any, center_cameras: bool, apart: Sequence[Pair], together: Sequence[Pair]
) -> Clusters:
    from resight import clustering
    from resight.inference.camera_means import NOT_COSINE
    from resight.types import UNKNOWN_CAMERA

    values = vectors.vectors
    if center_cameras:
        if vectors.metric != "cosine":
            raise UsageError(f"--center-cameras: {NOT_COSINE}")
        if (vectors.camids == UNKNOWN_CAMERA).all():
            raise UsageError("--center-cameras: no camera is known. Give --camera, or a CSV with a column camid.")
        values = clustering.centered(values, vectors.camids)
    display = output.bar()
    progress = output.counting(display, "comparing")
    try:
        return clustering.cluster(
            values, config, metric=vectors.metric, apart=apart, together=together, progress=progress
        )
    finally:
        display.end()


def _draw(out: Path, paths: Sequence[Path], found: Clusters, sheets: int) -> None:
    from resight.clustering.files import SHEETS, by_size
    from resight.reporting.group_sheet import group_sheet

    shutil.rmtree(out / SHEETS, ignore_errors=True)
    for number, rows in enumerate(by_size(found)[:sheets], start=1):
        sure = [float(found.confidence[row]) for row in rows]
        title = f"group {number}: {len(rows)} pictures, mean confidence {sum(sure) / len(sure):.2f}"
        (out / SHEETS).mkdir(parents=True, exist_ok=True)
        captions, doubtful = [f"{value:.2f}" for value in sure], [value < DOUBTFUL for value in sure]
        sheet = group_sheet([paths[row] for row in rows], captions, doubtful, title)
        sheet.save(out / SHEETS / f"{number:04d}.jpg", quality=85)


def _say(found: Clusters, vectors: Vectors, table: Path, as_json: bool) -> None:
    from resight.clustering import agreement

    known = vectors.pids > 0
    score = agreement(found.labels[known], vectors.pids[known]).as_dict() if known.any() else None
    if as_json:
        facts = {"table": str(table), "pictures": len(vectors), "labels_used": 0, **found.facts()}
        output.print_json({**facts, "agreement": score, "radii": found.path()})
        return
    sizes = found.sizes
    click.echo(
        f"{len(vectors)} pictures: {found.count} groups"
        + (f" of {sizes.min()} to {sizes.max()} pictures" if found.count else "")
        + f", {found.left_out:.0%} left out; no label was used"
    )
    stable = "" if found.stability is None else f", {found.stability:.0%} of pairs stable against a tighter radius"
    click.echo(f"  radius {found.eps:g}, mean silhouette {found.silhouette:.2f}{stable}")
    if score is not None:
        click.echo(
            f"  beside the persons named: AMI {score['ami']:.3f}, pair-wise F1 {score['pair_f1']:.3f} "
            f"(precision {score['pair_precision']:.3f}, recall {score['pair_recall']:.3f})"
        )
    click.echo(f"table: {table}")
