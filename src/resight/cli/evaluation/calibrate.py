"""The verb `resight calibrate`: find similarity thresholds, and probabilities of being the same person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli.common import output, params
from resight.errors import CheckpointError, ResightError, UsageError
from resight.files import check_output, refuse_overwriting

if TYPE_CHECKING:
    from resight.evaluation import Calibration
    from resight.inference.embeddings import Vectors


@click.command(
    epilog=output.example(
        "resight embed runs/first people.csv --out people.npz",
        "resight calibrate people.npz --model runs/first",
        "resight calibrate --dataset sample --model runs/first",
        "resight calibrate people.npz --method logistic --fmr 0.001 --fmr 0.01 --json",
    )
)
@click.argument("vectors", type=params.FILE, nargs=-1)
@click.option(
    "--model", type=params.MODEL, help="Model that made VECTORS (as in resight search): keep the result with it."
)
@click.option("--dataset", help="Embed the people of this data set with --model, instead of VECTORS.")
@click.option("--root", type=params.FILE, help="Folder of that data set.")
@click.option("--split", type=click.Choice(["train", "query", "gallery"]), default="train", show_default=True,
              help="Its part to take.")  # fmt: skip
@click.option("--out", type=params.OUT_FILE,
              help="File to write.  Default: with --model, else beside the first VECTORS.")  # fmt: skip
@click.option(
    "--test-set", is_flag=True, help="Allow the vectors of an evaluation, whose figures would then be too good."
)
@click.option("--method", type=click.Choice(["isotonic", "logistic"]), default="isotonic", show_default=True,
              help="The shape of the probability: rising steps, or a logistic curve.")  # fmt: skip
@click.option("--fmr", type=click.FloatRange(0, 1, min_open=True, max_open=True), multiple=True,
              default=(1e-4, 1e-3, 1e-2), show_default=True,
              help="False-match rates, each given a threshold.")  # fmt: skip
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Of the cross-validation.")
@click.option("--pairs", type=click.IntRange(min=1000), default=2_000_000, show_default=True,
              help="Different-person pairs to keep at most.")  # fmt: skip
@click.option("--seed", type=params.SEED, default=0, show_default=True, help="Of the folds and the sample of pairs.")
@params.json_option
def command(
    vectors: tuple[Path, ...], model: Path | None, dataset: str | None, root: Path | None, split: Any,
    out: Path | None, test_set: bool, method: Any, fmr: tuple[float, ...], folds: int, pairs: int, seed: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Find the similarity that means the same person, and a probability for every similarity.

    VECTORS are embedding files with identities, of people the model was neither trained nor tested on: figures at a
    threshold chosen on the test set would be too good.  Rates are measured on people left out of the fit.  What is kept
    with the model is used by search, verify and report.
    """
    import numpy as np

    from resight.evaluation import calibrate, labeled_pairs
    from resight.inference.embeddings import load_features

    if bool(vectors) == (dataset is not None) or (dataset is not None and model is None):
        raise UsageError("give VECTORS, or --dataset with --model.")
    file = out or _default_place(model, vectors)
    check_output(file)
    refuse_overwriting([file], vectors)
    tested = _of_evaluations(vectors, test_set) or split != "train"
    if dataset is not None and split != "train" and not test_set:
        raise UsageError(
            f"the {split} of {dataset} are people it is evaluated on. A threshold chosen on them would flatter their "
            f"figures: take --split train of a set the model was not trained on, or say --test-set."
        )
    parts = [load_features(path) for path in vectors] or [_embedded(str(model), str(dataset), root, split)]
    _one_model(vectors, parts, model)
    if model is not None and (said := trained_on(model, parts)):
        click.echo(f"warning: {said}", err=True)
    made = labeled_pairs(
        np.concatenate([part.vectors for part in parts]),
        np.concatenate([part.pids for part in parts]),
        np.concatenate([part.camids for part in parts]),
        parts[0].metric,
        limit=pairs,
        seed=seed,
    )
    result = calibrate(made, method, fmr, folds=folds, seed=seed, model=parts[0].fingerprint)
    people = ", ".join(dict.fromkeys(Path(part.root).name for part in parts)) if dataset is None else dataset
    result = replace(result, test_set=tested, source=people)
    result.save(file)
    if as_json:
        output.print_json(result.to_dict() | {"file": str(file)})
    else:
        _say(result, file)


def _default_place(model: Path | None, vectors: tuple[Path, ...]) -> Path:
    """With the model where it is the user's own; else beside the vectors."""
    from resight.cli.common.run_folder import NAME, kept_at
    from resight.models import trained

    packaged = model is not None and not model.exists() and str(model) in trained()
    if model is not None and not packaged:
        return kept_at(model)
    return vectors[0].with_name(NAME) if vectors else Path(NAME)


def _embedded(model: str, dataset: str, root: Path | None, split: Any) -> Vectors:
    """The vectors of one split of a data set."""
    from resight.data import load_dataset
    from resight.inference import Extractor, embed_samples

    data = output.say_left_out(load_dataset(dataset, root))
    vectors, unreadable = embed_samples(Extractor(model, precision="fp32"), data.split(split), data.root)
    output.left_out(item.reason for item in unreadable)
    return vectors


def trained_on(model: Path, parts: list[Vectors]) -> str | None:
    """A sentence where some of the pictures are those a run was trained on; None where none is, or it is not known."""
    from resight.assembly import load_data
    from resight.run import Run

    try:
        run = Run.open(model)
        train = {sample.path.resolve() for sample in load_data(run.recipe).train}
    except ResightError:
        return None
    seen = sum(part.path(row).resolve() in train for part in parts for row in range(len(part)))
    if not seen:
        return None
    return (
        f"{model} was trained on {seen:,} of these pictures: of people it has learned it is too sure, and "
        f"thresholds will let strangers in. Calibrate on others."
    )


def _of_evaluations(paths: tuple[Path, ...], allowed: bool) -> bool:
    """Whether any of the files belongs to an evaluation; UsageError where that is not allowed."""
    tested = [path for path in paths if (path.parent / "result.json").is_file()]
    if tested and not allowed:
        raise UsageError(
            f"{tested[0]} holds the people of an evaluation. A threshold chosen on them would make its figures too "
            f"good: embed others with resight embed, or say --test-set."
        )
    return bool(tested)


def _one_model(paths: tuple[Path, ...], parts: list[Vectors], model: Path | None) -> None:
    from resight.models import load_model

    for path, part in zip(paths, parts, strict=False):  # none where a data set was embedded
        if (part.fingerprint, part.metric) != (parts[0].fingerprint, parts[0].metric):
            raise CheckpointError(f"{paths[0]} and {path} come from two models; calibrate each by itself.")
        if part.vectors.shape[1] != parts[0].vectors.shape[1]:
            raise CheckpointError(
                f"{paths[0]} has vectors of {parts[0].vectors.shape[1]} numbers and {path} of {part.vectors.shape[1]}: "
                f"they come from two models; calibrate each by itself."
            )
    if paths and model is not None and (mine := load_model(model).fingerprint()) != parts[0].fingerprint:
        raise CheckpointError(
            f"{paths[0]} was made by another model ({parts[0].fingerprint[:12]}, {model} is {mine[:12]}); embed the "
            f"people with this one."
        )


def _say(result: Calibration, file: Path) -> None:
    click.echo(f"{result.people} people, {result.method}, {result.metric}")
    click.echo(f"  log loss {result.log_loss:.3f} on people left out; 0.693 for constant one half")
    for point in result.operating:
        click.echo(
            f"  false matches {point.fmr:g}: accept from {point.threshold:.4f}; on people left out "
            f"{point.fmr_found:.2g} false, {point.fnmr:.1%} missed [{point.fnmr_low:.1%}, {point.fnmr_high:.1%}]"
        )
    if result.too_rare:
        rare = ", ".join(f"{rate:g}" for rate in result.too_rare)
        click.echo(
            f"  {result.different:,} pairs of two people cannot show {rare}: "
            f"that threshold lies just above the most similar of them"
        )
    rates = [line for line in result.cameras if line.same]
    if len(rates) > 1:
        worst = max(rates, key=lambda line: line.fnmr)
        click.echo(f"  hardest cameras {worst.cameras[0]} and {worst.cameras[1]}: {worst.fnmr:.1%} missed")
    click.echo(f"kept in {file}", err=True)
    output.next_step("resight search FOLDER PICTURE --model MODEL --fmr RATE")
