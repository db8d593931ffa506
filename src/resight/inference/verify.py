"""Pictures two by two: what a model itself says about each pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from resight.data.loading.decode import decode
from resight.inference.extractor import chunks, resolve_device
from resight.models import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from resight.models import ReIDModel


def verify_pictures(
    model: ReIDModel, pairs: Sequence[tuple[Path, Path]], device: str = "auto", batch: int = 64
) -> Verdict:
    """One row a pair, on the CPU.  Raises ImageError naming the first picture that cannot be read."""
    where = resolve_device(device)
    model = model.to(where).eval()
    found = []
    for rows in chunks(len(pairs), batch):
        block = [pairs[row] for row in rows]
        one, two = (_read([pair[side] for pair in block], model).to(where) for side in (0, 1))
        with torch.inference_mode():
            found.append(model.verify(one, two))
    chances = [each.probability for each in found if each.probability is not None]
    similarity = torch.cat([each.similarity for each in found]).float().cpu()
    return Verdict(similarity, torch.cat(chances).float().cpu() if chances else None)


def _read(paths: Sequence[Path], model: ReIDModel) -> Tensor:
    """(B, 3, H, W) uint8 at the model's input size; a picture named twice is read once."""
    pixels = {path: torch.from_numpy(decode(path, model.input_size)).permute(2, 0, 1) for path in dict.fromkeys(paths)}
    return torch.stack([pixels[path] for path in paths])
