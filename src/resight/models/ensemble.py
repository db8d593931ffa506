"""Ensemble: several networks side by side, their descriptors joined.  After Hansen and Salamon, TPAMI 1990.

Each member keeps its own pixel statistics, features and classifier.  The descriptor is the members' descriptors, each
of length one, one after another: its cosine is the mean of their cosines.  docs/methods/baselines.md

    Ensemble.of({"one": models.read_model("runs/a", num_ids=0), "two": models.read_model("runs/b", num_ids=0)})
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import UsageError
from resight.models.base import ModelOptions, ReIDModel
from resight.options import Positive, plain
from resight.types import ReIDOutput

MOST = 16  # members
PIXELS = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # mean and std that leave pixels alone


@dataclass(frozen=True, kw_only=True)
class MemberOptions:
    """One member: a model and its options."""

    name: str = "strong_baseline"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions(ModelOptions):
    mean: tuple[float, float, float] | None = PIXELS[0]  # each member has its own
    std: tuple[Positive, Positive, Positive] | None = PIXELS[1]
    flip: bool = False  # describe the picture and its mirror image, at twice the cost: the mean of the two
    members: dict[str, MemberOptions] = field(  # by the name of their features and logits; all of one input size
        default_factory=lambda: {"baseline": MemberOptions(), "osnet": MemberOptions(name="osnet")}
    )

    def options_of(self, key: str) -> dict[str, Any]:
        """A member's options, with those that all members share."""
        if (self.mean, self.std) != PIXELS:
            raise UsageError("mean, std: each member of an ensemble has its own. Set them in the members' options.")
        return self.members[key].options | {"input_size": self.input_size, "interpolation": self.interpolation}


class Ensemble(ReIDModel):
    """features: `KEY` (B, D), a member's descriptor at length one, and `KEY/NAME`, its own.  logits: `KEY/NAME`."""

    name: ClassVar[str] = "ensemble"
    paper: ClassVar[str] = "Hansen and Salamon, TPAMI 1990"
    year: ClassVar[int] = 1990
    Options: ClassVar[type[ModelOptions]] = EnsembleOptions

    def __init__(self, num_ids: int, options: EnsembleOptions, members: Mapping[str, ReIDModel]) -> None:
        super().__init__(
            num_ids,
            options,
            widths={key: member.embedding_dim for key, member in members.items()},
            retrieval=tuple(members),
            metric="cosine",
        )
        self.members = nn.ModuleDict(members)
        self.flip = options.flip
        self.fixed_size = next((member.fixed_size for member in members.values() if member.fixed_size), None)

    @classmethod
    def of(cls, members: Mapping[str, ReIDModel], *, flip: bool = False) -> Ensemble:
        """Trained models as one.

        Args:
            members: by name, each loaded with num_ids=0.
            flip: describe the mirror image of a picture as well.

        Raises:
            UsageError: they differ in the size of their pictures, or cannot be members.
        """
        for key, member in members.items():
            if member.spec.num_ids:
                raise UsageError(f"{key}: a model with classifiers; expected one loaded with num_ids=0.")
        refuse_members({key: member.spec.name for key, member in members.items()})
        sizes = {(member.input_size, member.interpolation) for member in members.values()}
        if len(sizes) != 1:
            raise UsageError(f"members of an ensemble take pictures of one size; found {sorted(sizes)}.")
        ((input_size, interpolation),) = sizes
        options = EnsembleOptions(
            input_size=input_size,
            interpolation=interpolation,
            flip=flip,
            members={key: MemberOptions(name=m.spec.name, options=plain(m.spec.options)) for key, m in members.items()},
        )
        return cls(0, options, members).eval()

    def each(self) -> list[tuple[str, ReIDModel]]:
        return list(self.members.items())  # type: ignore[arg-type]

    def fingerprint(self) -> str:
        compared = [(key, member.retrieval) for key, member in self.each()]
        return hashlib.sha256(f"{super().fingerprint()} {self.flip} {compared}".encode()).hexdigest()[:32]

    def describe(self, x: Tensor) -> dict[str, Tensor]:
        return {key: self.joined(member, member.embed(x), x) for key, member in self.each()}

    def joined(self, member: ReIDModel, descriptor: Tensor, pixels: Tensor) -> Tensor:
        """A member's descriptor (B, D) of `pixels` at length one; if asked, with their mirror images'."""
        descriptor = F.normalize(descriptor)
        if not self.flip or self.training:
            return descriptor
        return F.normalize(descriptor + F.normalize(member.embed(pixels.flip(3))))

    def forward(self, images: Tensor) -> ReIDOutput:
        pixels = self.normalize(images)
        features: dict[str, Tensor] = {}
        logits: dict[str, Tensor] = {}
        maps: dict[str, Tensor] = {}
        for key, member in self.each():
            output: ReIDOutput = member(pixels)
            features[key] = self.joined(member, member.descriptor(output.features), pixels)
            features |= {f"{key}/{name}": tensor for name, tensor in output.features.items()}
            logits |= {f"{key}/{name}": tensor for name, tensor in output.logits.items()}
            maps |= {f"{key}/{name}": tensor for name, tensor in output.maps.items()}
        return self.output(features, logits, maps)


def refuse_members(members: Mapping[str, str]) -> None:
    """Raises UsageError for models, by key, that cannot stand side by side."""
    if not 1 <= len(members) <= MOST:
        raise UsageError(f"members: found {len(members)}; expected 1 to {MOST}.")
    for key, name in members.items():
        if not key.isidentifier():
            raise UsageError(f"members: {key!r} is no name for a member; expected letters, digits and underscores.")
        if name == Ensemble.name:
            raise UsageError(f"members.{key}: an ensemble; expected the networks it is made of, side by side.")
