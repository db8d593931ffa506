"""Running statistics of batch normalisation taken anew from unlabelled pictures.

The cheapest adaptation there is: no weight changes, only what the network takes for an ordinary brightness and
contrast of its features.  Li et al., "Revisiting batch normalization for practical domain adaptation", ICLRW 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from resight.data.transfer import to_device
from resight.models.sync_batch_norm import batch_norms

if TYPE_CHECKING:
    from resight.data import Pixels
    from resight.models import ReIDModel

BATCH = 128  # pictures whose statistics are averaged with those of the other batches


@torch.no_grad()
def retake_statistics(model: ReIDModel, pixels: Pixels, device: torch.device, *, seed: int = 0) -> None:
    """Replace the means and variances of every batch normalisation by those of `pixels`, in place.

    Pictures are taken in a drawn order, so that a batch shows many cameras; a last batch of one is passed over.
    """
    norms = list(batch_norms(model))
    was_training, momenta = model.training, [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    model.to(device).train()
    order = np.random.default_rng(seed).permutation(len(pixels)).astype(np.int64)
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        if len(rows) > 1:
            model(to_device(pixels.take(rows), device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(was_training)
