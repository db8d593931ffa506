"""TransReID, He et al., ICCV 2021, and what kept its names: PersonViT, TransReID-SSL, PASS.

Files are a state dict: `base.*`, `bottleneck*`, with the jigsaw `b1.*` and `b2.*`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from resight.errors import CheckpointError
from resight.models.checkpoints.conversion import CLASSIFIER, Family, Plan, Rename, Tensors, numbered

PATCH = 16
SIZES = ((256, 128), (384, 128))
STRIDES = (16, 12, 14)
UNUSED = "the last block lives on in two copies, b1 and b2; its own output is not used"


def recognizes(tensors: Tensors) -> bool:
    return "base.cls_token" in tensors


def plan(tensors: Tensors, arch: str | None, options: Mapping[str, Any]) -> Plan:  # noqa: ARG001
    dim = tensors["base.pos_embed"].shape[2]
    depth, jigsaw = numbered(tensors, r"base\.blocks\.(\d+)\."), "b1.0.norm1.weight" in tensors
    refuse_variants(tensors)
    size, stride = grid_of(tensors["base.pos_embed"].shape[1] - 1, options)
    side = tensors.get("base.sie_embed")
    name = {384: "vit_small_patch16_224", 192: "vit_tiny_patch16_224"}.get(dim, "vit_base_patch16_224")
    backbone = {"name": name, "dim": dim, "depth": depth, "stride": stride}
    settings = {"backbone": backbone, "jigsaw": jigsaw, "cameras": 0 if side is None else len(side), "input_size": size}
    last = depth - 1
    renames: tuple[Rename, ...] = (
        (r"^base\.sie_embed$", "side.vectors"),
        (r"^base\.", "backbone.body."),
        (r"^b1\.0\.", f"backbone.body.blocks.{last}."),
        (r"^b1\.1\.", "backbone.body.norm."),
        (r"^b2\.", "local."),
        (r"^bottleneck_(\d)\.", lambda m: f"part_necks.{int(m[1]) - 1}."),
        (r"^bottleneck\.", "neck."),
    )
    drops = {"classifier*": CLASSIFIER, "base.fc.*": "it scores the classes of ImageNet"}
    if jigsaw:
        drops |= {f"base.blocks.{last}.*": UNUSED, "base.norm.*": UNUSED}
    return Plan("transreid" if jigsaw else name.removesuffix("_patch16_224"), "transreid", settings, renames, drops)


def refuse_variants(tensors: Tensors) -> None:
    if "base.blocks.0.attn.qkv.bias" not in tensors:
        raise CheckpointError("the attention has no bias, as in TransReID's own vit_small, which has no home here.")
    if any(name.startswith("base.patch_embed.conv.") for name in tensors):
        raise CheckpointError("the transformer begins with convolutions (an ICS stem): it has no home here.")


def grid_of(patches: int, options: Mapping[str, Any]) -> tuple[tuple[int, int], int]:
    """The picture size and stride that give so many patches.  Raises CheckpointError where none or two do."""
    backbone = options.get("backbone", {})
    asked, stride = options.get("input_size"), backbone.get("stride") if isinstance(backbone, Mapping) else None
    sizes = SIZES if asked is None else (tuple(asked),)
    strides = STRIDES if stride is None else (stride,)
    found = [(size, step) for size in sizes for step in strides if count(size, step) == patches]
    if len(found) != 1:
        raise CheckpointError(
            f"{patches} patches: {len(found)} of the usual picture sizes and strides give so many. "
            f"Say which: --set input_size=[256,128] --set backbone.stride=16."
        )
    return found[0]


def count(size: tuple[int, ...], stride: int) -> int:
    height, width = size
    return ((height - PATCH) // stride + 1) * ((width - PATCH) // stride + 1)


FAMILY = Family(
    name="transreid",
    project="TransReID",
    code="MIT",
    data="unknown for this file; the project's own saw MSMT17, Market-1501 or DukeMTMC-reID, all for research only",
    archs=("transreid", "vit_base", "vit_small"),
    recognizes=recognizes,
    plan=plan,
)
PERSONVIT = replace(
    FAMILY,
    name="personvit",
    project="PersonViT",
    code="none stated",
    data="unknown for this file; the project's own saw LUPerson, and then MSMT17 or Market-1501, all for research only",
    archs=("vit_base", "vit_small", "vit_tiny", "transreid"),
)
