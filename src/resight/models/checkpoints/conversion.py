"""Conversion of another project's tensors: a plan maps every tensor, `apply` checks and loads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from torch import Tensor

from resight.errors import CheckpointError, UnknownNameError
from resight.models.backbones.pretrained import listing
from resight.models.registry import build

if TYPE_CHECKING:
    from resight.models.base import ReIDModel

Tensors = Mapping[str, Tensor]
Rename = tuple[str, str | Callable[[re.Match[str]], str]]  # a regular expression and what takes its place

CLASSIFIER = "it scores the training identities, and takes no part in the descriptor"
COUNTER = "it counts batches, and takes no part in the descriptor"


@dataclass(frozen=True)
class Plan:
    """How the tensors of one network become a model of ours."""

    arch: str  # the project's own name
    model: str  # ours
    options: Mapping[str, Any] = field(default_factory=dict)
    renames: Sequence[Rename] = ()  # in order, on the file's names
    drops: Mapping[str, str] = field(default_factory=dict)  # pattern of names -> why they take no part
    given: Tensors = field(default_factory=dict)  # tensors of ours that the project writes into its code instead
    changes: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)  # pattern of the file's names

    def rename(self, name: str) -> str:
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name

    def reason(self, name: str) -> str | None:
        """Why a tensor of the file is left out, None where it is used."""
        return next((why for pattern, why in self.drops.items() if fnmatchcase(name, pattern)), None)

    def change(self, name: str, tensor: Tensor) -> Tensor:
        for pattern, change in self.changes.items():
            if fnmatchcase(name, pattern):
                tensor = change(tensor)
        return tensor


@dataclass(frozen=True)
class Family:
    """One project: how its files are detected, read and licensed.

    code: licence of the code.  data: what is known of the data the published weights saw, and their terms.
    plan(tensors, arch, options): Plan; arch is None where it has to be detected from the tensors.
    """

    name: str
    project: str
    code: str
    data: str
    archs: tuple[str, ...]
    recognizes: Callable[[Tensors], bool]
    plan: Callable[[Tensors, str | None, Mapping[str, Any]], Plan]


@dataclass(frozen=True)
class Converted:
    """A model and where it came from.  dropped: tensor of the file -> why it takes no part in the descriptor."""

    model: ReIDModel
    family: Family
    arch: str
    used: int
    dropped: Mapping[str, str]


class _File(dict[str, Tensor]):
    """The tensors of a file.  One that is asked for and not there is a CheckpointError."""

    def __missing__(self, name: str) -> Tensor:
        raise CheckpointError(f"the file has no tensor {name}, which such a network has. Is it another one, or a part?")


def unwrapped(tensors: Tensors) -> Tensors:
    """Names without what DistributedDataParallel and the like put before all of them."""
    for prefix in ("module.", "model.", "module."):
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return _File(tensors)


def apply(family: Family, tensors: Tensors, source: str, arch: str | None, options: Mapping[str, Any]) -> Converted:
    """Build the model of a plan and fill it, every tensor accounted for."""
    if arch is not None and arch.lower() not in {known.lower() for known in family.archs}:
        raise UnknownNameError(f"network of {family.name}", arch, family.archs)
    if not family.recognizes(tensors):
        raise CheckpointError(
            f"{source} holds {listing('tensors', tensors)}, not the names of a network of {family.project} that has a "
            f"home here ({', '.join(family.archs)}). Leave the family out to have it recognized, or check the file."
        )
    plan = family.plan(tensors, arch, options)
    if arch is not None and plan.arch.lower() != arch.lower():
        raise CheckpointError(f"{source} is {plan.arch} by its tensors, not {arch}. Leave the name out.")
    model = build(plan.model, 0, **merged(plan.options, options)).eval()
    filled, dropped = sorted_out(plan, tensors, model, source)
    model.load_state_dict(filled, strict=False)
    return Converted(model, family, plan.arch, len(filled), dropped)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Options over options, groups key by key."""
    out = dict(below)
    for key, value in above.items():
        inner = out.get(key)
        out[key] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return out


def sorted_out(plan: Plan, tensors: Tensors, model: ReIDModel, source: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by our names, and the dropped with their reasons.  Raises CheckpointError for any other."""
    own = model.state_dict()
    filled = dict(plan.given)
    dropped: dict[str, str] = {}
    strange: list[str] = []
    misshapen: dict[str, str] = {}  # by our names
    for name, tensor in tensors.items():
        target, why = plan.rename(name), plan.reason(name)
        if why is not None:
            dropped[name] = why
        elif target in own and (fitted := fit(plan.change(name, tensor), own[target])) is not None:
            filled[target] = fitted
        elif target in own:
            misshapen[target] = f"{name} {tuple(tensor.shape)} for {tuple(own[target].shape)}"
        elif name.endswith("num_batches_tracked"):
            dropped[name] = COUNTER
        else:
            strange.append(name)
    missing = [name for name in own if name not in filled and name not in misshapen and not computed(name)]
    refuse(plan, source, strange, misshapen.values(), missing)
    return filled, dropped


def fit(tensor: Tensor, wanted: Tensor) -> Tensor | None:
    """The tensor in the shape and type wanted; None where more than axes of length one would have to change."""
    if [n for n in tensor.shape if n != 1] != [n for n in wanted.shape if n != 1]:
        return None
    return tensor.reshape(wanted.shape).to(wanted.dtype)


def computed(name: str) -> bool:
    """What a file need not hold: counters, and what is an option here."""
    return name in ("mean", "std", "side.weight", "backbone.semantic") or name.endswith("num_batches_tracked")


def refuse(plan: Plan, source: str, strange: Iterable[str], misshapen: Iterable[str], missing: Iterable[str]) -> None:
    strange, misshapen, missing = list(strange), list(misshapen), list(missing)
    if strange or misshapen or missing:
        raise CheckpointError(
            f"{source} is not {plan.arch} as it is known here: {listing('without a place', strange)}, "
            f"{listing('of another shape', misshapen)}, {listing('missing', missing)}. A tensor that may take part in "
            f"the descriptor is never dropped. Name the network with --arch, or its options with --set."
        )


def numbered(tensors: Tensors, pattern: str) -> int:
    """One more than the largest number that `pattern`, a regular expression with one group, finds in the names."""
    found = [int(match[1]) for name in tensors if (match := re.match(pattern, name))]
    return max(found, default=-1) + 1


RESNETS = {(1, 2): "resnet18", (1, 6): "resnet34", (3, 6): "resnet50", (3, 23): "resnet101"}


def resnet_of(tensors: Tensors, prefix: str) -> dict[str, Any]:
    """Which of our ResNets lies under a prefix: `backbone` options."""
    convs = 3 if f"{prefix}layer3.0.conv3.weight" in tensors else 1
    blocks = numbered(tensors, re.escape(prefix) + r"layer3\.(\d+)\.")
    if (convs, blocks) not in RESNETS:
        raise CheckpointError(
            f"the trunk has {blocks} blocks in its third stage ({'with' if convs == 3 else 'without'} a conv3); "
            f"expected one of {', '.join(RESNETS.values())}."
        )
    if any(".se." in name or ".se_module." in name for name in tensors):
        raise CheckpointError("the trunk has squeeze-and-excitation blocks, which have no home here.")
    return {"name": RESNETS[convs, blocks], "ibn": any(".bn1.IN." in name for name in tensors)}
