"""A recipe: one method on one data set, as a paragraph of TOML that is typed, checked and written back whole.

    Recipe.load("strong_baseline_sample").override("optim.lr=2e-4", "train.epochs=80")

The pieces are the dataclasses beside the code they configure.  Keys a piece does not know are options of the
model, loss or data set it names: `[model] name = "baseline"`, `backbone = "resnet18"`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_type_hints

from resight.data import Augment
from resight.errors import RecipeError, UnknownNameError
from resight.training.batches import SourceConfig
from resight.training.config import TrainConfig
from resight.training.lr_schedule import ScheduleConfig
from resight.training.objective import TermConfig
from resight.training.optimizer import OptimConfig
from resight.training.pseudo_labels import LabelsConfig
from resight.training.weighting import WeightingConfig


@dataclass(frozen=True)
class DataConfig:
    """Which pictures, and where their pixels are kept.  `options` are the reader's own."""

    name: str = "sample"
    root: str | None = None
    pixels: Literal["auto", "cache", "memory", "device", "stream"] = "auto"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelConfig:
    """Which figure.  `options` are the model's own, `backbone`, `parts` and so on."""

    name: str = "strong_baseline"
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
    fraction: float = 0.15  # of the training identities
    every: int = 10  # epochs


# Of [train], what does not say what is learnt: where memory lies, what is written, when, and the way back from a NaN.
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

    @classmethod
    def load(cls, where: str | Path) -> Recipe:
        """A name of `recipes()`, or a TOML file.  Raises RecipeError with the path of the wrong key."""
        path = Path(where)
        if path.suffix == ".toml" or path.is_file():
            if not path.is_file():
                raise RecipeError(f"there is no recipe file {path}.")
            return cls.from_toml(path.read_text(encoding="utf-8"), str(path))
        if str(where) not in recipes():
            raise UnknownNameError("recipe", str(where), recipes())
        return cls.from_toml(_packaged(str(where)), str(where))

    @classmethod
    def from_toml(cls, text: str, source: str = "recipe") -> Recipe:
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"{source} is not TOML: {error}.") from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Raises RecipeError: an unknown key is answered with the known ones, a wrong value with the valid choices."""
        from pydantic import TypeAdapter, ValidationError

        folded = _fold(cls, values, "")
        try:
            return TypeAdapter(cls).validate_python(folded)
        except ValidationError as error:
            raise RecipeError("; ".join(_explain(item) for item in error.errors())) from error

    def override(self, *settings: str) -> Recipe:
        """`key.path=value` with TOML values; a bare word is text.  Terms are found by number or name.

        recipe.override("data.root=data/market", "objective.terms.triplet.margin=0.5")
        """
        values = self.to_dict()
        for setting in settings:
            path, equals, text = setting.partition("=")
            if not equals:
                raise RecipeError(f"{setting!r}: write an override as key.path=value, such as train.epochs=80.")
            _assign(values, path.strip(), _value(text.strip()))
        return Recipe.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the options back among the keys they were written with."""
        unfolded = _unfold(self)
        assert isinstance(unfolded, dict)
        return unfolded

    def to_toml(self) -> str:
        import tomli_w

        return tomli_w.dumps(_without_none(self.to_dict()))

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of all but the place of the data, words about it, and `ASIDE`."""
        values = self.to_dict()
        values.pop("about")
        values["data"].pop("root")
        if self.labels == LabelsConfig():  # recipes had no such table once
            values.pop("labels")
        for key in ASIDE:
            values["train"].pop(key)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def recipes() -> list[str]:
    """The recipes that come with the package."""
    return sorted(
        p.name.removesuffix(".toml") for p in resources.files("resight.recipes").iterdir() if p.name.endswith(".toml")
    )


def _packaged(name: str) -> str:
    return (resources.files("resight.recipes") / f"{name}.toml").read_text(encoding="utf-8")


def _fold(kind: Any, values: Any, where: str) -> Any:
    """Check the keys of a table against its dataclass; keys it does not know go into `options`, where it has them."""
    if not isinstance(values, Mapping):
        return values  # pydantic says what was expected
    hints = get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]
    folded: dict[str, Any] = {}
    for key, value in values.items():
        if key in known:
            folded[key] = _fold_inner(hints[key], value, f"{where}{key}")
        elif "options" in known:
            folded.setdefault("options", {})[key] = value
        else:
            raise RecipeError(f"{where}{key}: {UnknownNameError('key', key, known)}")
    return folded


def _fold_inner(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _fold(hint, value, f"{where}.")
    inner = [a for a in getattr(hint, "__args__", ()) if dataclasses.is_dataclass(a)]
    if inner and isinstance(value, Mapping):
        return {key: _fold(inner[0], item, f"{where}.{key}.") for key, item in value.items()}
    if inner and isinstance(value, list):
        return [_fold(inner[0], item, f"{where}[{number}].") for number, item in enumerate(value)]
    return value


def _unfold(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {f.name: _unfold(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return plain | plain.pop("options", {})
    if isinstance(value, Mapping):
        return {key: _unfold(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_unfold(item) for item in value]
    return value


def _without_none(value: Any) -> Any:
    """TOML has no null: a key that is not there means the default."""
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value


def _explain(item: Any) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"]).lstrip(".")
    return f"{where}: {item['msg'][0].lower()}{item['msg'][1:]}, found {item['input']!r}"


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _assign(values: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a dotted path; list items by number or by their `name`."""
    *parents, last = path.split(".")
    here: Any = values
    for depth, key in enumerate(parents):
        here = _enter(here, key, ".".join(parents[: depth + 1]))
    if isinstance(here, list):
        here[_position(here, last, path)] = value
    elif isinstance(here, dict):
        here[last] = value
    else:
        raise RecipeError(f"{path}: {'.'.join(parents)} is a single value, it has no {last!r}.")


def _enter(here: Any, key: str, path: str) -> Any:
    if isinstance(here, list):
        return here[_position(here, key, path)]
    if not isinstance(here, dict) or key not in here:
        known = ", ".join(here) if isinstance(here, dict) else "nothing"
        raise RecipeError(f"{path}: there is no such table; known here: {known}.")
    return here[key]


def _position(items: list[Any], key: str, path: str) -> int:
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if key in names:
        return names.index(key)
    if key.isdecimal() and int(key) < len(items):
        return int(key)
    raise RecipeError(f"{path}: no item {key!r}; there are {', '.join(map(str, names))}.")
