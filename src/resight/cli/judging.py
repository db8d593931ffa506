"""Which data a run is judged on, and what must be said beside its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resight.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from resight.data import Dataset


def dataset_for(run: Path, name: str | None, root: Path | None) -> tuple[Dataset, dict[str, Any]]:
    """The data set asked for, else the one of the run's recipe; and the recipe's hash and seed for the record."""
    from resight.data import load_dataset
    from resight.run import Run, load_data

    if not (run / "recipe.toml").is_file():
        if name is None:
            raise UsageError(f"{run} carries no recipe; say what to judge on with --dataset NAME --root FOLDER.")
        return load_dataset(name, root=root), {"weights": run.name}
    opened = Run.open(run)
    context = {
        "run": run.name,
        "recipe": opened.recipe.name,
        "recipe_hash": opened.recipe.hash,
        "seed": opened.recipe.seed,
    }
    if name is None:
        changed = opened.recipe if root is None else opened.recipe.override(f'data.root="{root}"')
        return load_data(changed), context
    return load_dataset(name, root=root), context
