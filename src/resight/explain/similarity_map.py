"""Which parts of a picture a similarity comes from.

The descriptor f of the picture is compared with a target t by the cosine s = <f, t> / (|f| |t|).  With both
lengths held fixed, s is followed back to the last map F of the trunk:

    contribution(y, x) = sum_c F[c, y, x] * ds / dF[c, y, x]

For a descriptor that is linear in F (average pooling) the contributions add up to s; with generalised mean or
maximum pooling too.  What shifts and biases add has no place in the picture: `placed` says how much has.

A model whose trunk is not one function of the picture is asked by covering instead (Zeiler & Fergus 2014): how
far s falls when a grey patch hides a place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from resight.models import ReIDModel

GRAY = 124  # of a patch that hides
ROWS, COLUMNS = 16, 8  # of the grid of such patches


@dataclass(frozen=True)
class Support:
    """map (h, w): what each place adds to `similarity`, the cosine.  placed: the map's sum; None after covering."""

    map: NDArray[np.float32]
    similarity: float
    placed: float | None
    method: str


def support(model: ReIDModel, image: Tensor, target: Tensor) -> Support:
    """Where `image` is like `target`, both (1, 3, H, W) at the model's input size.  The model is in evaluation."""
    with torch.no_grad():
        towards = F.normalize(model.embed(target).float())  # (1, D)
    return _traced(model, image, towards) or covered(model, image, towards)


def _traced(model: ReIDModel, image: Tensor, towards: Tensor) -> Support | None:
    """By gradient to the trunk's last map; None where there is no such map."""
    trunk = getattr(model, "backbone", None)
    if not isinstance(trunk, nn.Module):
        return None
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _given: Any, gives: Any) -> Any:
        if isinstance(gives, torch.Tensor) and gives.ndim == 4:
            seen.append(gives.detach().requires_grad_())
            return seen[-1]
        return gives

    handle = trunk.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            vector = model.embed(image).float()
            if len(seen) != 1:
                return None
            similarity = (vector * towards).sum() / vector.detach().norm()
            (gradient,) = torch.autograd.grad(similarity, seen[0])
    finally:
        handle.remove()
    contribution = (seen[0] * gradient).sum(dim=1)[0].detach().cpu().numpy().astype(np.float32)
    return Support(contribution, float(similarity.detach()), float(contribution.sum()), "traced")


def covered(model: ReIDModel, image: Tensor, towards: Tensor) -> Support:
    """The fall of the cosine when a patch of two cells by two hides each cell of a grid in turn."""
    height, width = image.shape[2:]
    hidden = image.expand(ROWS * COLUMNS, -1, -1, -1).clone()
    for cell in range(ROWS * COLUMNS):
        y, x = divmod(cell, COLUMNS)
        top, left = round((y - 0.5) * height / ROWS), round((x - 0.5) * width / COLUMNS)
        bottom, right = round((y + 1.5) * height / ROWS), round((x + 1.5) * width / COLUMNS)
        hidden[cell, :, max(top, 0) : bottom, max(left, 0) : right] = GRAY
    with torch.no_grad():
        whole = float(F.normalize(model.embed(image).float()) @ towards[0])
        blocks = (hidden[start : start + 32] for start in range(0, len(hidden), 32))
        left_over = torch.cat([F.normalize(model.embed(block).float()) @ towards[0] for block in blocks])
    fall = (whole - left_over).reshape(ROWS, COLUMNS).cpu().numpy().astype(np.float32)
    return Support(fall, whole, None, "by covering")
