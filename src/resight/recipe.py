"""Recipes: model, data, objective and training of one run, as TOML, typed and checked.

    Recipe.load("strong_baseline_sample").override("optim.lr=2e-4", "train.epochs=80")

The pieces are the dataclasses beside the code they configure.  Keys a piece does not know are options of the
model, loss or data set it names: `[model] name = "baseline"`, `backbone = "resnet18"`.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from resight import models, options
from resight.data import Augment
from resight.errors import DatasetError, OptionError, RecipeError, UnknownNameError
from resight.files import read_text
from resight.options import Count, plain, read
from resight.overrides import assign, exchanges
from resight.training.batches.pseudo_labels import LabelsConfig
from resight.training.batches.sources import SourceConfig
from resight.training.config import TrainConfig
from resight.training.objective.terms import TermConfig
from resight.training.objective.weighting import WeightingConfig
from resight.training.optimization.lr_schedule import ScheduleConfig
from resight.training.optimization.optimizer import OptimConfig


@dataclass(frozen=True)
class DataConfig:
    """Which pictures, and where their pixels are kept.  `options` are the reader's own."""

    name: str = "sample"
    root: str | None = None
    pixels: Literal["auto", "cache", "memory", "device", "stream"] = "auto"
    options: dict[str, Any] = field(default_factory=dict)

    RENAMED: ClassVar[dict[str, str]] = {"interpolation": "model.interpolation"}


@dataclass(frozen=True)
class ModelConfig:
    """Which figure.  `options` are the model's own, `backbone`, `parts` and so on.

    weights: start from these: a run, a file, a packaged name, or hf://owner/name/FILE, of another project too.
    second: the same for the second network of mutual teaching, which otherwise starts as the first.
    """

    name: str = "strong_baseline"
    weights: str | None = None
    second: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is minimised."""

    terms: tuple[TermConfig, ...] = ()
    weighting: WeightingConfig = field(default_factory=WeightingConfig)


@dataclass(frozen=True)
class ValidateConfig:
    """What chooses the best epoch: identities held out of training, nothing, or (against good custom) the test set."""

    on: Literal["none", "held_out", "test"] = "none"
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.15  # of the training identities
    every: Count = 10  # epochs


# Keys of [train] that do not change what is learnt: memory, intervals of writing, recovery from NaN.
ASIDE = ("parallel", "deterministic", "log_every", "save_seconds", "tensorboard", "recover", "recover_factor")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run.  Equal recipe and seed on one machine: equal weights."""

    name: str
    seed: int = 0
    about: str = ""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    labels: LabelsConfig = field(default_factory=LabelsConfig)
    feed: dict[str, SourceConfig] = field(default_factory=lambda: {"main": SourceConfig()})
    augment: Augment = field(default_factory=Augment)
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    validate: ValidateConfig = field(default_factory=ValidateConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise RecipeError(f"seed is {self.seed}; at least 0.")
        if not self.feed:
            raise RecipeError("feed: empty; name at least one source of batches.")

    @classmethod
    def load(cls, where: str | Path) -> Recipe:
        """A name of `recipes()`, or a TOML file.  Raises RecipeError with the path of the wrong key."""
        path = Path(where)
        if path.suffix == ".toml" or path.is_file():
            if not path.is_file():
                raise RecipeError(f"there is no recipe file {path}.")
            return cls.from_toml(text_of(path), str(path))
        if str(where) not in recipes():
            raise UnknownNameError("recipe", str(where), recipes(), listing="resight train --list")
        return cls.from_toml(_packaged(str(where)), str(where))

    @classmethod
    def from_toml(cls, text: str, source: str = "recipe") -> Recipe:
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"{source} is not TOML: {error}.") from error

    @classmethod
    def of_run(cls, folder: Path) -> Recipe:
        """The recipe in a run folder, which an earlier version may have written: old keys mean what they meant."""
        text = (folder / "recipe.toml").read_text(encoding="utf-8")
        try:
            return cls.from_dict(_renamed(tomllib.loads(text)))
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"{folder / 'recipe.toml'} is not TOML: {error}.") from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Raises RecipeError: an unknown key is answered with the known ones, a wrong value with the valid choices."""
        try:
            return read(cls, values)
        except OptionError as error:
            raise RecipeError(str(error)) from error

    def override(self, *settings: str) -> Recipe:
        """`key.path=value` with TOML values; a bare word is text.  Terms are found by number or name.

        A key without a value is taken away, so that its default holds; so is a whole term.  A model, a data set or a
        term's loss that is exchanged for another keeps the options that the other has, too.

        recipe.override("data.root=data/market", "objective.terms.triplet.loss=circle", "augment.erase=")
        """
        values, pairs = self.to_dict(), [options.setting(text) for text in settings]
        for path, text in sorted(pairs, key=lambda pair: not exchanges(pair[0])):  # exchanges first, then their options
            assign(values, path.split("."), text, Recipe)
        return Recipe.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the options back among the keys they were written with."""
        values = plain(self)
        assert isinstance(values, dict)
        return values

    def to_toml(self) -> str:
        import tomli_w

        return tomli_w.dumps(_without_none(self.to_dict()))

    @property
    def starts_from(self) -> str:
        """Which weights training begins with: `scratch`, `ImageNet`, `CLIP`, a package or a file."""
        if self.model.weights:
            return self.model.weights
        members = self.model.options.get("members")  # of an ensemble
        networks = list(members.values()) if isinstance(members, Mapping) else [self.model.options]
        return " and ".join(sorted({_start(network) for network in networks}))

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of all but the place of the data, words about it, and `ASIDE`."""
        values = self.to_dict()
        values.pop("about")
        values["data"].pop("root")
        values["data"]["interpolation"] = values["model"].pop("interpolation", "bilinear")  # as it was once
        if self.labels == LabelsConfig():  # recipes had no such table once
            values.pop("labels")
        for key in ("weights", "second"):  # which runs of earlier versions do not know
            if values["model"][key] is None:
                values["model"].pop(key)
        for key in ASIDE:
            values["train"].pop(key)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _start(options: Mapping[str, Any]) -> str:
    """Which weights a network begins with, by its options."""
    backbone = options.get("backbone")
    trunk = backbone if isinstance(backbone, Mapping) else {}
    named = trunk.get("weights") or trunk.get("pretrained") or "scratch"
    if named is True:
        return "CLIP" if "clip" in str(trunk.get("name")) else "ImageNet"
    return str(named)


def text_of(path: Path) -> str:
    """The text of a TOML file.  Raises RecipeError where it is none."""
    try:
        return read_text(path)
    except DatasetError as error:
        raise RecipeError(str(error)) from error


def recipes() -> list[str]:
    """The recipes that come with the package."""
    return sorted(
        p.name.removesuffix(".toml") for p in resources.files("resight.recipes").iterdir() if p.name.endswith(".toml")
    )


def starting_weights(name: str) -> str:
    """What a packaged recipe starts from, as `Recipe.starts_from`; a file where its head asks for or offers one."""
    found, head = Recipe.load(name).starts_from, _packaged(name)
    if found == "scratch" and "model.backbone.weights=FILE" in head:
        return "your file"
    return "scratch or a file" if found == "scratch" and "model.weights=FILE" in head else found


def _packaged(name: str) -> str:
    return (resources.files("resight.recipes") / f"{name}.toml").read_text(encoding="utf-8")


def _without_none(value: Any) -> Any:
    """TOML has no null: a key that is not there means the default."""
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value


# What keys, options of losses, and losses were called in earlier versions.
EARLIER_SOURCE = {"batch": "batch_size"}
EARLIER_AUGMENT = {"grey": "gray"}
EARLIER_TERM = {"smoothing": "label_smoothing", "normalise": "normalize"}
EARLIER_LOSS = {"centre": "center", "generalised_lifted": "generalized_lifted"}


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """The tables of an earlier version's recipe under the names of today."""

    def under(names: Mapping[str, str], table: Mapping[str, Any]) -> dict[str, Any]:
        return {names.get(key, key): value for key, value in table.items()}

    found = dict(values)
    found["feed"] = {name: under(EARLIER_SOURCE, source) for name, source in values.get("feed", {}).items()}
    found["augment"] = under(EARLIER_AUGMENT, values.get("augment", {}))
    objective = values.get("objective", {})
    terms = [under(EARLIER_TERM, term) for term in objective.get("terms", [])]
    terms = [{**term, "loss": EARLIER_LOSS.get(str(term.get("loss")), term.get("loss"))} for term in terms]
    found["objective"] = {**objective, "terms": terms}
    weighting = objective.get("weighting", {})
    if weighting.get("combine") == "normalised":
        found["objective"]["weighting"] = {**weighting, "combine": "normalized"}
    model = dict(values.get("model", {}))
    name = model.pop("name", "")
    found["data"] = dict(values.get("data", {}))
    if (interpolation := found["data"].pop("interpolation", "bilinear")) != "bilinear":
        model["interpolation"] = interpolation
    found["model"] = {"name": name, **models.earlier_options(name, model)}
    return {key: table for key, table in found.items() if key in values}
