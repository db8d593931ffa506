"""The verb `resight evaluate`: evaluate a model on a data set: mAP, CMC, mINP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli.common import output, params, processes
from resight.cli.evaluation.evaluate_options import Chosen, given, rules
from resight.errors import CheckpointError, UsageError
from resight.files import check_output, refuse_overwriting

if TYPE_CHECKING:
    from resight.data import Dataset
    from resight.evaluation import Report
    from resight.inference import Result


_BELONGS = {  # options that belong to one kind of input
    "dataset": "RUN", "root": "RUN", "settings": "RUN", "flip": "RUN", "center_cameras": "RUN", "precision": "RUN",
    "gallery_features": "--query-features", "metric": "--query-features", "labels": "--distances",
}  # fmt: skip


@click.command(
    epilog=output.example(
        "resight evaluate runs/first",
        "resight evaluate runs/first --dataset market1501 --root data/market1501 --rerank --json",
        "resight evaluate --query-features q.npz --gallery-features g.npz --rerank --k1 10 --k1 20 --lam 0.1 --lam 0.3",
        "resight evaluate --distances d.npz",
    )
)
@click.argument("run", type=params.MODEL, required=False)
@click.option("--dataset", help="Data set to evaluate on.  Default: the recipe's.")
@click.option("--root", type=params.FILE, help="Folder of that data set.")
@params.reader_option
@click.option(
    "--query-features", type=params.FILE, help="Evaluate these vectors instead of a model's (.npz, .parquet)."
)
@click.option("--gallery-features", type=params.FILE, help="Gallery to --query-features.")
@click.option("--metric", type=click.Choice(["cosine", "euclidean"]), default="cosine", show_default=True,
              help="Metric of vectors from elsewhere; a model has its own.")  # fmt: skip
@click.option("--distances", type=params.FILE,
              help="Evaluate a matrix: .npz with distances, query_pids, gallery_pids, query_camids, gallery_camids; or "
              ".npy with --labels.")  # fmt: skip
@click.option("--labels", type=params.FILE, help="Labels of a --distances .npy: the other arrays, as .npz.")
@click.option(
    "--out",
    type=params.OUT_FOLDER,
    help="Folder for result.json and the vectors.  Default: RUN/evaluation/DATASET.",
)
@click.option("--flip", is_flag=True, help="Average each descriptor with that of the mirrored picture.")
@click.option("--center-cameras", is_flag=True,
              help="Subtract each camera's mean vector from query and gallery; the result says so.")  # fmt: skip
@rules
@params.embedding_options
@params.json_option
@processes.distributed
def command(
    run: Path | None, dataset: str | None, root: Path | None, settings: tuple[str, ...], query_features: Path | None,
    gallery_features: Path | None, metric: Any, distances: Path | None, labels: Path | None, out: Path | None,
    flip: bool, center_cameras: bool, batch_size: int, precision: str, device: str, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Evaluate the model RUN (a run folder, a weights file, a packaged name, a hub id), or vectors, or distances.

    Query and gallery of the data set are enough; it need not hold training pictures.
    """
    from resight.cli.common.run_folder import dataset_for, evaluation_folder
    from resight.inference.baselines import with_raw_pixels
    from resight.inference.result import FILES, with_single_shot, with_sweep

    chosen = Chosen.of(options)
    if [run is not None, query_features is not None, distances is not None].count(True) != 1:
        raise UsageError("name one thing to evaluate: a RUN, --query-features with --gallery-features, or --distances.")
    _refuse_idle("RUN" if run else "--query-features" if query_features else "--distances")
    folder = out
    if out is not None:
        check_output(out, folder=True)
        refuse_overwriting([out / name for name in FILES], [query_features, gallery_features, distances, labels])
    if run is not None:
        data = dataset_for(run, dataset, root, params.reader_options(settings))
        how = {"flip": flip, "center_cameras": center_cameras, "batch_size": batch_size}
        result = _of_run(run, *data, how | {"precision": precision, "device": device}, chosen)
        result = with_raw_pixels(result, data[0])
        said = (chosen.slug, "flip" if flip else "", "centered" if center_cameras else "")
        folder = out or evaluation_folder(run, data[0], "-".join(filter(None, said)))
    elif query_features is not None:
        result = _of_features(query_features, gallery_features, metric, chosen)
    else:
        assert distances is not None
        result = _of_distances(distances, labels, chosen)
    if not processes.first():
        return
    if chosen.sweep is not None:
        result = with_sweep(result, *chosen.sweep, chosen.base, chosen.memory)
    if chosen.single_shot or str(result.context.get("version", "")).startswith("classic"):
        result = with_single_shot(result, memory=chosen.memory)
    if folder is not None:
        result.save(folder)
    _say(result, folder, run, as_json)


def _refuse_idle(source: str) -> None:
    """UsageError for an option that would have no effect."""
    for name, home in _BELONGS.items():
        if home != source and given(name):
            option = f"--{name.replace('_', '-')}" if name != "settings" else "--set"
            raise UsageError(f"{option} goes with {home}, but {source} is evaluated; leave one of them out.")


def _of_run(run: Path, dataset: Dataset, context: dict[str, Any], how: dict[str, Any], chosen: Chosen) -> Result:
    from resight.data import protocol_of
    from resight.evaluation import Protocol
    from resight.inference import evaluate
    from resight.models import load_model

    return evaluate(
        load_model(run), dataset, context=context, progress=output.counting(output.bar(), "embedding"), **how,
        protocol=chosen.protocol(Protocol.from_dict(dict(protocol_of(dataset.name)))),
        rerank=chosen.rerank, expansion=chosen.expansion, memory=chosen.memory, multi_query=chosen.multi_query,
    )  # fmt: skip


def _of_features(query: Path, gallery: Path | None, metric: Any, chosen: Chosen) -> Result:
    from resight.evaluation import Protocol
    from resight.inference import Result
    from resight.inference.embeddings import load_features
    from resight.inference.evaluate import evaluate_vectors
    from resight.inference.leakage import duplicates, duplicates_sentence
    from resight.inference.result import pooled

    if gallery is None:
        raise UsageError(f"--query-features {query} has no gallery to search in; add --gallery-features FILE.")
    q, g = load_features(query, metric), load_features(gallery, metric)
    if q.fingerprint != g.fingerprint or q.vectors.shape[1:] != g.vectors.shape[1:]:
        raise CheckpointError(
            f"{query} ({q.vectors.shape[1]} numbers, model {q.fingerprint[:12]}) and {gallery} ({g.vectors.shape[1]}, "
            f"{g.fingerprint[:12]}) come from two models; their vectors cannot be compared."
        )
    if q.metric != metric and given("metric"):
        raise UsageError(f"{query} was made by a model that compares by {q.metric}; leave --metric {metric} out.")
    name = f"{query.name} in {gallery.name}"
    if chosen.multi_query is not None:
        q, name = pooled(q, chosen.multi_query), f"{name}, multi-query {chosen.multi_query}"
    report = evaluate_vectors(q, g, chosen.protocol(Protocol()), chosen.rerank, chosen.expansion, chosen.memory)
    found = {"findings": duplicates_sentence(duplicates(q, g), q, g), "multi_query": chosen.multi_query}
    context = _origin("vectors", name, report) | found
    return Result(report.described(dataset=name), q, g, context, chosen.rerank, chosen.expansion)


def _of_distances(file: Path, labels: Path | None, chosen: Chosen) -> Result:
    from resight.evaluation import Protocol, evaluate_distances
    from resight.inference import Result
    from resight.inference.distance_file import load_distances

    if chosen.rerank or chosen.sweep or chosen.expansion or chosen.multi_query or chosen.memory:
        raise UsageError(
            "re-ranking, expansion, multi-query and --memory are for vectors; give --query-features and "
            "--gallery-features."
        )
    matrix, q, g = load_distances(file, labels)
    protocol = chosen.protocol(Protocol())
    report = evaluate_distances(matrix, q.pids, g.pids, q.camids, g.camids, protocol=protocol)
    context = _origin("distances", file.name, report)
    return Result(report.described(dataset=file.name), q, g, context, distances=matrix)


def _origin(model: str, name: str, report: Report) -> dict[str, Any]:
    from resight.inference.evaluate import environment, intervals

    return {"model": model, "dataset": name, "unreadable": [], "intervals": intervals(report), **environment()}


def _say(result: Result, folder: Path | None, run: Path | None, as_json: bool) -> None:
    if as_json:
        output.print_json(result.record())
        return
    output.left_out(item["reason"] for item in result.context["unreadable"])
    click.echo(str(result))
    for finding in result.context.get("findings", []):
        click.echo(finding, err=True)
    for name, (low, high) in result.context["intervals"].items():
        click.echo(f"  {name:<6} 95 % interval over identities: {100 * low:.2f} to {100 * high:.2f} %")
    if "single_shot" in result.context:
        click.echo(f"  {result.context['single_shot']['said']}")
    for line in result.context.get("rerank_sweep", {}).get("rows", []):
        setting = f"re-ranked k1 {line['k1']:>3}  k2 {line['k2']:>3}  lambda {line['lambda']:<4g}"
        click.echo(f"  {setting}  mAP {line['mAP']:.2%}  R1 {line['rank1']:.2%}  mINP {line['mINP']:.2%}")
    if "embedding" in result.context:
        made = result.context["embedding"]
        click.echo(
            f"embedded in {made['precision_chosen']}, {made['images_per_second']:.0f} pictures a second", err=True
        )
    if folder is not None:
        click.echo(f"kept in {folder}", err=True)
        output.next_step(f"resight report {_shown(run, folder)}")


def _shown(run: Path | None, folder: Path) -> str:
    """Arguments of `resight report` that show this evaluation."""
    if run is None or not (run / "recipe.toml").is_file():
        return str(folder)
    return str(run) if folder.parent == run / "evaluation" else f"{run} --evaluation {folder}"
