"""deep-person-reid (torchreid), Zhou and Xiang: OSNet, ResNet, PCB, HA-CNN.

Files are a state dict, or one under `state_dict`.  Others of its networks have no home here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resight.errors import CheckpointError
from resight.models.checkpoints.conversion import CLASSIFIER, Family, Plan, Rename, Tensors, numbered, resnet_of

ARCHS = (
    "osnet_x1_0",
    "osnet_x0_75",
    "osnet_x0_5",
    "osnet_x0_25",
    "osnet_ibn_x1_0",
    "osnet_ain_x1_0",
    "osnet_ain_x0_75",
    "osnet_ain_x0_5",
    "osnet_ain_x0_25",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet50_ibn_a",
    "resnet50_fc512",
    "pcb_p4",
    "pcb_p6",
    "hacnn",
)
WIDTHS = {16: (0.25, "x0_25"), 32: (0.5, "x0_5"), 48: (0.75, "x0_75"), 64: (1.0, "x1_0")}  # by the stem's channels

HACNN: tuple[Rename, ...] = (
    (r"^conv\.", "stem."),
    (r"^inception(\d)\.", lambda m: f"stages.{int(m[1]) - 1}."),
    (r"^ha(\d)\.", lambda m: f"attention.{int(m[1]) - 1}."),
    (r"^local_conv(\d)\.", lambda m: f"local.{int(m[1]) - 1}."),
    (r"\.stream(\d)\.", lambda m: f".streams.{int(m[1]) - 1}."),
    (r"\.soft_attn\.spatial_attn\.conv1\.", ".soft.spatial.look."),
    (r"\.soft_attn\.spatial_attn\.conv2\.", ".soft.spatial.scale."),
    (r"\.soft_attn\.channel_attn\.conv1\.", ".soft.channel.0."),
    (r"\.soft_attn\.channel_attn\.conv2\.", ".soft.channel.1."),
    (r"\.soft_attn\.conv\.", ".soft.combine."),
    (r"\.hard_attn\.fc\.", ".hard.place."),
    (r"^fc_(global|local)\.", r"\1_summary."),
    (r"\bconv\.(weight|bias)$", r"0.\1"),
    (r"\bbn\.", "1."),
    (r"^stem\.(weight|bias)$", r"stem.0.\1"),
)


def recognizes(tensors: Tensors) -> bool:
    return {"conv1.weight", "conv1.conv.weight", "conv.conv.weight"} & tensors.keys() != set() and not any(
        name.startswith(("layer0.", "head.")) for name in tensors
    )


def plan(tensors: Tensors, arch: str | None, options: Mapping[str, Any]) -> Plan:  # noqa: ARG001
    if "ha1.soft_attn.conv.conv.weight" in tensors:
        return Plan("hacnn", "hacnn-torchreid", renames=HACNN, drops={"classifier_*": CLASSIFIER})
    if "conv5.layers.0.weight" in tensors:
        return pcb(tensors, arch)
    if "conv2.0.conv2a.conv1.weight" in tensors or "conv2.0.conv2.0.layers.0.conv1.weight" in tensors:
        return osnet(tensors)
    if "layer4.0.conv2.weight" in tensors:
        return resnet(tensors)
    raise CheckpointError(
        f"the file is of a network of torchreid that has no home here. Those that have one: {', '.join(ARCHS)}."
    )


def osnet(tensors: Tensors) -> Plan:
    stem = tensors["conv1.conv.weight"].shape[0]
    if stem not in WIDTHS:
        raise CheckpointError(f"OSNet with a stem of {stem} channels; expected one of {', '.join(map(str, WIDTHS))}.")
    width, suffix = WIDTHS[stem]
    norm = "none"
    if "pool2.0.conv.weight" in tensors:
        norm = "ain"
    elif "conv1.bn.running_mean" not in tensors:  # instance normalization keeps no statistics
        norm = "ibn"
    arch = f"osnet_{suffix}" if norm == "none" else f"osnet_{norm}_{suffix}"
    return Plan(
        arch,
        arch if norm == "none" or width == 1.0 else "osnet",
        {"width": width, "norm": norm, "dim": tensors["fc.0.weight"].shape[0]},
        drops={"classifier.*": CLASSIFIER},
    )


def resnet(tensors: Tensors) -> Plan:
    trunk = resnet_of(tensors, "")
    arch = trunk["name"] + ("_ibn_a" if trunk["ibn"] else "")
    renames: list[Rename] = [(r"^(conv1|bn1|layer\d)\.", r"backbone.\1.")]
    options: dict[str, Any] = {"backbone": trunk}
    if "fc.0.weight" in tensors:  # its networks with an added layer keep the last stage's resolution
        dim = tensors["fc.0.weight"].shape[0]
        arch = f"{arch}_fc{dim}"
        renames.append((r"^fc\.", "embedding."))
        options = {"backbone": trunk | {"last_stride": 1}, "embedding": dim, "embedding_relu": True}
    drops = {"classifier.*": CLASSIFIER, "fc.weight": "it scores the classes of ImageNet", "fc.bias": "it scores them"}
    return Plan(arch, "baseline", options, renames, drops)


def pcb(tensors: Tensors, arch: str | None) -> Plan:
    parts = numbered(tensors, r"classifier\.(\d+)\.") or int((arch or "pcb_p0").rpartition("p")[2])
    if not parts:
        raise CheckpointError("the file is of PCB and does not say how many parts. Name it: --arch pcb_p4 or pcb_p6.")
    renames = (
        (r"^(conv1|bn1|layer\d)\.", r"backbone.\1."),
        (r"^conv5\.layers\.0\.", "reduce."),
        (r"^conv5\.layers\.1\.", "norm."),
    )
    options = {
        "backbone": resnet_of(tensors, ""),
        "parts": parts,
        "dim": tensors["conv5.layers.0.weight"].shape[0],
    }
    return Plan(f"pcb_p{parts}", "pcb", options, renames, {"classifier.*": CLASSIFIER})


FAMILY = Family(
    name="torchreid",
    project="deep-person-reid (torchreid)",
    code="MIT",
    data="unknown for this file; the project's own saw Market-1501, DukeMTMC-reID, MSMT17 or CUHK03, all for research "
    "only, or ImageNet-1k",
    archs=ARCHS,
    recognizes=recognizes,
    plan=plan,
)
