"""Another project's checkpoint becomes a run folder: weights, recipe, and a card that says where they are from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resight import models
from resight.errors import UsageError
from resight.files import refuse_overwriting, write_text
from resight.inference.evaluate import environment
from resight.models.checkpoints import Converted, convert
from resight.models.exported import digest
from resight.models.files.model_file import FILE, locate
from resight.recipe import ModelConfig, Recipe
from resight.run import Run

UNKNOWN = "unknown"


def import_checkpoint(
    checkpoint: str | Path,
    out: str | Path,
    *,
    family: str | None = None,
    arch: str | None = None,
    options: Mapping[str, Any] | None = None,
    data: str | None = None,
) -> Run:
    """Convert a checkpoint into the run folder `out`.

    Args:
        checkpoint: a file of nothing but tensors, or hf://owner/name/FILE.
        out: a folder without a run.
        family, arch: the project and its name of the network; None: recognized by the names of the tensors.
        options: of the model, in place of what the family says.
        data: what the weights saw, and on which terms, in words; None: unknown.

    Raises:
        CheckpointError: the file cannot be read, or does not fit tensor by tensor.
        UsageError: `out` holds a run already.
    """
    folder, path = Path(out), locate(checkpoint)
    if (folder / "recipe.toml").exists():
        raise UsageError(f"{folder} holds a run already. Name another folder with --out, or remove it first.")
    refuse_overwriting([folder / FILE], [path])
    converted = convert(path, family, arch, **(options or {}))
    spec = converted.model.spec
    recipe = Recipe(
        name=converted.arch,
        about=f"imported from {converted.family.project}: {path.name}",
        model=ModelConfig(spec.name, options=dict(spec.options)),
    )
    models.save_model(converted.model, folder)
    card = json.dumps(card_of(converted, recipe, path, data), indent=1)
    write_text(folder / "card.json", card)
    write_text(folder / "recipe.toml", recipe.to_toml())  # last: now it is a run
    return Run(folder)


def card_of(converted: Converted, recipe: Recipe, path: Path, data: str | None) -> dict[str, Any]:
    """What a run's card says, as far as it is known, and where the file came from."""
    family, terms = converted.family, data or converted.family.data
    return {
        "recipe": recipe.name,
        "recipe_hash": recipe.hash,
        "data": {"name": data or UNKNOWN, "version": UNKNOWN, "terms": terms},
        "licence": f"Weights imported from {family.project}. Licence of its code: {family.code}. Data: {terms}.",
        "imported": {
            "family": family.name,
            "project": family.project,
            "arch": converted.arch,
            "file": path.name,
            "sha256": digest(path),
            "code_licence": family.code,
            "tensors_used": converted.used,
            "tensors_dropped": dict(converted.dropped),
        },
        **environment(),
    }
