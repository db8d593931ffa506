"""resight evaluate"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli import common

if TYPE_CHECKING:
    from resight.embedding import Result
    from resight.embedding.verdict import Expansion
    from resight.evaluation import Protocol, Reranking


def rules(function: Any) -> Any:
    """The options that say what counts as right, and what is done before judging."""
    choices = (
        ("--ap-mode", ["rectangle", "trapezoid"], "rectangle", "Today's custom, or that of the first toolkits."),
        ("--camera-rule", ["cross", "any"], "cross", "cross: the same person in the same camera does not count."),
        ("--no-match", ["skip", "zero"], "skip", "A query nobody in the gallery answers: left out, or zero."),
        ("--ties", ["stable", "pessimistic", "expected", "merged"], "stable", "The order of equal distances."),
        ("--variant", ["paper", "torchreid", "fastreid"], "paper", "Whose re-ranking."),
    )
    for name, values, default, text in reversed(choices):
        function = click.option(name, type=click.Choice(values), default=default, show_default=True, help=text)(
            function
        )
    for name, kind, standard, text in (
        ("--lam", click.FloatRange(0, 1), 0.3, "Re-ranking: share of the first distance."),
        ("--k2", click.IntRange(min=1), 6, "Re-ranking: neighbours averaged."),
        ("--k1", click.IntRange(min=1), 20, "Re-ranking: neighbours that must be mutual."),
    ):
        function = click.option(name, type=kind, default=standard, show_default=True, help=text)(function)
    function = click.option("--expand", is_flag=True, help="Expand queries with their 5 nearest (alpha 3) first.")(
        function
    )
    return click.option("--rerank", is_flag=True, help="Re-rank by k-reciprocal neighbours (Zhong et al., 2017).")(
        function
    )


@click.command(
    epilog=common.example(
        "resight evaluate runs/first",
        "resight evaluate runs/first --dataset market1501 --root data/market1501 --rerank --json",
        "resight evaluate --query-features q.npz --gallery-features g.npz",
    )
)
@click.argument("run", type=common.FILE, required=False)
@click.option("--dataset", help="Data set to judge on.  Default: the recipe's.")
@click.option("--root", type=common.FILE, help="Folder of that data set.")
@click.option("--query-features", type=common.FILE, help="Judge these vectors instead of a model's (.npz, .parquet).")
@click.option("--gallery-features", type=common.FILE, help="Gallery to --query-features.")
@click.option("--metric", type=click.Choice(["cosine", "euclidean"]), default="cosine", show_default=True,
              help="Of vectors from elsewhere; a model knows its own.")  # fmt: skip
@click.option(
    "--out", type=common.FILE, help="Folder for result.json and the vectors.  Default: RUN/evaluation/DATASET."
)
@click.option("--flip", is_flag=True, help="Average each descriptor with that of the mirrored picture.")
@rules
@common.batch_option
@common.device_option
@common.json_option
def command(
    run: Path | None, dataset: str | None, root: Path | None, query_features: Path | None,
    gallery_features: Path | None, metric: Any, out: Path | None, flip: bool, batch: int, device: str,
    as_json: bool, **chosen: Any,
) -> None:  # fmt: skip
    """Judge the model in RUN (a run folder or a weights file), or vectors of any origin, and keep the result."""
    from resight.errors import UsageError

    if query_features is not None and gallery_features is not None:
        if run is not None:
            raise UsageError("give a RUN, or --query-features and --gallery-features, not both.")
        result = _of_features(query_features, gallery_features, metric, chosen)
        folder = out
    elif run is not None and query_features is None and gallery_features is None:
        result = _of_run(run, dataset, root, {"flip": flip, "batch": batch, "device": device}, chosen)
        parent = run if run.is_dir() else run.parent
        folder = out or parent / "evaluation" / str(result.context["dataset"])
    else:
        raise UsageError("name a RUN, or both --query-features and --gallery-features.")
    if folder is not None:
        result.save(folder)
    _say(result, folder, run, as_json)


def _of_run(run: Path, name: str | None, root: Path | None, how: dict[str, Any], chosen: dict[str, Any]) -> Result:
    from resight.cli.judging import dataset_for
    from resight.embedding import evaluate
    from resight.evaluation import PROTOCOLS, Protocol
    from resight.models import load_model

    dataset, context = dataset_for(run, name, root)
    model = load_model(run)
    return evaluate(
        model, dataset, context=context, progress=common.counting(common.bar(), "embedding"), **how,
        protocol=_protocol(PROTOCOLS.get(dataset.name, Protocol()), chosen),
        rerank=_reranking(chosen), expansion=_expansion(chosen),
    )  # fmt: skip


def _of_features(query: Path, gallery: Path, metric: Any, chosen: dict[str, Any]) -> Result:
    from resight.embedding import Result
    from resight.embedding.vectors import load_features
    from resight.embedding.verdict import environment, intervals, judge
    from resight.errors import CheckpointError
    from resight.evaluation import Protocol

    q, g = load_features(query, metric), load_features(gallery, metric)
    if q.fingerprint != g.fingerprint or q.vectors.shape[1:] != g.vectors.shape[1:]:
        raise CheckpointError(
            f"{query} ({q.vectors.shape[1]} numbers, model {q.fingerprint[:12]}) and {gallery} ({g.vectors.shape[1]}, "
            f"{g.fingerprint[:12]}) come from two models; their vectors cannot be compared."
        )
    report = judge(q, g, _protocol(Protocol(), chosen), _reranking(chosen), _expansion(chosen))
    name = f"{query.name} in {gallery.name}"
    origin = {"model": "vectors", "dataset": name, "unreadable": [], "intervals": intervals(report)}
    return Result(report.described(dataset=name), q, g, origin | environment())


def _protocol(base: Protocol, chosen: dict[str, Any]) -> Protocol:
    """A data set's own rules with what was asked for; its rule for ties stays unless another is named."""
    changes = {name: chosen[name] for name in ("ap_mode", "camera_rule", "no_match")}
    if chosen["ties"] != "stable":
        changes["ties"] = chosen["ties"]
    return replace(base, **changes)


def _reranking(chosen: dict[str, Any]) -> Reranking | None:
    from resight.evaluation import Reranking

    return Reranking(chosen["k1"], chosen["k2"], chosen["lam"], chosen["variant"]) if chosen["rerank"] else None


def _expansion(chosen: dict[str, Any]) -> Expansion | None:
    from resight.embedding.verdict import Expansion

    return Expansion() if chosen["expand"] else None


def _say(result: Result, folder: Path | None, run: Path | None, as_json: bool) -> None:
    if as_json:
        common.print_json(result.record())
        return
    for item in result.context["unreadable"]:
        click.echo(f"left out: {item['reason']}", err=True)
    click.echo(str(result))
    for name, (low, high) in result.context["intervals"].items():
        click.echo(f"  {name:<6} 95 % interval over identities: {100 * low:.2f} to {100 * high:.2f} %")
    if folder is not None:
        click.echo(f"kept in {folder}", err=True)
    if run is not None:
        click.echo(f"next:   resight report {run if run.is_dir() else run.parent}", err=True)
