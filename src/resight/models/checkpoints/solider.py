"""SOLIDER-REID, Chen et al., CVPR 2023: Swin transformers under MMCV's names, with the semantic controller.

Files are a state dict: `base.*`, `bottleneck.*`.  lambda is no tensor of the file; the project's own runs have 0.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resight.errors import CheckpointError
from resight.models.backbones.swin import SIZES
from resight.models.checkpoints.conversion import CLASSIFIER, Family, Plan, Tensors, numbered

UNUSED = "the project computes it and does not use it"
DROPS = {
    "classifier.*": CLASSIFIER,
    "*.relative_position_index": "the places within a window are computed here",
    "base.norm[012].*": UNUSED,
    "base.semantic_embed_[wb].3.*": UNUSED,
}


def recognizes(tensors: Tensors) -> bool:
    return any(name.startswith("base.stages.") and ".w_msa." in name for name in tensors)


def plan(tensors: Tensors, arch: str | None, options: Mapping[str, Any]) -> Plan:  # noqa: ARG001
    dim = tensors["base.patch_embed.projection.weight"].shape[0]
    depths = tuple(numbered(tensors, rf"base\.stages\.{stage}\.blocks\.(\d+)\.") for stage in range(4))
    if "fcneck.weight" in tensors:
        raise CheckpointError("the feature is reduced by a layer (REDUCE_FEAT_DIM), which has no home here.")
    name = next((name for name, size in SIZES.items() if size == (dim, depths)), "swin_tiny")
    settings: dict[str, Any] = {"backbone": {"name": name, "dim": dim, "depths": depths}}
    if "base.semantic_embed_w.0.weight" not in tensors:
        settings["semantic_weight"] = None
    renames = ((r"^base\.", "backbone."), (r"^bottleneck\.", "neck."))
    return Plan(f"solider_{name}", "solider", settings, renames, DROPS)


FAMILY = Family(
    name="solider",
    project="SOLIDER-REID",
    code="MIT",
    data="unknown for this file; the project's own saw LUPerson, then MSMT17 or Market-1501, all for research only",
    archs=tuple(f"solider_{name}" for name in SIZES),
    recognizes=recognizes,
    plan=plan,
)
