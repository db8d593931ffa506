"""The words every part shares: a sample, a batch, a model's output, what a model promises.

Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

Split = Literal["train", "query", "gallery"]
Metric = Literal["cosine", "euclidean"]

UNKNOWN_CAMERA = -1  # "no camera is known": never equal to any camera, itself included
JUNK = -1  # a box nobody is judged on: neither right nor wrong
DISTRACTOR = 0  # a box of nobody in particular: always wrong
IGNORE = -100  # an attribute that is not annotated


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of a data set.  pid and camid are the file's own numbers; training labels are made elsewhere."""

    path: Path
    pid: int
    camid: int
    split: Split
    dataset: str
    frame: int | None = None
    attributes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """What a training step eats.

    images (B, 3, H, W) float in [0, 1]; pids (B,) dense labels 0..K-1; camids (B,); index (B,) rows of the
    training set; attributes name -> (B,), IGNORE where not annotated.
    """

    images: Tensor
    pids: Tensor
    camids: Tensor
    index: Tensor
    attributes: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class ReIDOutput:
    """What every model returns, in training and in evaluation alike.

    features name -> (B, D), logits name -> (B, K) scores or cosines without margin or scale,
    maps name -> (B, C, h, w).  Names may carry a slash: `part/3`.
    """

    features: dict[str, Tensor]
    logits: dict[str, Tensor] = field(default_factory=dict)
    maps: dict[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class Embedder(Protocol):
    """Anything that turns pixels into descriptors: every model of `resight.models`, and yours."""

    input_size: tuple[int, int]  # (H, W) in pixels
    embedding_dim: int
    metric: Metric

    def embed(self, images: Tensor) -> Tensor:
        """RGB images (B, 3, H, W), uint8 or float in [0, 1] -> descriptors (B, D)."""
        ...

    def fingerprint(self) -> str:
        """A name for the space of the descriptors: only vectors of equal fingerprints may be compared."""
        ...
