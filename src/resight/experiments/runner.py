"""Runs of a sweep, each kept in its folder, so that a sweep can be stopped and continued.

A run lies in OUT/VARIANT/seed-N like every other run of resight.  It is finished when all its results exist;
anything else there is resumed.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from resight import models
from resight.assembly import load_data
from resight.data import hold_out, load_dataset
from resight.errors import CheckpointError, EvaluationError, Interrupted, RecipeError, TrainingError, UsageError
from resight.evaluation import Report
from resight.experiments.sweep import Sweep, SweepDataset, Trial, budgeted
from resight.files import write_text
from resight.inference import Result, evaluate
from resight.models.files.fitting import without_sources
from resight.recipe import Recipe
from resight.run import Run, train
from resight.training.monitoring.progress import Silent, progress_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from resight.data import Dataset
    from resight.models import ReIDModel
    from resight.training.monitoring.progress import Display


@dataclass
class SweepRunner:
    """A sweep at work in a folder.

    overrides: changes to every recipe, after the sweep's own.  after: called when a run is finished or given up.
    """

    sweep: Sweep
    out: Path
    device: str = "auto"
    overrides: tuple[str, ...] = ()
    display: Display = field(default_factory=Silent)
    after: Callable[[], None] = lambda: None
    _data: dict[str, Dataset] = field(default_factory=dict)

    def run(self) -> list[str]:
        """Everything that is still to do; returns what failed, one sentence a run.

        Raises RecipeError or DatasetError before the first run where any recipe is wrong, or a data set to evaluate
        on is not there; Interrupted when told to stop.
        """
        recipes = {str(trial): self.recipe(trial) for trial in self.sweep.trials()}
        self._check_held_out(recipes)
        left = [trial for trial in self.sweep.trials() if not self.finished(trial, recipes[str(trial)])]
        for trial in left:
            for target in self.sweep.evaluate:
                self._dataset(target, recipes[str(trial)])
        failed: list[str] = []
        for number, trial in enumerate(left, start=1):
            self.display.say(f"run {number} of {len(left)}: {trial}")
            try:
                self._one(trial, recipes[str(trial)])
            except (TrainingError, EvaluationError) as error:  # one diverged run does not end the sweep
                failed.append(f"{trial}: {error}")
                self.display.say(f"gave up {trial}: {error}")
            except KeyboardInterrupt:
                raise Interrupted(f"stopped at {trial}. The same command goes on from there.") from None
            self.after()
        return failed

    def recipe(self, trial: Trial) -> Recipe:
        """What the trial trains, budget included."""
        recipe = self.sweep.recipe(trial.variant, trial.seed)
        recipe = recipe.override(*self.overrides, *_moved(trial.on), f"seed={trial.seed}")
        if self.sweep.presentations is None:
            return recipe
        dataset = self._load(f"{recipe.data}", lambda: load_data(recipe))
        if recipe.validate.on == "held_out":
            dataset = hold_out(dataset, recipe.validate.fraction, recipe.seed)
        return budgeted(recipe, self.sweep.presentations, len(dataset.train))

    def evaluated_on(self, trial: Trial, recipe: Recipe) -> tuple[SweepDataset, ...]:
        return self.sweep.evaluate or (trial.on or SweepDataset(recipe.data.name, recipe.data.root),)

    def finished(self, trial: Trial, recipe: Recipe) -> bool:
        """Whether all its results exist, made from this very recipe.  Raises UsageError where from another."""
        folder = trial.folder(self.out)
        if (folder / "recipe.toml").is_file() and Recipe.of_run(folder).hash != recipe.hash:
            raise UsageError(
                f"{folder} holds a run of another recipe than {trial} now asks for. Choose another --out, "
                f"or remove that folder."
            )
        return all(
            (folder / "evaluation" / j.label / "result.json").is_file() for j in self.evaluated_on(trial, recipe)
        )

    def _check_held_out(self, recipes: dict[str, Recipe]) -> None:
        """Raises RecipeError where a sweep is to be evaluated on identities that a run does not hold out."""
        for trial, recipe in recipes.items():
            if self.sweep.held_out and (recipe.validate.on != "held_out" or self.sweep.evaluate):
                raise RecipeError(
                    f"{trial}: held_out evaluates each run on the people it held out of training, so every variant "
                    f"needs validate.on=held_out, and there can be no [[evaluate]]."
                )

    def _one(self, trial: Trial, recipe: Recipe) -> None:
        folder = trial.folder(self.out)
        if trial.variant.weights_of is None:
            with _timed(folder):
                model = train(recipe, folder, device=self.device, display=self.display).model
        else:
            model = self._borrowed(trial, recipe)
            write_text(folder / "recipe.toml", recipe.to_toml())
        for target in self.evaluated_on(trial, recipe):
            where = folder / "evaluation" / target.label
            if not (where / "result.json").is_file():
                self._evaluate(model, target, recipe).save(where)

    def _borrowed(self, trial: Trial, recipe: Recipe) -> ReIDModel:
        """The weights of an earlier variant in a model of this variant's options."""
        source = self.sweep.variant(trial.variant.weights_of or "")
        if source.weights_of is not None:
            return self._borrowed(replace(trial, variant=source), recipe)
        lender = replace(trial, variant=source)
        if not self.finished(lender, self.recipe(lender)):
            raise TrainingError(f"the weights it was to take, of {lender}, are not there.")
        theirs = Run.open(lender.folder(self.out)).model
        options = dict(theirs.spec.options) | recipe.model.options
        ours = models.build(recipe.model.name, theirs.spec.num_ids, **without_sources(options))
        ours.load_state_dict(theirs.state_dict())
        return ours.eval()

    def _evaluate(self, model: ReIDModel, target: SweepDataset, recipe: Recipe) -> Result:
        dataset = self._dataset(target, recipe)
        context = {"recipe": recipe.name, "recipe_hash": recipe.hash, "seed": recipe.seed, "sweep": self.sweep.name}
        total = len(dataset.query) + len(dataset.gallery)
        with progress_of(self.display, f"evaluating on {target.label}", total) as advance:
            return evaluate(
                model, dataset, device=self.device, precision="fp32", context=context,
                progress=lambda done, _: advance(done),
            )  # fmt: skip

    def _dataset(self, target: SweepDataset, recipe: Recipe) -> Dataset:
        """The data set to evaluate on, read once."""
        if self.sweep.held_out:
            whole = self._load(f"{recipe.data}", lambda: load_data(recipe))
            return hold_out(whole, recipe.validate.fraction, recipe.seed)
        if target.dataset == recipe.data.name and target.place in (None, recipe.data.root):
            return self._load(f"{recipe.data}", lambda: load_data(recipe))
        return self._load(f"{target.dataset} {target.root}", lambda: load_dataset(target.dataset, target.place))

    def _load(self, key: str, load: Callable[[], Dataset]) -> Dataset:
        if key not in self._data:
            self._data[key] = load()
        return self._data[key]


def results_of(folder: Path, labels: Sequence[str] | None = None) -> dict[str, Report]:
    """The reports of one run by data set; none while one of `labels` is missing."""
    home = folder / "evaluation"
    files = {file.parent.name: file for file in sorted(home.glob("*/result.json"))}
    if labels is not None and not set(labels) <= files.keys():
        return {}
    return {name: _report(file) for name, file in files.items() if labels is None or name in labels}


def _report(file: Path) -> Report:
    try:
        return Report.from_dict(json.loads(file.read_text(encoding="utf-8"))["report"])
    except (ValueError, KeyError, TypeError, EvaluationError) as error:
        raise CheckpointError(
            f"{file} is damaged ({error}). Remove it; the same command evaluates the run again."
        ) from error


def seconds(folder: Path) -> float | None:
    """What training took so far, over all sittings that ended in order; None where nothing is known."""
    try:
        return float(json.loads((folder / "sitting.json").read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _timed(folder: Path) -> Iterator[None]:
    before, began = seconds(folder) or 0.0, time.perf_counter()
    try:
        yield
    finally:
        record = {"seconds": round(before + time.perf_counter() - began, 2)}
        if folder.is_dir():
            write_text(folder / "sitting.json", json.dumps(record))


def _moved(on: SweepDataset | None) -> list[str]:
    """The recipe's data set replaced."""
    if on is None:
        return []
    return [f"data.name={on.dataset}", *([f"data.root={on.place}"] if on.place else [])]
