"""reid-strong-baseline, Luo et al., CVPR workshops 2019.  Its stem has no ReLU, but that of its IBN-a networks.

The published files are whole pickled modules, which cannot be read without running code; a state dict can.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resight.models.checkpoints.conversion import CLASSIFIER, Family, Plan, Tensors, resnet_of

RENAMES = ((r"^base\.", "backbone."), (r"^bottleneck\.", "neck."))


def recognizes(tensors: Tensors) -> bool:
    return "base.conv1.weight" in tensors


def plan(tensors: Tensors, arch: str | None, options: Mapping[str, Any]) -> Plan:  # noqa: ARG001
    trunk = resnet_of(tensors, "base.")
    name = trunk["name"] + ("_ibn_a" if trunk["ibn"] else "")
    return Plan(
        name,
        "strong_baseline",
        {"backbone": trunk | {"stem_relu": trunk["ibn"]}},
        RENAMES,
        {"classifier.*": CLASSIFIER, "base.fc.*": "it scores the classes of ImageNet"},
    )


FAMILY = Family(
    name="strong-baseline",
    project="reid-strong-baseline",
    code="none stated",
    data="unknown for this file; the project's own saw Market-1501 or DukeMTMC-reID, both for research only",
    archs=("resnet18", "resnet34", "resnet50", "resnet101", "resnet50_ibn_a"),
    recognizes=recognizes,
    plan=plan,
)
