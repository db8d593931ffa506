"""Focal losses: classification that weights well-classified rows down.  After Lin et al., ICCV 2017.

Mancs asks for a sigmoid per identity.  Counting the true identity's alone has a trivial minimum (raise every
logit), so all identities are classified, one against the rest; its authors' released code uses a softmax instead.
Both are here.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from resight.dist import mean_over_ranks
from resight.errors import UsageError
from resight.losses.base import Loss, Takes
from resight.precision import full_precision, lift


def known_gamma(gamma: float) -> float:
    """Raises UsageError between 0 and 1, where the slope of (1 - p)^gamma is infinite once an answer is certain."""
    if gamma < 0 or 0 < gamma < 1:
        raise UsageError(f"gamma is {gamma}; it is 0, or at least 1.")
    return gamma


class SigmoidFocal(Loss):
    """One identity against the rest, focal.  Mancs, Wang et al., ECCV 2018.

    mean_i sum_c -(1 - p_ic)^gamma log p_ic,   p_ic = sigmoid(z_ic) if c = y_i else 1 - sigmoid(z_ic)

    gamma = 0 is binary cross-entropy.  alpha weighs the true identity, 1 - alpha the others (None: both 1).
    With C identities and zero logits the sum starts at C log(2) / 4 for gamma = 2: give the classifier's bias
    -log((1 - q) / q) with q = 0.01.  Rows with a negative label are left out.

    Shapes: logits (B, C), pids (B,) -> ().
    """

    takes: ClassVar[Takes] = "logits"

    def __init__(self, gamma: float = 2.0, alpha: float | None = None) -> None:
        super().__init__()
        self.gamma, self.alpha = known_gamma(gamma), alpha

    def forward(self, logits: Tensor, pids: Tensor) -> Tensor:
        with full_precision(logits):
            logits = lift(logits)
            truth = F.one_hot(pids.clamp_min(0), logits.shape[1]).to(logits.dtype)
            signed = logits * (2 * truth - 1)  # p of the right answer is sigmoid of this
            values = -F.logsigmoid(signed) * F.sigmoid(-signed) ** self.gamma
            if self.alpha is not None:
                values = values * (self.alpha * truth + (1 - self.alpha) * (1 - truth))
            return mean_over_ranks(values.sum(dim=1), pids >= 0)


class AttentionLoss(SigmoidFocal):
    """The attention branch of Mancs: binary cross-entropy over all identities, summed.  Wang et al. 2018.

    mean_i sum_c -[ y_ic log q_ic + (1 - y_ic) log(1 - q_ic) ],   q = sigmoid(z)

    The authors' released code uses softmax instead: that is `cross_entropy`.
    """

    def __init__(self) -> None:
        super().__init__(gamma=0.0)


class SoftmaxFocal(Loss):
    """Softmax focal loss of the true identity.  mean_i -(1 - q_i)^gamma log q_i,  q = softmax(z)[y].

    detach: the factor carries no gradient, as in the code released with Mancs.  alpha multiplies the loss.
    gamma = 0 is cross-entropy.  Rows with a negative label are left out.

    Shapes: logits (B, C), pids (B,) -> ().
    """

    takes: ClassVar[Takes] = "logits"

    def __init__(self, gamma: float = 2.0, alpha: float = 1.0, detach: bool = False) -> None:
        super().__init__()
        self.gamma, self.alpha, self.detach = gamma if detach else known_gamma(gamma), alpha, detach

    def forward(self, logits: Tensor, pids: Tensor) -> Tensor:
        with full_precision(logits):
            surprise = F.cross_entropy(lift(logits), pids.clamp_min(0), reduction="none")
            doubt = -(-surprise).expm1()  # 1 - q
            if self.detach:
                doubt = doubt.detach()
            return mean_over_ranks(self.alpha * doubt**self.gamma * surprise, pids >= 0)
