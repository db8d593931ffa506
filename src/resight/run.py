"""Training runs: train a recipe into a folder, resume it, read it again."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight import models
from resight.assembly import build_trainer, checked_data, load_data, with_validation
from resight.data import Dataset
from resight.dist import rank, world_size
from resight.dist.processes import on_rank_zero, process_group
from resight.errors import CheckpointError, ModelNotFoundError, RecipeError
from resight.files import refuse_own_weights, write_text
from resight.inference import resolve_device
from resight.inference.evaluate import environment
from resight.recipe import Recipe
from resight.training.monitoring import journal
from resight.training.monitoring.profiler import TrainingProfile, take_profile
from resight.training.monitoring.progress import Silent
from resight.training.trainer import Trainer

if TYPE_CHECKING:
    from resight.models import ReIDModel
    from resight.training.monitoring.progress import Display

OWN = ("recipe.toml", "model.safetensors", "last.safetensors", "state.pt", "state.pt.next", "state.pt.previous",
       "journal.jsonl", "clusters", "card.json", "calibration.json", "evaluation", "profile", "report",
       "tensorboard")  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A finished (or interrupted) run and its folder."""

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Raises ModelNotFoundError where there is no run."""
        folder = Path(folder)
        if not (folder / "recipe.toml").is_file():
            raise ModelNotFoundError(
                f"{folder} is not a run folder: it has no recipe.toml. Make one: resight train RECIPE --out {folder}"
            )
        return cls(folder)

    @cached_property
    def recipe(self) -> Recipe:
        return Recipe.of_run(self.folder)

    @cached_property
    def model(self) -> ReIDModel:
        return models.read_model(self.folder)

    @property
    def card(self) -> dict[str, Any]:
        """What the weights were made of and on which terms.  Raises CheckpointError for a damaged card."""
        path = self.folder / "card.json"
        try:
            card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except ValueError as error:
            raise CheckpointError(f"{path} is not JSON ({error}). Mend it, or remove it.") from error
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
    start: ReIDModel | None = None,
) -> Run:
    """Train `recipe` into the folder `out`, or resume the run there.

    Under torchrun, or in a process group, all processes call this together: the batch is spread over them, and rank 0
    writes.

    Args:
        recipe: a recipe, a name of `resight train --list`, or a TOML file.
        out: the run folder.
        device: auto, cpu, cuda, cuda:N or mps.
        fresh: delete an earlier run in `out` first.
        display: shows the progress; default nothing.
        dataset: in place of the recipe's data set.
        start: weights to train on, in place of a new model; it must be built as the recipe's.

    Returns:
        The finished run.

    Raises:
        RecipeError: the recipe is wrong; no picture has been read.
        DatasetError: the data set cannot be trained on.
        TrainingError: the loss stayed not finite, or the processes differ.
        CheckpointError: the state in `out` is damaged, or of another recipe.
        Interrupted: stopped by a signal; the same call resumes.
    """
    recipe, folder = Recipe.load(recipe) if isinstance(recipe, str) else recipe, Path(out)
    refuse_own_weights(recipe.starts_from, folder)
    with process_group(device):
        shown = display if display is not None and rank() == 0 else Silent()
        dataset, validation = with_validation(recipe, checked_data(recipe, dataset or load_data(recipe), shown), device)
        where = resolve_device(device)
        trainer = build_trainer(recipe, dataset, validation, folder, where, shown, start=start)
        if fresh:
            on_rank_zero(lambda: _clear(folder))
        on_rank_zero(lambda: _clear_drafts(folder))
        trainer.state.resume(same_recipe=on_rank_zero(lambda: _is_of(folder, recipe)))
        on_rank_zero(lambda: write_text(folder / "recipe.toml", recipe.to_toml()))
        trainer.run()
        on_rank_zero(lambda: _write_card(folder, recipe, dataset, trainer))
    return Run(folder)


def _is_of(folder: Path, recipe: Recipe) -> bool:
    """Whether the run in the folder has this recipe, under whatever names an earlier version wrote it."""
    try:
        return Recipe.of_run(folder).hash == recipe.hash
    except (OSError, RecipeError):
        return False


def profile(
    recipe: Recipe | str,
    out: str | Path,
    *,
    steps: int = 10,
    device: str = "auto",
    display: Display | None = None,
) -> TrainingProfile:
    """Where the time of a training step goes: `steps` steps of the run `recipe` in `out`, or of a new one, thrown away.

    What is in the folder stays as it is, but for `profile/`.  Raises what `train` raises, UsageError under torchrun.
    """
    recipe, shown = Recipe.load(recipe) if isinstance(recipe, str) else recipe, display or Silent()
    dataset, _ = with_validation(recipe, checked_data(recipe, load_data(recipe), shown), device)
    trainer = build_trainer(recipe, dataset, None, Path(out), resolve_device(device), shown)
    trainer.state.resume()
    return take_profile(trainer, steps)


def _clear(folder: Path) -> None:
    """Remove what runs leave in their folder, and nothing else that may lie there."""
    for name in OWN:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _clear_drafts(folder: Path) -> None:
    """Remove what a kill in the middle of writing left."""
    for draft in [path for name in OWN for path in folder.glob(f".{name}.*")]:
        draft.unlink(missing_ok=True)


def _write_card(folder: Path, recipe: Recipe, dataset: Dataset, trainer: Trainer) -> None:
    card = {
        "recipe": recipe.name,
        "recipe_hash": recipe.hash,
        "seed": recipe.seed,
        "processes": world_size(),
        "precision": trainer.precision,
        "data": {
            "name": dataset.name,
            "version": dataset.version,
            "terms": dataset.terms,
            "identities": dataset.num_ids if recipe.labels.source == "data" else "unknown",
            "labels_used": int(trainer.feed.kept.sum()),
            "pictures": len(trainer.feed.pixels),
            "root": str(dataset.root.resolve()),
        },
        "licence": f"Weights trained on {dataset.name}: {dataset.terms}",
        **environment(),
    }
    write_text(folder / "card.json", json.dumps(card, indent=1))
