"""CLIP-ReID, Li, Sun and Li, AAAI 2023: the image encoder of a ViT-B/16 and its necks; the text half is dropped.

Files are a state dict: `image_encoder.*`, `bottleneck*`, `text_encoder.*`, `prompt_learner.*`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resight.errors import CheckpointError
from resight.models.checkpoints.conversion import CLASSIFIER, Family, Plan, Tensors, numbered
from resight.models.checkpoints.transreid import grid_of

TEXT = "the text half teaches the image half, and takes no part in the descriptor"
RENAMES = (
    (r"^cv_embed$", "side.vectors"),
    (r"^bottleneck_proj\.", "projected_neck."),
    (r"^bottleneck\.", "neck."),
    (r"^image_encoder\.proj$", "projection.weight"),
    (r"^image_encoder\.conv1\.", "backbone.body.patch_embed.proj."),
    (r"^image_encoder\.class_embedding$", "backbone.body.cls_token"),
    (r"^image_encoder\.positional_embedding$", "backbone.body.pos_embed"),
    (r"^image_encoder\.ln_pre\.", "backbone.body.norm_pre."),
    (r"^image_encoder\.ln_post\.", "backbone.body.norm."),
    (r"^image_encoder\.transformer\.resblocks\.", "backbone.body.blocks."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.attn\.in_proj_", ".attn.qkv."),
    (r"\.attn\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)


def recognizes(tensors: Tensors) -> bool:
    return "image_encoder.conv1.weight" in tensors


def plan(tensors: Tensors, arch: str | None, options: Mapping[str, Any]) -> Plan:  # noqa: ARG001
    if "image_encoder.class_embedding" not in tensors:
        raise CheckpointError("the image encoder is CLIP's ResNet, which has no home here. Its ViT-B/16 has one.")
    positions = tensors["image_encoder.positional_embedding"]
    size, stride = grid_of(positions.shape[0] - 1, options)
    side = tensors.get("cv_embed")
    depth = numbered(tensors, r"image_encoder\.transformer\.resblocks\.(\d+)\.")
    settings = {
        "backbone": {"dim": positions.shape[1], "depth": depth, "stride": stride},
        "projected": tensors["image_encoder.proj"].shape[1],
        "cameras": 0 if side is None else len(side),
        "input_size": size,
    }
    drops = {"classifier*": CLASSIFIER, "text_encoder.*": TEXT, "prompt_learner.*": TEXT}
    changes = {"image_encoder.proj": lambda matrix: matrix.t().contiguous()}
    return Plan("clip_reid", "clip_reid", settings, RENAMES, drops, changes=changes)


FAMILY = Family(
    name="clip-reid",
    project="CLIP-ReID",
    code="MIT",
    data="unknown for this file; the project's own saw what CLIP saw, then MSMT17, Market-1501 or DukeMTMC-reID, for "
    "research only",
    archs=("clip_reid",),
    recognizes=recognizes,
    plan=plan,
)
