"""Complexity of a model: parameters and multiply-adds, counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from resight.errors import UnknownNameError

if TYPE_CHECKING:
    from resight.models.base import ReIDModel

CLASSICAL = {  # what HA-CNN's table 8 compares itself with: name -> paper, year
    "alexnet": ("Krizhevsky et al., NIPS 2012", 2012),
    "vgg16": ("Simonyan and Zisserman, ICLR 2015", 2015),
    "googlenet": ("Szegedy et al., CVPR 2015", 2015),
    "resnet50": ("He et al., CVPR 2016", 2016),
}


@dataclass(frozen=True)
class Complexity:
    """parameters, and those outside the classifiers; macs: multiply-adds of one picture's descriptor."""

    name: str
    parameters: int
    parameters_without_classifiers: int
    macs: int
    input_size: tuple[int, int]
    embedding_dim: int
    paper: str
    year: int


def complexity_of(model: ReIDModel) -> Complexity:
    """Count parameters and multiply-adds of a model.

    Convolutions and matrix products are counted, as the papers do; normalisations and activations are not.

    Args:
        model: its weights, mode and device are left as they are.
    """
    heads = sum(count(head) for _, head in model.classifiers())
    return Complexity(
        name=model.spec.name,
        parameters=count(model),
        parameters_without_classifiers=count(model) - heads,
        macs=multiply_adds(model, model.embed, model.input_size),
        input_size=model.input_size,
        embedding_dim=model.embedding_dim,
        paper=model.paper,
        year=model.year,
    )


def classical(name: str) -> Complexity:
    """Count one of torchvision's networks the papers compare with, its 1000-way classifier apart, at 224 x 224.

    Args:
        name: one of CLASSICAL.

    Raises:
        UnknownNameError: it is none of these.
    """
    import torchvision.models as zoo

    if name not in CLASSICAL:
        raise UnknownNameError("classical network", name, CLASSICAL)
    extra: dict[str, Any] = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        network: nn.Module = getattr(zoo, name)(weights=None, **extra).eval()
    last = [m for m in network.modules() if isinstance(m, nn.Linear)][-1]
    size, total = (224, 224), count(network)
    macs = multiply_adds(network, network, size)
    return Complexity(name, total, total - count(last), macs, size, last.in_features, *CLASSICAL[name])


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def multiply_adds(module: nn.Module, call: Any, input_size: tuple[int, int]) -> int:
    """Of one picture through `call`, a method of `module`: half the floating-point operations."""
    reference = next(module.parameters())
    pixels: Tensor = torch.zeros(1, 3, *input_size, device=reference.device, dtype=reference.dtype)
    modes = {part: part.training for part in module.modules()}  # one that is frozen stays in evaluation
    module.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            call(pixels)
    finally:
        for part, training in modes.items():
            part.training = training
    return int(counter.get_total_flops()) // 2
