"""Classifiers: what stands on a feature during training and is dropped at test time.

A head returns scores, or cosines without margin or scale: both belong to the loss, which sees the label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import UsageError
from resight.precision import full_precision, lift

if TYPE_CHECKING:
    from collections.abc import Mapping

HeadKind = Literal["linear", "cosine"]


class Classifier(nn.Module):
    """One row of weights for each class.  Its tensors are the only ones that depend on the training set."""

    def __init__(self, dim: int, classes: int, bias: bool, std: float = 0.001) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, dim))
        self.bias = nn.Parameter(torch.zeros(classes)) if bias else None
        nn.init.normal_(self.weight, std=std)


class LinearHead(Classifier):
    """z = W f + b.  (B, D) -> (B, K)."""

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(features, self.weight, self.bias)


class CosineHead(Classifier):
    """z = cos(f, W_k).  (B, D) -> (B, K) in [-1, 1], at least in float32 also under autocast."""

    def forward(self, features: Tensor) -> Tensor:
        with full_precision(features):
            return F.linear(F.normalize(lift(features)), F.normalize(lift(self.weight)))


def build_head(kind: HeadKind, dim: int, classes: int, bias: bool = False) -> Classifier:
    """A classifier of either kind.  A cosine has no bias."""
    if kind == "cosine":
        return CosineHead(dim, classes, bias=False)
    return LinearHead(dim, classes, bias)


class AttributeHeads(nn.ModuleDict):
    """One linear classifier for each attribute, all on the shared descriptor.  docs/methods/baselines.md

    (B, D) -> {"attribute/NAME": (B, classes of NAME)}.
    """

    def __init__(self, dim: int, attributes: Mapping[str, int]) -> None:
        few = sorted(name for name, classes in attributes.items() if classes < 2)
        if few:
            raise UsageError(f"attribute {few[0]!r} has {attributes[few[0]]} classes; an attribute needs at least 2.")
        names = sorted(attributes)
        if any("." in name or not name for name in names):
            raise UsageError("an attribute's name may not be empty or hold a dot; rename the column.")
        # The prefix keeps a name such as "keys" from meeting a method of the dictionary.
        super().__init__({f"of_{name}": LinearHead(dim, attributes[name], bias=True) for name in names})

    def forward(self, descriptor: Tensor) -> dict[str, Tensor]:
        return {f"attribute/{name.removeprefix('of_')}": head(descriptor) for name, head in self.items()}


class ChannelGroups(nn.Module):
    """Channel grouping, one classifier for each group.  Our construction after Zhai et al., arXiv 1809.05864.

    The feature (B, D) is cut into G runs of D / G channels; each goes through a batch normalisation, an
    optional layer to `dim` channels, and its own classifier.  Discrimination that one classifier would absorb
    has to sit in every group.  docs/methods/baselines.md.

    Returns the groups' features, G of (B, D / G) or (B, dim); `classify` gives their scores.
    """

    def __init__(self, channels: int, groups: int, classes: int, dim: int | None, kind: HeadKind) -> None:
        super().__init__()
        if channels % groups:
            raise UsageError(f"channel_groups = {groups} does not divide the feature's {channels} channels.")
        width = channels // groups
        self.dim = dim or width
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(groups))
        self.embeds = nn.ModuleList(nn.Linear(width, dim) if dim else nn.Identity() for _ in range(groups))
        self.heads = nn.ModuleList(build_head(kind, self.dim, classes) for _ in range(groups) if classes)

    def forward(self, feature: Tensor) -> list[Tensor]:
        runs = feature.chunk(len(self.norms), dim=1)
        return [embed(norm(run)) for run, norm, embed in zip(runs, self.norms, self.embeds, strict=True)]

    def classify(self, groups: list[Tensor]) -> list[Tensor]:
        return [head(group) for head, group in zip(self.heads, groups, strict=False)]
