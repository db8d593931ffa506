"""Checkpoints of other projects, as models of ours: one file a family, one table of them here.

converted = convert("osnet_x1_0_msmt17.pth")        # the family is recognized by the names of the tensors
converted.model, converted.dropped                  # equal descriptors; what was left out, each with its reason

Every tensor of a file is used, or dropped for a reason that its family states; any other is an error, so nothing that
takes part in the descriptor can vanish.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.errors import CheckpointError, UnknownNameError
from resight.models.backbones.pretrained import listing, read_weights
from resight.models.checkpoints import clip_reid, fastreid, solider, strong_baseline, torchreid, transreid
from resight.models.checkpoints.conversion import Converted, Family, apply, unwrapped

if TYPE_CHECKING:
    from torch import Tensor

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        torchreid.FAMILY,
        fastreid.FAMILY,
        strong_baseline.FAMILY,
        transreid.FAMILY,
        transreid.PERSONVIT,
        clip_reid.FAMILY,
        solider.FAMILY,
    )
}


def convert(path: str | Path, family: str | None = None, arch: str | None = None, **options: Any) -> Converted:
    """The model in another project's checkpoint, in evaluation mode, without classifiers.

    Args:
        path: a .pth, .pt or .safetensors file of nothing but tensors.
        family: a name of FAMILIES; None: recognized by the names of the tensors.
        arch: the project's own name of the network; None: recognized likewise.
        options: of the model, in place of what the family says, such as input_size.

    Raises:
        CheckpointError: the file cannot be read, or a tensor has no place, or one is missing.
        UnknownNameError: no such family, or no such network in it.
    """
    path = Path(path)
    tensors = unwrapped(read_weights(path))
    if family is None:
        family = recognize(tensors, str(path))
    if family not in FAMILIES:
        raise UnknownNameError("family of checkpoints", family, FAMILIES)
    return apply(FAMILIES[family], tensors, str(path), arch, options)


def recognize(tensors: Mapping[str, Tensor], source: str) -> str:
    """The family whose names these are.  Raises CheckpointError where none fits."""
    for name, family in FAMILIES.items():
        if family.recognizes(tensors):
            return name
    raise CheckpointError(
        f"{source} holds {listing('tensors', tensors)}, no description of a model, and names of no project known here: "
        f"{', '.join(FAMILIES)}. A trunk alone can be given to a new model as backbone.weights."
    )


__all__ = ["FAMILIES", "Converted", "Family", "convert", "recognize"]
