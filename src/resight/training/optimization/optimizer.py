"""Optimizers and parameter groups."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from resight.errors import RecipeError
from resight.options import NotNegative, Positive, Share

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


@dataclass(frozen=True)
class GroupConfig:
    """Parameters whose name matches `match` (shell style) take these instead of the common values.

    Names are the model's own (`backbone.layer4.*`, `classifier.weight`); a loss's are `loss.TERM.*`.  A rate of 0
    freezes them: no gradients are computed, and batch normalizations that are frozen keep their statistics.
    """

    match: str
    lr: NotNegative | None = None
    lr_scale: NotNegative = 1.0
    weight_decay: NotNegative | None = None


@dataclass(frozen=True)
class OptimConfig:
    """One optimizer over the parameters of the model and of the losses."""

    name: Literal["sgd", "adam", "adamw"] = "adam"
    lr: NotNegative = 3.5e-4
    weight_decay: NotNegative = 5e-4
    momentum: Share = 0.9
    nesterov: bool = False
    betas: tuple[Share, Share] = (0.9, 0.999)
    decay_norm_and_bias: bool = True
    clip_norm: Positive | None = None
    groups: tuple[GroupConfig, ...] = ()


def named_parameters(model: nn.Module, objective: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """All trainable parameters: the model's parameters, then the losses' as `loss.TERM.*`."""
    own = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    lost = [(f"loss.{name}", p) for name, p in objective.named_parameters() if p.requires_grad]
    return own + lost


def freeze(config: OptimConfig, model: nn.Module, objective: nn.Module) -> None:
    """Parameters of groups with a rate of 0 ask for no gradient any more.

    Raises RecipeError on a pattern that matches nothing, and where nothing is left to be trained.
    """
    named = named_parameters(model, objective)
    for number, group in enumerate(config.groups):
        if not any(fnmatchcase(name, group.match) for name, _ in named):
            roots = sorted({name.split(".")[0] for name, _ in named})
            raise RecipeError(
                f"optim.groups[{number}].match: {group.match!r} matches no parameter. "
                f"Names begin with {', '.join(roots)}."
            )
    frozen = [
        parameter
        for name, parameter in named
        if _group_of(config, name) and _rate_and_decay(config, name, parameter)[0] == 0
    ]
    if len(frozen) == len(named):
        raise RecipeError("optim.groups give every parameter a rate of 0. Leave some to be trained.")
    for parameter in frozen:
        parameter.requires_grad_(False)


def build_optimizer(
    config: OptimConfig, parameters: Iterable[tuple[str, nn.Parameter]], sparse: Collection[int] = ()
) -> torch.optim.Optimizer:  # fmt: skip
    """One parameter group for each distinct (rate, decay).

    sparse: ids of parameters whose gradients are sparse.  Raises RecipeError on an optimiser that cannot follow such
    gradients.
    """
    buckets: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        lr, decay = _rate_and_decay(config, name, parameter)
        plain = id(parameter) in sparse
        if plain and (config.name != "sgd" or config.clip_norm is not None):
            raise RecipeError(
                f"{name} has sparse gradients, which want optim.name = 'sgd' and no optim.clip_norm; found "
                f"{config.name!r} and {config.clip_norm}. Or leave `sparse` out."
            )
        buckets.setdefault((lr, 0.0 if plain else decay, plain), []).append(parameter)
    return _construct(config, [_group(*key, members) for key, members in buckets.items()])


def _group(lr: float, decay: float, plain: bool, members: list[nn.Parameter]) -> dict[str, Any]:
    """plain: no momentum either, which would fill up with rows that were in use once."""
    group = {"params": members, "lr": lr, "base_lr": lr, "weight_decay": decay}
    return group | ({"momentum": 0.0, "nesterov": False} if plain else {})


def sparse_parameters(objective: nn.Module) -> set[int]:
    """The ids of parameters that losses give sparse gradients."""
    found: set[int] = set()
    for module in objective.modules():
        for name in getattr(module, "sparse_parameters", list)():
            found.add(id(module.get_parameter(name)))
    return found


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Every group's learning rate becomes its base rate times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def _rate_and_decay(config: OptimConfig, name: str, parameter: nn.Parameter) -> tuple[float, float]:
    lr, decay = config.lr, config.weight_decay
    if not config.decay_norm_and_bias and parameter.ndim <= 1:
        decay = 0.0
    group = _group_of(config, name)
    if group is not None:
        lr = (config.lr if group.lr is None else group.lr) * group.lr_scale
        decay = decay if group.weight_decay is None else group.weight_decay
    return lr, decay


def _group_of(config: OptimConfig, name: str) -> GroupConfig | None:
    """The first that matches."""
    return next((group for group in config.groups if fnmatchcase(name, group.match)), None)


def _construct(config: OptimConfig, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov)
    if config.name == "adam":
        return torch.optim.Adam(groups, lr=config.lr, betas=config.betas)
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas)
