"""From a recipe to a trained run: the one place where data, model, objective and loop are put together."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from resight import data, models
from resight.data import Augmenter, Dataset, open_pixels
from resight.data.checks import stop_if_unsound
from resight.embedding import evaluate, resolve_device
from resight.embedding.verdict import environment
from resight.errors import CheckpointError, DatasetError, RecipeError, UsageError
from resight.recipe import Recipe
from resight.training import journal
from resight.training.checkpoint import write_atomically
from resight.training.clock import Clock
from resight.training.display import Silent
from resight.training.feed import Feed, Labels, mix
from resight.training.objective import Objective, Step, offered
from resight.training.optim import build_optimizer, named_parameters
from resight.training.trainer import Judge, Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from resight.data import Pixels
    from resight.models import ReIDModel
    from resight.training.display import Display
    from resight.types import Sample

T = TypeVar("T")

OWN = ("recipe.toml", "model.safetensors", "last.safetensors", "state.pt", "state.pt.previous", "journal.jsonl",
       "card.json", "evaluation", "report", "tensorboard")  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A finished (or interrupted) run and its folder."""

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Raises CheckpointError where there is no run."""
        folder = Path(folder)
        if not (folder / "recipe.toml").is_file():
            raise CheckpointError(
                f"{folder} is not a run folder: it has no recipe.toml. Make one: resight train RECIPE --out {folder}"
            )
        return cls(folder)

    @cached_property
    def recipe(self) -> Recipe:
        return Recipe.load(self.folder / "recipe.toml")

    @cached_property
    def model(self) -> ReIDModel:
        return models.load_model(self.folder)

    @property
    def card(self) -> dict[str, Any]:
        """What the weights were made of and on which terms."""
        path = self.folder / "card.json"
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return card

    @property
    def journal(self) -> list[dict[str, Any]]:
        return journal.read(self.folder / "journal.jsonl")


def train(
    recipe: Recipe | str,
    out: str | Path,
    *,
    device: str = "auto",
    fresh: bool = False,
    display: Display | None = None,
    dataset: Dataset | None = None,
) -> Run:
    """Train `recipe` into the folder `out`, going on where an earlier call stopped.

    dataset: use this one instead of the recipe's.  fresh: throw an earlier run in `out` away first.
    Raises RecipeError before any picture is read, DatasetError, TrainingError, and Interrupted when told to stop.
    """
    recipe = Recipe.load(recipe) if isinstance(recipe, str) else recipe
    folder, display, where = Path(out), display or Silent(), resolve_device(device)
    dataset = dataset or load_data(recipe)
    for finding in stop_if_unsound(dataset, "train"):
        display.say(str(finding))
    dataset, judge = _validation(recipe, dataset, device)
    _check_labels(recipe, dataset)
    model = build_model(recipe, dataset)
    objective = build_objective(recipe, dataset)
    if fresh:
        _clear(folder)
    pixels = _pixels(recipe, dataset, model.input_size, display)
    feed = Feed(
        pixels,
        _labels(pixels.samples, dataset),
        recipe.feed,
        Augmenter(recipe.augment),
        seed=recipe.seed,
        device=where,
    )
    trainer = Trainer(
        _placed(model, where, channels_last=recipe.train.channels_last),
        Step(model, objective.to(where)),
        feed,
        build_optimizer(recipe.optim, named_parameters(model, objective)),
        recipe.schedule,
        recipe.train,
        Clock(recipe.train.steps_per_epoch or max(len(pixels) // _batch_size(recipe), 1)),
        folder,
        seed=recipe.seed,
        clip_norm=recipe.optim.clip_norm,
        fingerprint=f"{recipe.hash} {_data_hash(pixels.samples)}",
        display=display,
        judge=judge,
    )
    trainer.resume()
    write_atomically(folder / "recipe.toml", lambda partial: _write_text(partial, recipe.to_toml()))
    trainer.run()
    _write_card(folder, recipe, dataset, len(pixels))
    return Run(folder)


def load_data(recipe: Recipe) -> Dataset:
    """The recipe's data set as it lies on the disk."""
    return data.load_dataset(recipe.data.name, root=recipe.data.root, **recipe.data.options)


def build_model(recipe: Recipe, dataset: Dataset) -> ReIDModel:
    """Freshly drawn from the recipe's seed; nothing global is left changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(recipe.seed, 2))
        return _named_model(models.build, recipe, dataset)


def build_objective(recipe: Recipe, dataset: Dataset) -> Objective:
    """Checked against what the model would give, before any weight or picture exists."""
    offers = offered(_named_model(models.probe, recipe, dataset))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(recipe.seed, 3))
        terms, weighting = recipe.objective.terms, recipe.objective.weighting
        return Objective(terms, offers, dataset.num_ids, tuple(recipe.feed), weighting)


def _named_model(make: Callable[..., T], recipe: Recipe, dataset: Dataset) -> T:
    """`make(name, num_ids, **options)` as the recipe says; `attributes = "all"` is filled in from the data."""
    options = dict(recipe.model.options)
    if options.get("attributes") == "all":
        columns = data.attribute_columns(dataset.train)
        options["attributes"] = {name: int(values.max()) + 1 for name, values in columns.items()}
    try:
        return make(recipe.model.name, dataset.num_ids, **options)
    except UsageError as error:
        raise RecipeError(f"model: {error}") from error


def _validation(recipe: Recipe, dataset: Dataset, device: str) -> tuple[Dataset, Judge | None]:
    if recipe.validate.on == "none":
        return dataset, None
    judged = dataset
    if recipe.validate.on == "held_out":
        judged = dataset = data.hold_out(dataset, recipe.validate.fraction, recipe.seed)

    def score(model: ReIDModel) -> dict[str, float]:
        was_training = model.training
        report = evaluate(model, judged, device=device).report
        model.train(was_training)
        return {"mAP": report.mAP, "rank-1": report.rank(1)}

    return dataset, Judge(recipe.validate.every, score)


def _check_labels(recipe: Recipe, dataset: Dataset) -> None:
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


def _pixels(recipe: Recipe, dataset: Dataset, size: tuple[int, int], display: Display) -> Pixels:
    """The training pictures that can be read; what cannot is told, never fatal unless it is everything."""
    display.begin("reading pictures", len(dataset.train))
    try:
        pixels = open_pixels(
            dataset.train,
            size,
            mode=recipe.data.pixels,
            interpolation=recipe.data.interpolation,
            progress=lambda done, _: display.advance(done),
        )
    finally:
        display.end()
    for item in pixels.unreadable[:5]:
        display.say(f"left out: {item.reason}")
    if pixels.unreadable:
        display.say(
            f"{len(pixels.unreadable)} of {len(dataset.train)} training pictures cannot be read and are left out."
        )
    return pixels


def _labels(samples: Sequence[Sample], dataset: Dataset) -> Labels:
    """Row by row of what is trained on; classes are those of the whole training set."""
    label = {pid: number for number, pid in enumerate(sorted({sample.pid for sample in dataset.train}))}
    return Labels(
        pids=torch.tensor([label[sample.pid] for sample in samples]),
        camids=torch.tensor([sample.camid for sample in samples]),
        attributes={name: torch.from_numpy(values) for name, values in data.attribute_columns(samples).items()},
    )


def _placed(model: ReIDModel, device: torch.device, *, channels_last: bool) -> ReIDModel:
    return model.to(device).to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _clear(folder: Path) -> None:
    """Remove what runs leave in their folder, and nothing else that may lie there."""
    for name in OWN:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _batch_size(recipe: Recipe) -> int:
    return next(iter(recipe.feed.values())).batch_size


def _data_hash(samples: Sequence[Sample]) -> str:
    """The names and labels trained on: a run does not go on over other data."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{sample.path.name} {sample.pid} {sample.camid}\n".encode())
    return digest.hexdigest()[:12]


def _write_card(folder: Path, recipe: Recipe, dataset: Dataset, pictures: int) -> None:
    card = {
        "recipe": recipe.name,
        "recipe_hash": recipe.hash,
        "seed": recipe.seed,
        "data": {
            "name": dataset.name,
            "version": dataset.version,
            "terms": dataset.terms,
            "identities": dataset.num_ids,
            "pictures": pictures,
        },
        "licence": f"Weights trained on {dataset.name}: {dataset.terms}",
        **environment(),
    }
    write_atomically(folder / "card.json", lambda partial: _write_text(partial, json.dumps(card, indent=1)))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
