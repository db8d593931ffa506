"""A sweep: recipes x overrides x seeds, read from TOML.

    sweep = Sweep.load("hacnn")                 # one that comes with the package, or a file
    for trial in sweep.trials(): print(trial)   # every run it asks for, all variants before the next seed

`runner` carries it out, `comparison` reads what it left.  docs/sweeps.md has the format.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import tomllib
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.data import canonical_name
from resight.errors import OptionError, RecipeError, UnknownNameError
from resight.options import read
from resight.recipe import Recipe, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class SweepDataset:
    """One data set every run is evaluated on; `name` tells two of one kind apart.

    `root` may hold variables of the environment: "$RESIGHT_DATA/dials/clean".
    """

    dataset: str
    root: str | None = None
    name: str = ""

    @property
    def place(self) -> str | None:
        """The root with its variables filled in.  Raises RecipeError for one that is not set."""
        place = None if self.root is None else os.path.expandvars(self.root)
        unset = re.search(r"\$\{?(\w+)", place or "")
        if unset:
            raise RecipeError(f"evaluate: {self.root}: the environment has no {unset[1]}; set it to the folder meant.")
        return place

    @property
    def label(self) -> str:
        return self.name or self.dataset


@dataclass(frozen=True)
class Variant:
    """One row of the table: a recipe and what is changed in it."""

    name: str
    recipe: str = ""  # a name of `recipes()`, or a file beside the sweep's
    about: str = ""
    set: tuple[str, ...] = ()  # overrides, key.path=value
    drop: tuple[str, ...] = ()  # terms of the objective that are left out
    add: tuple[dict[str, Any], ...] = ()  # terms that join it
    grid: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # key.path -> values: one variant for each product
    weights_of: str | None = None  # evaluate the weights of an earlier variant instead of training

    @property
    def slug(self) -> str:
        """The name of its folder."""
        return re.sub(r"[^A-Za-z0-9.=_]+", "-", self.name).strip("-.")


@dataclass(frozen=True)
class Trial:
    """One run: a variant under a seed, on one of the sweep's data sets."""

    variant: Variant
    seed: int
    on: SweepDataset | None = None  # trained and evaluated there; None: as the recipe says

    def folder(self, out: Path) -> Path:
        home = out / self.variant.slug
        return (home / self.on.label if self.on else home) / f"seed-{self.seed}"

    def __str__(self) -> str:
        return f"{self.variant.name}{f' on {self.on.label}' if self.on else ''}, seed {self.seed}"


@dataclass(frozen=True)
class Sweep:
    """What is compared.  The first variant is the one the others are held against."""

    name: str
    variants: tuple[Variant, ...]
    about: str = ""
    seeds: tuple[int, ...] = (0, 1)
    datasets: tuple[SweepDataset, ...] = ()  # each variant is trained and evaluated on each; none: on its recipe's own
    evaluate: tuple[SweepDataset, ...] = ()  # what every run is evaluated on; none: what it was trained on
    held_out: bool = (
        False  # evaluate each run on the identities it held out (validate.on = "held_out"), never on the test
    )
    change: tuple[str, ...] = ()  # two of `evaluate`, the easy and the hard: what mAP loses between them
    set: tuple[str, ...] = ()  # overrides of every variant, before its own
    presentations: int | None = None  # pictures shown in training to each; None: the recipes' own epochs
    folder: Path | None = field(default=None, metadata={"key": False})  # that recipe files are relative to

    @classmethod
    def load(cls, where: str | Path) -> Sweep:
        """A name of `sweeps()`, or a TOML file.  Raises RecipeError with the key that is wrong."""
        path = Path(where)
        if path.suffix == ".toml" or path.is_file():
            if not path.is_file():
                raise RecipeError(f"there is no sweep file {path}.")
            return cls.from_toml(text_of(path), str(path), path.parent)
        if str(where) not in sweeps():
            raise UnknownNameError("sweep", str(where), sweeps(), listing="resight sweep --list")
        return cls.from_toml((resources.files("resight.sweeps") / f"{where}.toml").read_text("utf-8"), str(where))

    @classmethod
    def from_toml(cls, text: str, source: str = "sweep", folder: Path | None = None) -> Sweep:
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"{source} is not TOML: {error}.") from error
        return replace(_checked(values, source), folder=folder)

    def trials(self) -> list[Trial]:
        """Every variant under the first seed, then under the next: a whole table stands as early as can be."""
        where = self.datasets or (None,)
        return [Trial(variant, seed, on) for seed in self.seeds for on in where for variant in self.variants]

    def trials_of(self, variant: Variant) -> list[Trial]:
        return [trial for trial in self.trials() if trial.variant is variant]

    def variant(self, name: str) -> Variant:
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise UnknownNameError("variant", name, [variant.name for variant in self.variants])

    def only(self, names: tuple[str, ...]) -> Sweep:
        """The first variant, the named ones, and those whose weights they need."""
        wanted = {self.variants[0].name, *(self.variant(name).name for name in names)}
        for variant in reversed(self.variants):  # weights come from an earlier one
            if variant.name in wanted and variant.weights_of:
                wanted.add(variant.weights_of)
        return replace(self, variants=tuple(v for v in self.variants if v.name in wanted))

    def moved(self, places: Sequence[str]) -> Sweep:
        """Every variant trained and evaluated on each of `places`, "dataset" or "dataset=root", and nowhere else."""
        split = [place.partition("=") for place in places]
        datasets = tuple(SweepDataset(canonical_name(name), root or None) for name, _, root in split)
        moved = replace(self, datasets=datasets, evaluate=(), change=())
        _refuse_unclear(moved, self.name)
        return moved

    def recipe(self, variant: Variant, seed: int = 0) -> Recipe:
        """The variant's recipe with every change but the budget.  Raises RecipeError naming the variant."""
        try:
            if variant.weights_of is not None:
                base = self.recipe(self.variant(variant.weights_of), seed)
            else:
                base = Recipe.load(self._place(variant.recipe)).override(*self.set)
            return _with_terms(base, variant).override(*variant.set, f"seed={seed}")
        except RecipeError as error:
            raise RecipeError(f"variant {variant.name!r}: {error}") from error

    def _place(self, recipe: str) -> str | Path:
        return self.folder / recipe if self.folder is not None and recipe.endswith(".toml") else recipe


def sweeps() -> list[str]:
    """The sweeps that come with the package."""
    files = resources.files("resight.sweeps").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def budgeted(recipe: Recipe, presentations: int, pictures: int) -> Recipe:
    """`recipe` with as many epochs as show about so many pictures, its schedule stretched to match.

    An epoch shows whole batches of its first source.  Warm-up, milestones and start keep their share of the
    run, as do the times a recipe gives a curriculum.  Raises RecipeError where the budget is less than an epoch.
    """
    batch = next(iter(recipe.feed.values())).size
    shown = batch * (recipe.train.steps_per_epoch or max(pictures // batch, 1))
    if presentations < shown:
        raise RecipeError(
            f"{recipe.name}: an epoch shows {shown} pictures, more than the budget of {presentations}. Raise the "
            f"budget, or lower train.steps_per_epoch."
        )
    epochs = round(presentations / shown)
    stretch, schedule = epochs / recipe.train.epochs, recipe.schedule
    terms = tuple(replace(t, options=_stretched(t.options, stretch)) for t in recipe.objective.terms)
    return replace(
        recipe,
        objective=replace(recipe.objective, terms=terms),
        train=replace(recipe.train, epochs=epochs),
        schedule=replace(
            schedule,
            warmup=schedule.warmup * stretch,
            milestones=tuple(milestone * stretch for milestone in schedule.milestones),
            start=schedule.start * stretch,
        ),
    )


def _stretched(options: dict[str, Any], stretch: float) -> dict[str, Any]:
    """A loss's own times, in epochs (`t0` and `t1` of a curriculum), that the recipe gives."""
    return {name: value * stretch if name in ("t0", "t1") else value for name, value in options.items()}


def _with_terms(recipe: Recipe, variant: Variant) -> Recipe:
    """Terms dropped by name, then those that join."""
    if not variant.drop and not variant.add:
        return recipe
    values = recipe.to_dict()
    terms = values["objective"]["terms"]
    names = [term["name"] for term in terms]
    for name in variant.drop:
        if name not in names:
            raise RecipeError(f"drop: {UnknownNameError('term', name, names)}")
    kept = [term for term in terms if term["name"] not in variant.drop]
    values["objective"]["terms"] = kept + [dict(term) for term in variant.add]
    return Recipe.from_dict(values)


def _checked(values: dict[str, Any], source: str) -> Sweep:
    try:
        sweep = read(Sweep, values)
    except OptionError as error:
        raise RecipeError(f"{source}: {error}") from error
    sweep = replace(sweep, variants=tuple(itertools.chain.from_iterable(map(_expanded, sweep.variants))))
    _refuse_unclear(sweep, source)
    return sweep


def _refuse_unclear(sweep: Sweep, source: str) -> None:
    """Variants that could not be told apart, have no recipe, or take weights from nowhere."""
    if not sweep.variants or not sweep.seeds:
        raise RecipeError(f"{source}: a sweep needs at least one [[variants]] and one seed.")
    if sweep.presentations is not None and sweep.presentations < 1:
        raise RecipeError(f"{source}: presentations is {sweep.presentations}; expected at least 1.")
    seen: dict[str, str] = {}  # folder -> variant
    for variant in sweep.variants:
        if not variant.slug or variant.slug.lower() in seen:
            raise RecipeError(
                f"{source}: the variant {variant.name!r} has no folder of its own; give it a name of letters and "
                f"digits that no other has."
            )
        if variant.weights_of is None and not variant.recipe:
            raise RecipeError(f"{source}: variant {variant.name!r} names no recipe.")
        if variant.weights_of is not None and variant.weights_of not in seen.values():
            raise RecipeError(
                f"{source}: variant {variant.name!r} takes the weights of {variant.weights_of!r}, which is no variant "
                f"before it."
            )
        seen[variant.slug.lower()] = variant.name
    if sweep.datasets and sweep.evaluate:
        raise RecipeError(
            f"{source}: either `datasets`, to train and evaluate on each, or `evaluate`, to evaluate on; not both."
        )
    for key, listed in (("evaluate", sweep.evaluate), ("datasets", sweep.datasets)):
        labels = [target.label for target in listed]
        if len(set(labels)) < len(labels) or not all(re.fullmatch(r"[\w.=-]+", label) for label in labels):
            raise RecipeError(f"{source}: {key}: the names {', '.join(labels)}; expected different plain words.")
    known = [target.label for target in (*sweep.evaluate, *sweep.datasets)]
    if sweep.change and (len(set(sweep.change)) != 2 or not set(sweep.change) <= set(known)):
        raise RecipeError(
            f"{source}: change: {', '.join(sweep.change)}; expected two of these data sets: {', '.join(known)}."
        )


def _expanded(variant: Variant) -> list[Variant]:
    """A grid as one variant for each combination of its values."""
    if not variant.grid:
        return [variant]
    found = []
    for values in itertools.product(*variant.grid.values()):
        settings = dict(zip(variant.grid, values, strict=True))
        words = " ".join(f"{key.rpartition('.')[2]}={_word(value)}" for key, value in settings.items())
        changes = tuple(f"{key}={json.dumps(value)}" for key, value in settings.items())
        name = f"{variant.name} {words}".strip()
        found.append(replace(variant, name=name, set=variant.set + changes, grid={}))
    return found


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
