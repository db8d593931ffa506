"""Shared types: a sample, a batch, a model's output, the protocol of an embedding model.

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
Interpolation = Literal["bilinear", "bicubic"]  # of resizing, antialiased

UNKNOWN_CAMERA = -1  # camid of a picture whose camera is not known: equal to no camera, itself included
UNKNOWN_PID = -2  # pid of a picture whose person was not given: equal to no person, itself included
JUNK = -1  # pid of a box that is ignored in scoring: neither a match nor an error
DISTRACTOR = 0  # pid of a box of no labeled person: never a match
IGNORE = -100  # value of an attribute that is not annotated


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of a data set.

    Attributes:
        path: the file.
        pid: person; JUNK, DISTRACTOR or UNKNOWN_PID for none.  Training labels 0..K-1 are made elsewhere.
        camid: camera, or UNKNOWN_CAMERA.
        split: "train", "query" or "gallery".
        dataset: name of the data set.
        frame: frame or time index, where the data give one.
        attributes: name -> class index, as annotated.
    """

    path: Path
    pid: int
    camid: int
    split: Split
    dataset: str
    frame: int | None = None
    attributes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Input of one training step.

    Attributes:
        images: (B, 3, H, W) float in [0, 1]; (2 B, 3, H, W) where two networks see each picture changed differently.
        pids: (B,) dense labels 0..K-1.
        camids: (B,).
        index: (B,) rows of the training set.
        attributes: name -> (B,), IGNORE where not annotated.
    """

    images: Tensor
    pids: Tensor
    camids: Tensor
    index: Tensor
    attributes: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class ReIDOutput:
    """Output of every model, the same type in training and evaluation.  Names may hold a slash, as in `part/3`.

    Attributes:
        features: name -> (B, D).
        logits: name -> (B, K) scores or cosines, without margin or scale.
        maps: name -> (B, C, h, w).
    """

    features: dict[str, Tensor]
    logits: dict[str, Tensor] = field(default_factory=dict)
    maps: dict[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class Embedder(Protocol):
    """A model that turns pixels into descriptors: every model of `resight.models`, and your own.

    Pictures are resized to `input_size` by its attribute `interpolation`, bilinearly where it has none.
    """

    input_size: tuple[int, int]  # (H, W) in pixels
    embedding_dim: int
    metric: Metric

    def embed(self, images: Tensor) -> Tensor:
        """RGB images (B, 3, H, W), uint8 or float in [0, 1] -> descriptors (B, D)."""
        ...

    def fingerprint(self) -> str:
        """A name for the space of the descriptors: only vectors of equal fingerprints may be compared."""
        ...
