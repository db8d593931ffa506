"""Registry of models: one row per paper, and presets for other readings of a paper."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import torch

from resight.errors import UnknownNameError, UsageError
from resight.models.agw import AGW
from resight.models.baseline import Baseline, StrongBaseline
from resight.models.clip_reid import CLIPReID
from resight.models.ensemble import Ensemble, EnsembleOptions, MemberOptions, refuse_members
from resight.models.hacnn import HACNN
from resight.models.mancs import Mancs
from resight.models.mdpr import MDPR
from resight.models.mgn import MGN
from resight.models.osnet import OSNet
from resight.models.pcb import PCB
from resight.models.pyramid import Pyramid
from resight.models.solider import SOLIDER
from resight.models.transreid import TransReID
from resight.models.undrawn import ShapesOnly
from resight.models.verification import Verification
from resight.options import plain, resolve

if TYPE_CHECKING:
    from resight.models.base import ModelOptions, ReIDModel
    from resight.types import ReIDOutput

MODELS: dict[str, type[ReIDModel]] = {
    "agw": AGW,
    "baseline": Baseline,
    "clip_reid": CLIPReID,
    "ensemble": Ensemble,
    "hacnn": HACNN,
    "mancs": Mancs,
    "mdpr": MDPR,
    "mgn": MGN,
    "osnet": OSNet,
    "pcb": PCB,
    "pyramid": Pyramid,
    "solider": SOLIDER,
    "strong_baseline": StrongBaseline,
    "transreid": TransReID,
    "verification": Verification,
}

# A second reading of a paper: another model's name and the options in which it differs.
PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "hacnn-torchreid": ("hacnn", {"cropping": "resampled", "bias": True, "regions_together": False}),
    "mancs-release": (
        "mancs",
        {"activation": "prelu", "attention_pools": "output", "conv5_prelu": True, "prior": None},
    ),
    "mdpr-release": ("mdpr", {"shared_gem": True}),
    "mgn-fastreid": (
        "mgn",
        {
            "backbone": {"ibn": True, "ceil_pool": True},
            "pooling": "gem",
            "relu": False,
            "whole_stride": 1,
            "head": "cosine",
        },
    ),
    "osnet_ain_x1_0": ("osnet", {"norm": "ain"}),
    "osnet_ibn_x1_0": ("osnet", {"norm": "ibn"}),
    "osnet_x0_25": ("osnet", {"width": 0.25}),
    "osnet_x0_5": ("osnet", {"width": 0.5}),
    "osnet_x0_75": ("osnet", {"width": 0.75}),
    "osnet_x1_0": ("osnet", {}),
    "pyramid-youreid": ("pyramid", {"normalize_branches": True}),
    "sbs": ("agw", {"input_size": (384, 128), "backbone": {"ceil_pool": True}, "head": "cosine"}),
}


def available() -> list[str]:
    """Every name `build` understands, presets included."""
    return sorted([*MODELS, *PRESETS])


def options_of(name: str, **options: Any) -> ModelOptions:
    """The typed, complete options that `build(name, **options)` would use.

    Args:
        name: a model or a preset.
        options: those to set.

    Raises:
        UnknownNameError: there is no such model.
        OptionError: an option is unknown or has a value that is not valid.
    """
    if name not in MODELS and name not in PRESETS:
        raise UnknownNameError("model", name, available(), listing="resight models")
    base, preset = PRESETS.get(name, (name, {}))
    resolved = resolve(MODELS[base].Options, name, preset, options)
    if isinstance(resolved, EnsembleOptions):
        refuse_members({key: member.name for key, member in resolved.members.items()})
        members = {key: complete_member(resolved, key) for key in resolved.members}
        resolved = dataclasses.replace(resolved, members=members)
    return resolved


def complete_member(ensemble: EnsembleOptions, key: str) -> MemberOptions:
    """A member of an ensemble with all its options, so that a file says them whatever defaults become."""
    name = ensemble.members[key].name
    return MemberOptions(name=name, options=plain(options_of(name, **ensemble.options_of(key))))


def build(name: str, num_ids: int, **options: Any) -> ReIDModel:
    """Build a new model by name.

    Args:
        name: of `available()`.
        num_ids: identities to classify in training; 0 builds it without classifiers.
        options: of the model; see `options_of`.

    Returns:
        The model, randomly initialized or with the pretrained backbone asked for.

    Raises:
        UnknownNameError: the name; the message lists the known ones.
        UsageError: an option; the message lists the valid ones and their types.
        CheckpointError: pretrained weights cannot be had.
    """
    resolved = options_of(name, **options)
    kind: Any = MODELS[PRESETS.get(name, (name, {}))[0]]
    inside: tuple[Any, ...] = ()
    if isinstance(resolved, EnsembleOptions):
        inside = ({key: build(member.name, num_ids, **member.options) for key, member in resolved.members.items()},)
    model: ReIDModel = kind(num_ids, resolved, *inside)
    model.spec = dataclasses.replace(model.spec, name=name)
    return model


def probe(name: str, num_ids: int, batch: int = 2, **options: Any) -> ReIDOutput:
    """The model's output in training on the meta device: names and shapes, nothing is computed, fetched or read.

    Args:
        name: a model.
        num_ids: K identities.
        batch: B pictures.
        options: of the model.

    Raises:
        UnknownNameError: there is no such model.
        OptionError: an option is unknown or has a value that is not valid.
        UsageError: the network cannot take pictures of its size.
    """
    with torch.device("meta"), ShapesOnly():
        model = build(name, num_ids, **options).train()
        height, width = model.input_size
        try:
            return model(torch.empty(batch, 3, height, width))  # type: ignore[no-any-return]
        except RuntimeError as error:
            raise UsageError(
                f"{name} cannot take pictures of {height}x{width} with these options ({str(error).splitlines()[0]}). "
                f"Choose a larger input_size, or another backbone."
            ) from error
