"""Losses: equations with a docstring, in a table by name.

    from resight import losses
    triplet = losses.build("trihard", margin=0.3)      # or losses.TriHard(margin=0.3)
    triplet(features, pids).backward()

`takes` of each class names its input: features, logits, maps or a pair.  docs/methods/losses.md has
them all with their equations, sources and the numbers the tests assert.
"""

from __future__ import annotations

from typing import Any

from resight.errors import UnknownNameError
from resight.losses.agreement import AttentionDiversity, Distillation, ForegroundMass
from resight.losses.attributes import Attribute, AttributeLoss, balanced
from resight.losses.base import Averaging, Clocked, InPieces, Loss, MetricLoss, valid_anchors
from resight.losses.camera_proxies import CameraProxies
from resight.losses.center import Center
from resight.losses.circle import PairwiseCircle
from resight.losses.classification import CrossEntropy
from resight.losses.cluster_contrast import ClusterContrast
from resight.losses.cross_batch_memory import CrossBatchMemory
from resight.losses.curriculum import Curriculum, CurriculumTriplet
from resight.losses.focal import AttentionLoss, SigmoidFocal, SoftmaxFocal
from resight.losses.hard_example_mining import AdaptiveHard
from resight.losses.hybrid_memory import HybridMemory
from resight.losses.margin_softmax import ArcFace, Circle, CosFace, Cosine
from resight.losses.mutual_teaching import MutualIdentity, MutualTriplet
from resight.losses.partial_fc import ShardedClassifier
from resight.losses.pseudo_labels import PseudoLabelLoss
from resight.losses.quadruplet import Quadruplet
from resight.losses.soft_mining import HAP2S, AdaptiveTriplet, GeneralizedLifted, Lifted
from resight.losses.triplet import Contrastive, ImprovedTriplet, TriHard, Triplet
from resight.losses.verification import PairClassifier, PairVerification, Verification
from resight.options import Option, call_options, check_call

LOSSES: dict[str, type[Loss]] = {
    "adaptive_hard": AdaptiveHard,
    "adaptive_triplet": AdaptiveTriplet,
    "arcface": ArcFace,
    "attention": AttentionLoss,
    "attention_diversity": AttentionDiversity,
    "attribute": Attribute,
    "camera_proxies": CameraProxies,
    "center": Center,
    "circle": Circle,
    "cluster_contrast": ClusterContrast,
    "contrastive": Contrastive,
    "cosface": CosFace,
    "cosine": Cosine,
    "cross_entropy": CrossEntropy,
    "curriculum_triplet": CurriculumTriplet,
    "distillation": Distillation,
    "foreground_mass": ForegroundMass,
    "generalized_lifted": GeneralizedLifted,
    "hap2s": HAP2S,
    "hybrid_memory": HybridMemory,
    "improved_triplet": ImprovedTriplet,
    "lifted": Lifted,
    "mutual_identity": MutualIdentity,
    "mutual_triplet": MutualTriplet,
    "pair_verification": PairVerification,
    "pairwise_circle": PairwiseCircle,
    "quadruplet": Quadruplet,
    "sharded": ShardedClassifier,
    "sigmoid_focal": SigmoidFocal,
    "softmax_focal": SoftmaxFocal,
    "trihard": TriHard,
    "triplet": Triplet,
    "verification": Verification,
}


def available() -> list[str]:
    """The names `build` knows, sorted."""
    return sorted(LOSSES)


def build(name: str, **options: Any) -> Loss:
    """The loss called `name`.

    Args:
        name: one of `available()`.
        options: of the loss; `dim` and `num_ids` are the model's.

    Raises:
        UnknownNameError: there is no such loss.
        OptionError: an option is unknown, missing, or has a value that is not valid.
    """
    checked = check_call(options_of(name), options, f"loss {name!r}")
    return LOSSES[name](**checked)


def options_of(name: str) -> dict[str, Option]:
    """The options of a loss; `dim` and `num_ids` come from the model.

    Args:
        name: one of `available()`.

    Raises:
        UnknownNameError: there is no such loss.
    """
    if name not in LOSSES:
        raise UnknownNameError("loss", name, LOSSES, listing="resight losses")
    return call_options(LOSSES[name])


__all__ = [
    "HAP2S",
    "LOSSES",
    "AdaptiveHard",
    "AdaptiveTriplet",
    "ArcFace",
    "AttentionDiversity",
    "AttentionLoss",
    "Attribute",
    "AttributeLoss",
    "Averaging",
    "CameraProxies",
    "Center",
    "Circle",
    "Clocked",
    "ClusterContrast",
    "Contrastive",
    "CosFace",
    "Cosine",
    "CrossBatchMemory",
    "CrossEntropy",
    "Curriculum",
    "CurriculumTriplet",
    "Distillation",
    "ForegroundMass",
    "GeneralizedLifted",
    "HybridMemory",
    "ImprovedTriplet",
    "InPieces",
    "Lifted",
    "Loss",
    "MetricLoss",
    "MutualIdentity",
    "MutualTriplet",
    "PairClassifier",
    "PairVerification",
    "PairwiseCircle",
    "PseudoLabelLoss",
    "Quadruplet",
    "ShardedClassifier",
    "SigmoidFocal",
    "SoftmaxFocal",
    "TriHard",
    "Triplet",
    "Verification",
    "available",
    "balanced",
    "build",
    "options_of",
    "valid_anchors",
]
