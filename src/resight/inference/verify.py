"""Verification of pairs of pictures by a model itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from resight.data.loading.ahead import decode_ahead
from resight.errors import ImageError
from resight.inference.device import evaluating, resolve_device
from resight.models import PairScores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.data.loading.picture import Picture
    from resight.models import ReIDModel
    from resight.models.exported import ExportedModel


def verify_pictures(
    model: ReIDModel | ExportedModel,
    pairs: Sequence[tuple[Picture, Picture]],
    device: str = "auto",
    batch_size: int = 64,
) -> PairScores:
    """One row a pair, on the CPU.  Raises ImageError naming the first picture that cannot be read."""
    where = resolve_device(device)
    if isinstance(model, nn.Module):
        model.to(where)
    pictures = [picture for pair in pairs for picture in pair]  # a0, b0, a1, b1, ...
    blocks = [
        range(start, min(start + 2 * batch_size, len(pictures))) for start in range(0, len(pictures), 2 * batch_size)
    ]
    found = []
    for _, pixels, lost in decode_ahead(pictures, model.input_size, blocks, interpolation=model.interpolation):
        if lost:
            raise ImageError(lost[0].reason)
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(where)
        with evaluating(model), torch.inference_mode():
            found.append(model.verify(images[0::2], images[1::2]))
    chances = [each.probability for each in found if each.probability is not None]
    similarity = torch.cat([each.similarity for each in found]).float().cpu()
    return PairScores(similarity, torch.cat(chances).float().cpu() if chances else None)
