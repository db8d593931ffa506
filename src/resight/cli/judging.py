"""Which data a run is judged on, what must be said beside its figures, and where its verdicts lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resight.data import Dataset
    from resight.embedding import Result


def dataset_for(
    run: Path, name: str | None, root: Path | None, options: Mapping[str, object]
) -> tuple[Dataset, dict[str, Any]]:
    """The data set asked for, else the one of the run's recipe; and the recipe's hash and seed for the record.

    options  of the data set's reader; where the recipe names the set, over those it has
    """
    from resight.data import load_dataset
    from resight.models import trained
    from resight.run import Run

    if not (run / "recipe.toml").is_file():
        if name is None:
            if not run.exists() and str(run) not in trained():
                raise UsageError(
                    f"there is no run {run}; for weights from the hub say what to judge on with --dataset NAME."
                )
            raise UsageError(f"{run} carries no recipe; say what to judge on with --dataset NAME --root FOLDER.")
        return load_dataset(name, root, **options), {"weights": run.name}
    opened = Run.open(run)
    context = {
        "run": run.name,
        "recipe": opened.recipe.name,
        "recipe_hash": opened.recipe.hash,
        "seed": opened.recipe.seed,
    }
    if name is None:
        own = opened.recipe.data
        return load_dataset(own.name, root or own.root, **{**own.options, **options}), context
    return load_dataset(name, root, **options), context


def home(model: Path) -> Path:
    """Where findings about a model are kept: its run folder, beside its weights, or runs/NAME for packaged ones.

    A run's folder need not exist yet.
    """
    from resight.models import trained

    if not model.exists() and str(model) in trained():
        return Path("runs") / model
    return model if model.is_dir() or not model.suffix else model.parent


def newest(where: Path) -> Path | None:
    """The folder of a verdict: this one, or the newest of a run; None where there is none."""
    if (where / "result.json").is_file():
        return where
    found = sorted((where / "evaluation").glob("*/result.json"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent if found else None


def result_of(where: Path) -> Result:
    """The verdict kept in a folder or in a run; UsageError where there is none."""
    from resight.embedding import Result

    folder = newest(where)
    if folder is None:
        raise UsageError(f"there is no evaluation in {where}. Make one with: resight evaluate {where}")
    return Result.load(folder)
