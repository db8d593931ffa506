"""ID losses with margins on the cosine to each class.

Feature and class weight are normalised by the model, so a logit is cos(t_ic), the quantity retrieval ranks
by. What remains is how the target's cosine is made harder before the softmax.  The margin is here and not
in the model's head because it needs the label; the head stays a plain cosine in training and evaluation
alike.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from resight.dist import mean_over_ranks
from resight.errors import UsageError
from resight.losses.classification import CrossEntropy, Spread
from resight.losses.distances import TINY
from resight.precision import full_precision, lift


class Cosine(CrossEntropy):
    """Normalised softmax (NormFace): cross-entropy of scale * cos.  Wang et al. 2017.

    Shapes: cosines (B, C) in [-1, 1], pids (B,) in 0..C-1 or negative (left out) -> ().
    """

    def __init__(self, scale: float = 16.0, label_smoothing: float = 0.0, spread: Spread = "all") -> None:
        super().__init__(label_smoothing, spread)
        if scale <= 0:
            raise UsageError(f"scale is {scale}; it is above 0.")
        self.scale = scale

    def forward(self, logits: Tensor, pids: Tensor) -> Tensor:
        with full_precision(logits):
            harder = self.harden(lift(logits), pids)
            return mean_over_ranks(self.each(harder, pids.clamp_min(0)), pids >= 0)

    def harden(self, cosines: Tensor, column: Tensor) -> Tensor:
        """Logits with the margin on each row's target column; a negative column has no target here."""
        target = column.clamp_min(0)[:, None]
        cosine = cosines.gather(1, target)
        aim = torch.where((column >= 0)[:, None], self.target(cosine), self.others(cosine))
        return self.others(cosines).scatter(1, target, aim)

    def target(self, cosine: Tensor) -> Tensor:
        """The logit of the right class."""
        return self.scale * cosine

    def others(self, cosine: Tensor) -> Tensor:
        """The logit of a wrong class."""
        return self.scale * cosine


class _Margin(Cosine):
    """Base of the losses with a margin of cosines."""

    def __init__(
        self, margin: float = 0.35, scale: float = 64.0, label_smoothing: float = 0.0, spread: Spread = "all"
    ) -> None:
        super().__init__(scale, label_smoothing, spread)
        self.margin = margin


class CosFace(_Margin):
    """CosFace, AM-softmax: target logit scale (cos t - margin).  Wang et al., CVPR 2018."""

    def target(self, cosine: Tensor) -> Tensor:
        return self.scale * (cosine - self.margin)


class ArcFace(_Margin):
    """ArcFace: target logit scale cos(t + margin), margin in radians.  Deng et al., CVPR 2019.

    Past t + margin = pi the cosine would rise again and reward the worst; there cos t - margin sin(margin)
    takes over, which keeps falling.
    """

    def __init__(
        self, margin: float = 0.5, scale: float = 64.0, label_smoothing: float = 0.0, spread: Spread = "all"
    ) -> None:
        super().__init__(margin, scale, label_smoothing, spread)
        if not 0 <= margin < math.pi:
            raise UsageError(f"margin is {margin}; it is an angle in radians, from 0 to below pi.")

    def target(self, cosine: Tensor) -> Tensor:
        height = 1 - cosine.square()
        sine = height.clamp_min(TINY).sqrt().masked_fill(height <= TINY, 0)  # acos has an infinite slope at 1
        turned = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        guarded = cosine - self.margin * math.sin(self.margin)
        return self.scale * torch.where(cosine > -math.cos(self.margin), turned, guarded)


class Circle(_Margin):
    """Circle loss, class level.  Sun et al., CVPR 2020, with the constants fast-reid's SBS made usual.

    target  scale [1 + m - cos]_+ (cos - (1 - m)),    others  scale [cos + m]_+ (cos - m)

    The brackets carry no gradient.  Without smoothing it is the pair-wise form with one positive, the class.
    """

    def target(self, cosine: Tensor) -> Tensor:
        pace = (1 + self.margin - cosine.detach()).relu()
        return self.scale * pace * (cosine - (1 - self.margin))

    def others(self, cosine: Tensor) -> Tensor:
        pace = (cosine.detach() + self.margin).relu()
        return self.scale * pace * (cosine - self.margin)
