"""Trunks: our ResNets, and any network of timm by its name.

A method asks for a map, `backbone(x)`, or walks the stages itself, `for stage in backbone.stages()`, to put
something between them.  Stages are counted as in the papers: conv2..conv5 are the last four, whose maps are
4, 8, 16, 32 times smaller than the picture.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from resight.errors import UnknownNameError, UsageError
from resight.models.backbones.base import Stage, Trunk, foreign, offline, timm_normalization
from resight.models.backbones.packaged import packaged_weights
from resight.models.backbones.pretrained import load_weights_file
from resight.models.backbones.resnet import FAMILY, ResNet
from resight.models.backbones.vit import ClassToken, ViTOptions
from resight.options import Count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, kw_only=True)
class BackboneOptions:
    """Which trunk, and where its weights come from.

    None means the method's own value where the trunk is one of ours; a timm network then keeps its own form.
    """

    name: str = "resnet50"  # resnet10, 18, 34, 50, 101, or any network of timm (timm/resnet50 for timm's own)
    pretrained: bool | str = False  # ImageNet weights, fetched by torchvision or timm; or those of a package, by name
    weights: str | None = None  # a .pth or .safetensors file instead
    partial: bool = False  # accept a file that leaves some tensors as initialised
    last_stride: Literal[1, 2] | None = None  # 1 keeps the resolution of the last stage, also of a timm network
    ibn: bool | None = None  # IBN-a
    ceil_pool: bool | None = None  # the stem pools without padding and rounds up: Caffe's networks, fast-reid's
    stem_relu: bool = True  # False: no activation after the stem's normalization, as in reid-strong-baseline
    width: Count = 64  # channels of the stem
    class_token: bool = False  # of a vision transformer: the class token instead of the patches


class TimmTrunk(Trunk):
    """Any network of timm.  Stages where timm itself walks it as a chain, a plain map elsewhere (ViT)."""

    def __init__(self, name: str, input_size: tuple[int, int], pretrained: bool) -> None:
        super().__init__()
        self.name = name
        self.body, self.chained, sized = create_timm(name, input_size, pretrained)
        self.fixed_size = input_size if sized else None
        info = self.body.feature_info
        coarse = [i for i, reduction in enumerate(info.reduction()) if reduction >= 4]
        names = info.module_name()  # with an index timm counts the stages it leaves out, too
        self.cuts = [names[i].replace(".", "_") for i in coarse]
        self.channels = tuple(info.channels()[i] for i in coarse)
        self.stride = info.reduction()[-1]
        self.last_axis = str(getattr(self.body, "output_fmt", "NCHW")).endswith("NHWC")
        self.mean, self.std = timm_normalization(name)

    def keep_last_resolution(self) -> None:
        """The last stage works at the size of the map before it: `last_stride` = 1.

        Raises UsageError where it shrinks by more than convolutions of odd size.
        """
        layers = list(self.body.values())[slice(*self.spans()[-1])] if self.chained else []
        leaves = [module for layer in layers for module in layer.modules() if not any(module.children())]
        shrinking = [leaf for leaf in leaves if getattr(leaf, "stride", 1) not in (1, (1, 1))]
        if not shrinking or not all(isinstance(leaf, nn.Conv2d) and min(leaf.kernel_size) % 2 for leaf in shrinking):
            raise UsageError(
                f"backbone.last_stride = 1: the last stage of {self.name} does not shrink by convolutions of odd size "
                f"alone, so it keeps its form. Leave last_stride out, or take a network such as resnet18."
            )
        for leaf in shrinking:
            leaf.stride = (1, 1)
        self.stride = self.body.feature_info.reduction()[-2]

    def stages(self) -> list[Stage]:
        layers = list(self.body.values())
        return [
            partial(run, layers[start:end], last_axis=self.last_axis, first=start == 0) for start, end in self.spans()
        ]

    def stage_modules(self) -> list[nn.Module]:
        layers = list(self.body.values())
        return [TimmStage(layers[start:end], self.last_axis, start == 0) for start, end in self.spans()]

    def spans(self) -> list[tuple[int, int]]:
        """From which layer to which each stage runs."""
        if not self.chained:
            raise UsageError(
                f"{self.name} is not a chain of stages, so nothing can be put between them. "
                f"Choose a backbone with stages, such as resnet18 or convnext_tiny."
            )
        names = list(self.body.keys())
        ends = [names.index(cut) + 1 for cut in self.cuts]
        return list(zip([0, *ends[:-1]], ends, strict=True))

    def inner(self) -> nn.Module:
        """The module whose tensors bear the names of timm's own files, or nearly so: see `respell`."""
        inner: nn.Module = self.body if self.chained else getattr(self.body, "model", self.body)
        return inner

    def respell(self, name: str) -> str:
        """A chain has its stages side by side: `stages.0.norm` of a file is `stages_0.norm` here."""
        first, _, rest = name.partition(".")
        second, _, tail = rest.partition(".")
        return f"{first}_{second}.{tail}" if f"{first}_{second}" in self.body else name

    def fill(self, state: Mapping[str, Tensor]) -> None:
        """Take its tensors from a whole network of timm, whose head it has not."""
        renamed = {self.respell(name): tensor for name, tensor in state.items()}
        inner = self.inner()
        inner.load_state_dict({name: renamed[name] for name in inner.state_dict()})

    def forward(self, x: Tensor) -> Tensor:
        if self.chained:
            return super().forward(x)
        final: Tensor = self.body(x)[-1]
        return final


class TimmStage(nn.Module):
    """One stage of a timm network on its own."""

    def __init__(self, layers: list[nn.Module], last_axis: bool, first: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.last_axis, self.first = last_axis, first

    def forward(self, x: Tensor) -> Tensor:
        return run(self.layers, x, self.last_axis, self.first)


def run(layers: Iterable[nn.Module], x: Tensor, last_axis: bool, first: bool) -> Tensor:
    """A map through layers, (B, C, h, w) on both ends also where the network keeps its channels last."""
    if last_axis and not first:
        x = x.permute(0, 2, 3, 1)
    for layer in layers:
        x = layer(x)
    return x.permute(0, 3, 1, 2) if last_axis else x


def build_backbone(
    options: BackboneOptions,
    input_size: tuple[int, int],
    *,
    last_stride: int = 2,
    ibn: bool = False,
    ceil_pool: bool = False,
) -> Trunk:
    """The trunk that `options` name; the keywords are what the method asks for where the options are silent.

    Under the meta device nothing is fetched or read.  Raises UnknownNameError, UsageError, CheckpointError.
    """
    read = torch.get_default_device().type != "meta"
    wanted = read and options.weights is None  # a file takes the place of what would be fetched
    package = options.pretrained if wanted and isinstance(options.pretrained, str) else None
    packaged = packaged_weights(package, options.name) if package is not None else None
    fetched = wanted and options.pretrained is True
    if options.name not in FAMILY:
        refuse_foreign_edits(options)
        if options.class_token:
            vit = ViTOptions(name=options.name, pretrained=fetched, weights=options.weights, partial=options.partial)
            return ClassToken(vit, input_size)
        theirs = TimmTrunk(options.name.removeprefix("timm/"), input_size, fetched)
        if options.last_stride == 1:
            theirs.keep_last_resolution()
        if packaged is not None:
            theirs.fill(packaged)
        if options.weights is not None and read:
            load_weights_file(theirs.inner(), Path(options.weights), options.partial, theirs.respell)
        return theirs
    last_stride = last_stride if options.last_stride is None else options.last_stride
    ibn = ibn if options.ibn is None else options.ibn
    ceil_pool = ceil_pool if options.ceil_pool is None else options.ceil_pool
    if options.class_token:
        raise UsageError(f"backbone.class_token needs a vision transformer of timm; {options.name} has no such token.")
    ours = ResNet(options.name, options.width, last_stride, ibn, ceil_pool, options.stem_relu)
    if fetched:
        fetch_imagenet(ours, options.name, options.width, ibn)
    if options.weights is not None and read:
        load_weights_file(ours, Path(options.weights), options.partial)
    return ours


def refuse_foreign_edits(options: BackboneOptions) -> None:
    default = BackboneOptions()
    if options.last_stride == 2 or (options.last_stride and options.class_token):
        raise UsageError(
            f"backbone.last_stride = {options.last_stride}: {options.name} comes from timm and keeps its form, but "
            f"for 1 where it has stages. Leave last_stride out."
        )
    edits = ("ibn", "ceil_pool", "stem_relu", "width")
    asked = [edit for edit in edits if getattr(options, edit) != getattr(default, edit)]
    if asked:
        raise UsageError(
            f"backbone.{asked[0]} is an option of our own networks ({', '.join(FAMILY)}); "
            f"{options.name} comes from timm and keeps its form."
        )


def fetch_imagenet(trunk: ResNet, name: str, width: int, ibn: bool) -> None:
    """torchvision's first ImageNet weights, those the papers start from, into one of our ResNets."""
    from torchvision.models import get_model_weights

    if name == "resnet10" or width != 64 or ibn:
        raise UsageError(
            f"torchvision has no ImageNet weights for {name} with width {width} and ibn {ibn}. Set "
            f"backbone.pretrained = false, change the backbone, or name a file with backbone.weights."
        )
    try:
        state: dict[str, Any] = get_model_weights(name)["IMAGENET1K_V1"].get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise offline(name, error) from error
    trunk.load_state_dict({k: v for k, v in state.items() if not k.startswith("fc.")})


def create_timm(name: str, input_size: tuple[int, int], pretrained: bool) -> tuple[Any, bool, bool]:
    """timm's feature extractor; whether it is a chain of stages; whether it is bound to one picture size."""
    import timm
    from timm.models._features import FeatureGetterNet, FeatureListNet

    # Only names timm itself registers: its hub and folder schemes would bring a stranger's configuration.
    if "/" in name or ":" in name or not timm.is_model(name.split(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), n=5)
        raise UnknownNameError("backbone", name, [*FAMILY, *near])
    config = timm.get_pretrained_cfg(name)
    sized = config is not None and config.fixed_input_size
    size: dict[str, Any] = {"img_size": input_size} if sized else {}

    def create(**form: Any) -> Any:
        return timm.create_model(name, pretrained=pretrained, **size, **form)

    try:
        body = create(features_only=True)
        if isinstance(body, FeatureGetterNet):  # the last norm belongs to the descriptor
            body = FeatureGetterNet(create(num_classes=0), out_indices=1, norm=True)
        elif type(body).__name__ in (
            "EfficientNetFeatures",
            "MobileNetV3Features",
        ):  # a chain, if asked for one
            body = create(features_only=True, feature_cfg={"flatten_sequential": True})
    except (OSError, RuntimeError, TypeError, AttributeError, AssertionError) as error:
        raise (offline(name, error) if pretrained else foreign(name, error)) from error
    return body, isinstance(body, FeatureListNet), sized
