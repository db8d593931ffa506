"""Whether the tensors of a file fit a model, told before memory is taken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from resight.errors import CheckpointError, ResightError
from resight.models.backbones.pretrained import listing
from resight.models.base import ModelSpec, ReIDModel
from resight.models.registry import build
from resight.models.undrawn import Undrawn
from resight.options import plain


def sketch(spec: ModelSpec, path: Path) -> ReIDModel:
    """The model a header describes, without memory: a false header must not cost any."""
    try:
        with torch.device("meta"), Undrawn():
            return build(spec.name, spec.num_ids, **without_sources(spec.options))
    except (ResightError, RuntimeError, TypeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"{path} describes a model that cannot be built: {error}") from error


def classifier_tensors(model: ReIDModel, identities_only: bool = False) -> set[str]:
    """Names of the tensors that depend on the training set's identities (and on its attributes)."""
    heads = dict(model.classifiers())
    if identities_only:
        heads = {name: head for name, head in heads.items() if not name.startswith("attribute_heads.")}
    return {f"{name}.{tensor}" for name, head in heads.items() for tensor in head.state_dict()}


def refuse_misfits(model: ReIDModel, shapes: Mapping[str, tuple[int, ...]], source: str, dropped: set[str]) -> None:
    """Raises CheckpointError naming whatever of `shapes` does not fit into `model`, `dropped` aside."""
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name not in dropped}
    theirs = {name: shape for name, shape in shapes.items() if name not in dropped}
    missing, extra = own.keys() - theirs.keys(), theirs.keys() - own.keys()
    wrong = [f"{n} {theirs[n]} for {own[n]}" for n in own.keys() & theirs.keys() if theirs[n] != own[n]]
    if missing or extra or wrong:
        raise CheckpointError(
            f"{source} does not fit {model.spec.name}: {listing('of another shape', wrong)}, "
            f"{listing('missing', missing)}, {listing('unexpected', extra)}. "
            f"Is it a checkpoint of another model?"
        )


def without_sources(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options less where the first weights came from: the file brings its own."""
    kept: dict[str, Any] = plain(options)
    if isinstance(backbone := kept.get("backbone"), dict):
        kept["backbone"] = {k: v for k, v in backbone.items() if k not in ("pretrained", "weights", "partial")}
    if isinstance(members := kept.get("members"), dict):  # of an ensemble
        kept["members"] = {key: without_sources(member) for key, member in members.items()}
    return kept
