"""fast-reid, He et al., arXiv 2006.02631: BoT, AGW, SBS and MGN on ResNet-50 and -101, with and without IBN-a.

Files hold the state dict under `model`: `backbone.*` and `heads.*`.  Its stem pools with ceil_mode.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from resight.errors import CheckpointError
from resight.models.checkpoints.conversion import CLASSIFIER, Family, Plan, Rename, Tensors, resnet_of

TRUNKS = ("R50", "R50-ibn", "R101", "R101-ibn")
ARCHS = tuple(f"{method}_{trunk}" for method in ("bagtricks", "AGW", "sbs", "mgn") for trunk in TRUNKS)

PIXELS = "the pixels' normalization, ImageNet's, is a buffer of the model here"
DROPS = {
    "*heads.weight": CLASSIFIER,
    "*head.weight": CLASSIFIER,
    "*heads.classifier.*": CLASSIFIER,
    "*head.classifier.*": CLASSIFIER,
    "pixel_mean": PIXELS,
    "pixel_std": PIXELS,
}
RESIZING: dict[str, Any] = {"interpolation": "bicubic"}  # of its pictures, in training and in testing
NECK = ((r"^heads\.(bottleneck\.0|bnneck)\.", "neck."), (r"^heads\.pool_layer\.p$", "pool.p"))
IMAGENET = {"pixel_mean": (123.675, 116.28, 103.53), "pixel_std": (58.395, 57.12, 57.375)}

# Its branches by number, and ours by name; a head without a second digit looks at the whole branch.
HEADS = {"1": "global_1", "2": "global_2", "3": "global_3"}
HEADS |= {f"{n}{i}": f"part_{n}-{i - 1}" for n in (2, 3) for i in range(1, n + 1)}


def recognizes(tensors: Tensors) -> bool:
    return "b1_head.bottleneck.0.weight" in tensors or {"backbone", "heads"} <= {n.partition(".")[0] for n in tensors}


def plan(tensors: Tensors, arch: str | None, options: Mapping[str, Any]) -> Plan:  # noqa: ARG001
    refuse_other_pixels(tensors)
    if "backbone.conv1.0.weight" in tensors:
        raise CheckpointError("the trunk is a ResNeSt (S50), which has no home here. R50 and R101 have one.")
    if "backbone.cls_token" in tensors or "backbone.layer1.0.conv1.weight" not in {**tensors, **branches(tensors)}:
        raise CheckpointError(f"the trunk is no ResNet. Networks that have a home here: {', '.join(ARCHS)}.")
    if "b1_head.bottleneck.0.weight" in tensors:
        return mgn(tensors)
    trunk = resnet_of(tensors, "backbone.") | {"ceil_pool": True}
    suffix, ours = short(trunk), RESIZING | {"backbone": trunk}
    if not any(".NL_" in name for name in tensors):
        return Plan(f"bagtricks_{suffix}", "strong_baseline", ours, NECK, DROPS)
    renames: tuple[Rename, ...] = (
        (r"^backbone\.NL_(\d)\.", lambda m: f"backbone.non_local.{int(m[1]) - 1}."),
        (r"^backbone\.(?!non_local)", "backbone.trunk."),
        *NECK,
    )
    if "heads.pool_layer.p" in tensors:
        return Plan(f"sbs_{suffix}", "sbs", ours, renames, DROPS)
    fixed = {"pool.p": torch.tensor(3.0)}  # its AGW does not learn the exponent
    return Plan(f"AGW_{suffix}", "agw", ours, renames, DROPS, fixed)


def branches(tensors: Tensors) -> dict[str, Any]:
    """Names of the trunk that MGN's file holds in pieces, as a whole trunk would have them."""
    pieces: tuple[Rename, ...] = (
        (r"^backbone\.4\.", "backbone.layer1."),
        (r"^backbone\.5\.", "backbone.layer2."),
        (r"^backbone\.6\.", "backbone.layer3.0."),
        (r"^b1\.0\.(\d+)\.", lambda m: f"backbone.layer3.{int(m[1]) + 1}."),
        (r"^b1\.1\.", "backbone.layer4."),
    )
    found = {}
    for name, tensor in tensors.items():
        for pattern, replacement in pieces:
            if re.match(pattern, name):
                found[re.sub(pattern, replacement, name)] = tensor
    return found


def mgn(tensors: Tensors) -> Plan:
    trunk = resnet_of(branches(tensors), "backbone.") | {"ceil_pool": True}
    renames: tuple[Rename, ...] = (
        (r"^backbone\.", "stem."),
        (r"^b(\d)\.", lambda m: f"branches.{int(m[1]) - 1}."),
        (r"^b(\d+)_head\.", lambda m: f"reductions.{HEADS.get(m[1], m[1])}."),
        (r"\.pool_layer\.p$", ".pool.p"),
        (r"\.bottleneck\.0\.", ".reduce."),
        (r"\.bottleneck\.1\.", ".norm."),
    )
    options = RESIZING | {"backbone": trunk, "dim": tensors["b1_head.bottleneck.0.weight"].shape[0]}
    return Plan(f"mgn_{short(trunk)}", "mgn-fastreid", options, renames, DROPS)


def short(trunk: Mapping[str, Any]) -> str:
    """The project's name of a trunk: R50-ibn."""
    return f"R{trunk['name'].removeprefix('resnet')}" + ("-ibn" if trunk["ibn"] else "")


def refuse_other_pixels(tensors: Tensors) -> None:
    for name, expected in IMAGENET.items():
        if name in tensors and not torch.allclose(tensors[name].flatten().float(), torch.tensor(expected)):
            raise CheckpointError(
                f"{name} is {tensors[name].flatten().tolist()}; expected ImageNet's {list(expected)}. "
                f"Set it: --set mean=[...] --set std=[...] on a scale of 0 to 1."
            )


FAMILY = Family(
    name="fastreid",
    project="fast-reid",
    code="Apache-2.0 (whether it holds for the weights was asked and not answered)",
    data="unknown for this file; the project's own saw Market-1501, DukeMTMC-reID or MSMT17, all for research only",
    archs=ARCHS,
    recognizes=recognizes,
    plan=plan,
)
