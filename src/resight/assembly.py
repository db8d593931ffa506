"""The parts of a training run, put together from its recipe: data, model, objective, batches and loop."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from resight import data, models
from resight._version import __version__
from resight.data import Augmenter, Dataset, open_pixels
from resight.data.doctor.label_checks import left_out, refuse_unusable
from resight.dist import world_size
from resight.dist.processes import local_rank_zero_first
from resight.errors import DatasetError, OptionError, RecipeError, UsageError
from resight.inference import evaluate
from resight.models.separate_batch_norm import separate
from resight.models.undrawn import Undrawn
from resight.recipe import Recipe
from resight.training.batches.feed import Feed, TrainingLabels
from resight.training.batches.pseudo_labels import PseudoLabels
from resight.training.batches.sources import check_processes
from resight.training.clock import Clock
from resight.training.components import Components, Validation
from resight.training.determinism import mix
from resight.training.monitoring.progress import progress_of
from resight.training.objective.mutual import MutualStep, TwoNetworks, check_mutual
from resight.training.objective.objective import Objective
from resight.training.objective.step import Step
from resight.training.objective.terms import offered
from resight.training.optimization import backward
from resight.training.optimization.optimizer import build_optimizer, freeze, named_parameters, sparse_parameters
from resight.training.parallel import Parallel, check_alike
from resight.training.trainer import Trainer
from resight.types import UNKNOWN_PID

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from resight.data import Pixels
    from resight.inference.evaluate import TestPixels
    from resight.models import ReIDModel
    from resight.training.monitoring.progress import Display
    from resight.types import Interpolation, Sample

T = TypeVar("T")


def checked_data(recipe: Recipe, dataset: Dataset, display: Display) -> Dataset:
    """The data set, after a look at what would spoil training.  Where no label is used, none is looked at, nor kept."""
    if recipe.labels.source == "clusters" and recipe.labels.keep:
        return dataset
    if recipe.labels.source == "clusters":
        for finding in left_out(dataset):
            display.say(f"{finding.level}: {finding}")
        return replace(dataset, train=tuple(replace(sample, pid=UNKNOWN_PID) for sample in dataset.train))
    for finding in refuse_unusable(dataset, "train"):
        if finding.level != "note":
            display.say(f"{finding.level}: {finding}")
    return dataset


def build_trainer(
    recipe: Recipe,
    dataset: Dataset,
    validation: Validation | None,
    folder: Path,
    device: torch.device,
    display: Display,
    *,
    pixels: Callable[[tuple[int, int]], Pixels] | None = None,
    start: ReIDModel | None = None,
) -> Trainer:
    """All parts of a run, put together; nothing in its folder is touched.

    pixels: what gives the training pictures at a size (H, W), in place of the recipe's own way to them.
    start: a model to train on, in place of a new one.
    """
    _check_labels(recipe, dataset)
    model, objective = start or starting_model(recipe, dataset), build_objective(recipe, dataset)
    check_mutual(objective, recipe.train, clusters=recipe.labels.source == "clusters")
    begun_from = f" {start.fingerprint()[:12]}" if start is not None else ""
    _check_shares(recipe, dataset, objective)
    opened = pixels or partial(_pixels, recipe, dataset, model.interpolation, device=device, display=display)
    held = local_rank_zero_first(lambda: opened(model.input_size))
    labels, augment = _labels(recipe, held.samples, dataset), Augmenter(recipe.augment, *model.pixel_statistics)
    feed = Feed(held, labels, recipe.feed, augment, seed=recipe.seed, device=device, views=objective.networks)
    data_hash = _data_hash(held.samples)
    model = _two_networks(recipe, model) if objective.networks == 2 else model
    if world_size() > 1:
        weights = model.fingerprint()
        check_alike({"version": __version__, "recipe": recipe.hash, "data": data_hash, "starting weights": weights})
    model, objective = _placed(model, device, channels_last=recipe.train.channels_last), objective.to(device)
    freeze(recipe.optim, model, objective)
    parallel = Parallel(model, objective, recipe.train.parallel, sync_batch_norm=recipe.train.sync_batch_norm)
    return Trainer(
        _step(model, objective, feed.kept.to(device) if recipe.labels.separate_statistics else None),
        feed,
        build_optimizer(recipe.optim, named_parameters(model, objective), sparse_parameters(objective)),
        recipe.schedule,
        recipe.train,
        Clock(recipe.train.steps_per_epoch or max(len(held) // _batch_size(recipe), 1)),
        folder,
        parallel,
        seed=recipe.seed,
        clip_norm=recipe.optim.clip_norm,
        fingerprint=f"{recipe.hash} {data_hash}{begun_from}",
        display=display,
        validation=validation,
        labels=partial(_pseudo_labels, recipe) if recipe.labels.source == "clusters" else None,
    )


def _two_networks(recipe: Recipe, first: ReIDModel) -> Any:
    """The model and a second one, from weights of its own or the same."""
    second = copy.deepcopy(first)
    return TwoNetworks(first, models.load_weights(second, recipe.model.second) if recipe.model.second else second)


def _step(model: Any, objective: Objective, kept: torch.Tensor | None) -> Step:
    """kept: pictures with batch statistics of their own."""
    if kept is not None:
        separate(model)
    return (MutualStep if isinstance(model, TwoNetworks) else Step)(model, objective, kept)


def _pseudo_labels(recipe: Recipe, trainer: Components) -> PseudoLabels:
    return PseudoLabels(recipe.labels, trainer.objective, trainer.feed, trainer.autocast)


def load_data(recipe: Recipe) -> Dataset:
    """The recipe's data set as read from the disk."""
    try:
        return data.load_dataset(recipe.data.name, root=recipe.data.root, **recipe.data.options)
    except OptionError as error:
        raise RecipeError(f"data.{error}") from error


def build_model(recipe: Recipe, dataset: Dataset) -> ReIDModel:
    """Freshly drawn from the recipe's seed; nothing global is left changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(recipe.seed, 2))
        return _named_model(models.build, recipe, dataset)


def starting_model(recipe: Recipe, dataset: Dataset) -> ReIDModel:
    """The same, filled from `model.weights` where the recipe starts from those of another model."""
    model = build_model(recipe, dataset)
    return model if recipe.model.weights is None else models.load_weights(model, recipe.model.weights)


def empty_model(recipe: Recipe, dataset: Dataset) -> ReIDModel:
    """The same model on the meta device: shapes and no weights."""
    with torch.device("meta"), Undrawn():
        return _named_model(models.build, recipe, dataset)


def build_objective(recipe: Recipe, dataset: Dataset) -> Objective:
    """Checked against what the model would give, before any weight or picture exists."""
    offers = offered(_named_model(models.probe, recipe, dataset))
    terms, weighting = recipe.objective.terms, recipe.objective.weighting
    return Objective(terms, offers, _classes(recipe, dataset), tuple(recipe.feed), weighting, recipe.seed)


def _named_model(make: Callable[..., T], recipe: Recipe, dataset: Dataset) -> T:
    """`make(name, num_ids, **options)` as the recipe says; `attributes = "all"` is filled in from the data."""
    options = dict(recipe.model.options)
    if options.get("attributes") == "all":
        columns = data.attribute_columns(dataset.train)
        options["attributes"] = {name: int(values.max()) + 1 for name, values in columns.items()}
    try:
        return make(recipe.model.name, _classes(recipe, dataset), **options)
    except OptionError as error:
        raise RecipeError(f"model.{error}") from error
    except UsageError as error:
        raise RecipeError(f"model: {error}") from error


def _classes(recipe: Recipe, dataset: Dataset) -> int:
    """Identities a classifier has to know: those of the data, none where clusters come and go."""
    return 0 if recipe.labels.source == "clusters" else dataset.num_ids


def with_validation(recipe: Recipe, dataset: Dataset, device: str) -> tuple[Dataset, Validation | None]:
    """The training data, and how the recipe validates: on identities held out of it, or on the test."""
    if recipe.validate.on == "none":
        return dataset, None
    shown = dataset
    if recipe.validate.on == "test":
        refuse_unusable(dataset, "evaluate")  # now, not after the first epochs
    if recipe.validate.on == "held_out":
        shown = dataset = data.hold_out(dataset, recipe.validate.fraction, recipe.seed)

    opened: list[TestPixels] = []  # at the first validation, and kept: pictures are decoded once a run

    def score(model: ReIDModel) -> dict[str, float]:
        if not opened:
            opened.append(local_rank_zero_first(lambda: _test_pixels(recipe, shown, model)))
        report = evaluate(model, shown, device=device, precision="fp32", pixels=opened[0]).report
        return {"mAP": report.mAP, "rank1": report.rank(1)}

    return dataset, Validation(recipe.validate.every, score)


def _test_pixels(recipe: Recipe, dataset: Dataset, model: ReIDModel) -> TestPixels:
    """Query and gallery as `evaluate` reads them; they stay with the processor."""
    mode = "auto" if recipe.data.pixels == "device" else recipe.data.pixels
    opened = partial(open_pixels, size=model.input_size, interpolation=model.interpolation, mode=mode)
    return opened(dataset.query), opened(dataset.gallery)


def _check_labels(recipe: Recipe, dataset: Dataset) -> None:
    if recipe.labels.source == "clusters":
        if recipe.labels.keep and all(sample.pid > 0 for sample in dataset.train):
            raise RecipeError("labels.keep: the persons of all training pictures are given, so there is none to group.")
        return
    if dataset.num_ids < 2:
        raise DatasetError(
            f"{dataset.name}: {len(dataset.train)} training pictures of {dataset.num_ids} identities in "
            f"{dataset.root}; training needs pictures of at least two people."
        )
    known = {name for sample in dataset.train for name in sample.attributes}
    for number, term in enumerate(recipe.objective.terms):
        name = term.target.removeprefix("attributes.")
        if term.target.startswith("attributes.") and name != "*" and name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise RecipeError(
                f"objective.terms[{number}].target: {dataset.name} has no attribute {name!r}; it has {listed}."
            )


def _check_shares(recipe: Recipe, dataset: Dataset, objective: Objective) -> None:
    """Raises RecipeError where the batch, or what the losses take, cannot be taken apart as the recipe asks."""
    check_processes(recipe.feed)
    backward.check_shares(recipe.train.accumulate, recipe.feed)
    if not recipe.train.gradient_cache:
        return
    two, three = (offered(_named_model(partial(models.probe, batch=rows), recipe, dataset)) for rows in (2, 3))
    for name in sorted(objective.inputs(two)):
        if two[name][1:] != three[name][1:]:
            raise RecipeError(
                f"train.gradient_cache: {name} compares the pictures of a batch with one another ({two[name]} for two, "
                f"{three[name]} for three), so it cannot be made of chunks. Use train.accumulate, or another term."
            )


def _pixels(
    recipe: Recipe,
    dataset: Dataset,
    interpolation: Interpolation,
    size: tuple[int, int],
    *,
    device: torch.device,
    display: Display,
) -> Pixels:
    """The training pictures that can be read; a warning counts those that cannot; an error where none can."""
    with progress_of(display, "reading pictures", len(dataset.train)) as advance:
        pixels = open_pixels(
            dataset.train,
            size,
            mode=recipe.data.pixels,
            interpolation=interpolation,
            device=device,
            progress=lambda done, _: advance(done),
        )
    for item in pixels.unreadable[:5]:
        display.say(f"left out: {item.reason}")
    if pixels.unreadable:
        display.say(
            f"{len(pixels.unreadable)} of {len(dataset.train)} training pictures cannot be read and are left out."
        )
    return pixels


def _labels(recipe: Recipe, samples: Sequence[Sample], dataset: Dataset) -> TrainingLabels:
    """Row by row of what is trained on; classes are those of the whole training set, none where clusters are to be."""
    known = {sample.pid for sample in dataset.train}
    if recipe.labels.source == "clusters":
        known = {pid for pid in known if recipe.labels.keep and pid > 0}
    label = {pid: number for number, pid in enumerate(sorted(known))}
    return TrainingLabels(
        pids=torch.tensor([label.get(sample.pid, -1) for sample in samples]),
        camids=torch.tensor([sample.camid for sample in samples]),
        attributes={name: torch.from_numpy(values) for name, values in data.attribute_columns(samples).items()},
    )


def _placed(model: ReIDModel, device: torch.device, *, channels_last: bool) -> ReIDModel:
    return model.to(device).to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _batch_size(recipe: Recipe) -> int:
    return next(iter(recipe.feed.values())).size


def _data_hash(samples: Sequence[Sample]) -> str:
    """The names and labels trained on: a run does not go on over other data."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{sample.path.name} {sample.pid} {sample.camid}\n".encode())
    return digest.hexdigest()[:12]
