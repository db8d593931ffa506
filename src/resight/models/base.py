"""Base class of models: images in, named features, logits and maps out."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from resight.errors import TrainingError, UnknownNameError, UsageError
from resight.models.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Trunk
from resight.models.heads import AttributeHeads, Classifier
from resight.options import Positive, plain
from resight.types import Interpolation, Metric, ReIDOutput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# So that torch.export, torch.func and DDP see through the record to its tensors.
torch.export.register_dataclass(ReIDOutput, serialized_type_name="resight.ReIDOutput")


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Options that all models share.  A model's own options extend these."""

    input_size: tuple[int, int] = (256, 128)  # (H, W) in pixels
    interpolation: Interpolation = "bilinear"  # of the resizing of pictures to it
    mean: tuple[float, float, float] | None = None  # of RGB in [0, 1]; None: what the backbone's weights expect
    std: tuple[Positive, Positive, Positive] | None = None
    attributes: dict[str, int] = field(default_factory=dict)  # name -> number of classes: one more head each
    retrieval: tuple[str, ...] | None = None  # features to compare by, side by side; None: the paper's

    RENAMED: ClassVar[dict[str, str]] = {}  # what options were called in earlier versions -> what they are called

    @classmethod
    def from_earlier(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a model file, under the names and in the values of today."""
        return {cls.RENAMED.get(name, name): value for name, value in options.items()}


@dataclass(frozen=True)
class ModelSpec:
    """Enough to build the model again, in plain JSON values."""

    name: str
    num_ids: int
    options: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "num_ids": self.num_ids, "options": plain(self.options)}


@dataclass(frozen=True)
class PairScores:
    """Two pictures compared, row by row.

    similarity (B,): larger is more alike; the cosine, or minus the distance where the metric is Euclidean.
    probability (B,): that both show the same person, where the model gives one.
    """

    similarity: Tensor
    probability: Tensor | None = None

    @classmethod
    def of(cls, one: Tensor, two: Tensor, metric: Metric) -> PairScores:
        """Descriptors (B, D) compared by a metric."""
        return cls(torch.cosine_similarity(one, two) if metric == "cosine" else -(one - two).norm(dim=1))


class ReIDModel(nn.Module, ABC):
    """A network that turns pictures of people into descriptors.

    forward(images) -> ReIDOutput, embed(images) -> (B, embedding_dim); images are RGB (B, 3, H, W), uint8 or
    float in [0, 1].  `retrieval` names the features whose concatenation is the descriptor; a subclass gives
    the paper's choice and the `widths` of all it could be.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    year: ClassVar[int]
    Options: ClassVar[type[ModelOptions]] = ModelOptions

    takes_cameras: bool = False  # forward and embed take camids (B,) as well, and know what to do without
    stripes: Mapping[str, tuple[int, int]] = {}  # features of horizontal parts: name -> first and last part, from 0
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_ids: int,
        options: ModelOptions,
        *,
        widths: Mapping[str, int],
        retrieval: tuple[str, ...],
        metric: Metric,
        trunk: Trunk | None = None,
    ) -> None:
        super().__init__()
        if num_ids < 0:
            raise UsageError(
                f"num_ids = {num_ids}; expected the number of training identities, or 0 for no classifier."
            )
        self.input_size = options.input_size
        self.interpolation: Interpolation = options.interpolation
        self.retrieval = options.retrieval or retrieval
        self.embedding_dim = sum(widths[name] for name in self.known_features(widths))
        self.metric: Metric = metric
        self.spec = ModelSpec(self.name, num_ids, plain(options))
        self.fixed_size = trunk.fixed_size if trunk is not None else None
        mean = options.mean or (trunk.mean if trunk is not None else IMAGENET_MEAN)
        std = options.std or (trunk.std if trunk is not None else IMAGENET_STD)
        self.pixel_statistics = tuple(mean), tuple(std)  # of RGB in [0, 1], as given
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.attribute_heads = AttributeHeads(self.embedding_dim, options.attributes)
        self.check_size(*options.input_size)

    def known_features(self, widths: Mapping[str, int]) -> tuple[str, ...]:
        """`retrieval`, each of whose names must be one of the features' `widths`."""
        for name in self.retrieval:
            if name not in widths:
                raise UnknownNameError(f"{self.name} feature", name, widths)
        return self.retrieval

    @abstractmethod
    def forward(self, images: Tensor) -> ReIDOutput:
        """Features, logits and maps that the paper trains on."""

    @abstractmethod
    def describe(self, x: Tensor) -> dict[str, Tensor]:
        """Normalised pixels -> the features of `retrieval`, and no work beyond them."""

    def embed(self, images: Tensor) -> Tensor:
        """The descriptor the paper retrieves with, (B, embedding_dim).  Compare by `metric`."""
        return self.descriptor(self.describe(self.normalize(images)))

    def descriptor(self, features: Mapping[str, Tensor]) -> Tensor:
        """Named features -> (B, embedding_dim)."""
        return torch.cat([features[name] for name in self.retrieval], dim=1)

    def output(
        self,
        features: dict[str, Tensor],
        logits: dict[str, Tensor] | None = None,
        maps: dict[str, Tensor] | None = None,
    ) -> ReIDOutput:
        """The record every `forward` ends with; attribute scores join it here, on the descriptor."""
        scores = dict(logits or {})
        if len(self.attribute_heads):
            scores |= self.attribute_heads(self.descriptor(features))
        return ReIDOutput(features=features, logits=scores, maps=maps or {})

    def normalize(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 or float in [0, 1] -> (pixels - mean) / std in the precision of the weights."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise UsageError(f"{self.name}: images of shape {tuple(images.shape)}; expected (B, 3, H, W), RGB.")
        if images.dtype == torch.uint8:
            images = images.float() / 255
        elif not images.is_floating_point():
            raise UsageError(f"{self.name}: images of type {images.dtype}; expected uint8, or float in [0, 1].")
        if self.training and images.shape[0] < 2:
            raise TrainingError(f"{self.name}: a batch of one cannot be trained on: its statistics are undefined.")
        self.check_size(images.shape[2], images.shape[3])
        return ((images - self.mean) / self.std).to(self.mean.dtype)

    def check_size(self, height: int, width: int) -> None:
        """Raises UsageError where a picture of this size makes no sense to the network."""
        if self.fixed_size is not None and (height, width) != self.fixed_size:
            raise UsageError(
                f"{self.name}: images of {height}x{width}, but this backbone was built "
                f"for {self.fixed_size[0]}x{self.fixed_size[1]} only. "
                f"Resize them, or set input_size when building."
            )
        if min(height, width) < 32:
            raise UsageError(f"{self.name}: images of {height}x{width}; expected at least 32 pixels on each side.")

    def verify(self, a: Tensor, b: Tensor) -> PairScores:
        """Compare two batches of images (B, 3, H, W) row by row."""
        return PairScores.of(self.embed(a), self.embed(b), self.metric)

    def classifiers(self) -> Iterator[tuple[str, Classifier]]:
        """The heads that exist for training only, by name."""
        for name, module in self.named_modules():
            if isinstance(module, Classifier):
                yield name, module

    def fingerprint(self) -> str:
        """A name for the space of the descriptors: weights without classifiers, resizing, metric, normalisation.

        Two models of one fingerprint may share a gallery.  Hashed in float32: take it before casting weights.
        """
        resizing = () if self.interpolation == "bilinear" else (self.interpolation,)  # earlier versions had no other
        digest = hashlib.sha256(repr((self.input_size, self.metric, self.retrieval, *resizing)).encode())
        heads = {name for name, _ in self.classifiers()}
        for name, tensor in sorted(self.state_dict().items()):
            if name.rpartition(".")[0] not in heads and tensor.is_floating_point():
                digest.update(f"{name}{tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]
