"""Cross-batch memory: anchors of this batch against descriptors of earlier ones.  Wang et al., CVPR 2020 (XBM).

Descriptors drift slowly once training has settled, so those of the last batches still say where other identities
lie.  They cost memory for numbers, not for pictures: the hardest negative of thousands at the price of a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from resight.dist import gather_labels
from resight.errors import UsageError
from resight.losses.base import Clocked, Loss, MetricLoss, Past
from resight.precision import lift

UNKNOWN = -1  # the index of a picture that came without


class CrossBatchMemory(Loss):
    """Any metric loss, its anchors also compared with the last `size` descriptors of earlier batches.

    P(a) and N(a) are then sets of rows of the gathered batch and of the memory; the mean is over the batch's
    anchors as before.  Remembered rows carry no gradient, are never anchors, and never meet a later copy of the same
    picture (by the pictures' index, where it is given).  With an empty memory it is the plain loss.

    loss    what is computed; its options stay its own
    size    descriptors kept, oldest forgotten first; some batches' worth up to the training set
    start   step from which on descriptors are kept and used: early ones drift too fast to be of use

    In training each call stores its gathered batch, so all ranks store the same; in evaluation the memory
    stays as it is.  `lifted` and `quadruplet` also compare the references among themselves, (B + size)^2 distances.

    Shapes: features (B, dim), pids (B,), index (B,) or None -> ().
    """

    features: Tensor  # (size, dim)
    pids: Tensor  # (size,)
    index: Tensor  # (size,)

    def __init__(self, loss: MetricLoss, size: int, dim: int, start: int = 0) -> None:
        super().__init__()
        if size < 1 or start < 0:
            raise UsageError(f"memory size is {size} and start {start}; at least 1 descriptor, from step 0 or later.")
        self.loss, self.size, self.start = loss, size, start
        self.register_buffer("features", torch.zeros(size, dim))
        self.register_buffer("pids", torch.zeros(size, dtype=torch.long))
        self.register_buffer("index", torch.full((size,), UNKNOWN))
        self.place, self.filled = 0, 0  # where the next row goes, how many there are
        self.set_clock(0, 0.0)

    def set_clock(self, step: int, epoch: float) -> None:
        """Enable the memory after the warm-up; pass the clock on to the wrapped loss."""
        self._begun = step >= self.start
        if isinstance(self.loss, Clocked):
            self.loss.set_clock(step, epoch)

    def forward(self, features: Tensor, pids: Tensor, index: Tensor | None = None) -> Tensor:
        value: Tensor = self.loss(features, pids, index, self.past)
        if self.training and self._begun:
            self.remember(features, pids, index)
        return value

    @property
    def past(self) -> Past | None:
        """Rows in the memory, None while it is empty."""
        if not self.filled:
            return None
        return Past(self.features[: self.filled], self.pids[: self.filled], self.index[: self.filled])

    @torch.no_grad()
    def remember(self, features: Tensor, pids: Tensor, index: Tensor | None = None) -> None:
        """Replace the oldest rows by those of all ranks."""
        index = torch.full_like(pids, UNKNOWN) if index is None else index
        columns = [gather_labels(each)[-self.size :] for each in (lift(features), pids, index)]
        rows = len(columns[0])
        where = (torch.arange(rows, device=pids.device) + self.place) % self.size
        for kept, new in zip((self.features, self.pids, self.index), columns, strict=True):
            kept[where] = new.to(kept.dtype)
        self.place, self.filled = (self.place + rows) % self.size, min(self.filled + rows, self.size)

    def get_extra_state(self) -> dict[str, int]:
        return {"place": self.place, "filled": self.filled}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.place, self.filled = state["place"], state["filled"]
