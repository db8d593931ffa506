"""Circle loss on pairs inside the batch.  Sun et al., CVPR 2020 (the class-level form is in margin_softmax.py)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from resight.losses.base import MetricLoss, Part, Reduction, Relations, masked_logsumexp
from resight.losses.distances import products, unit


class PairwiseCircle(MetricLoss):
    """Circle loss, pair-wise, on cosine similarities s.  Sun et al. 2020, sec. 3.

    softplus( lse_n gamma a_n (s_n - m)  +  lse_p -gamma a_p (s_p - (1 - m)) )
    a_p = [1 + m - s_p]_+,   a_n = [s_n + m]_+   without gradient

    self_paced=False is the unified form without weights, gamma (s_n - s_p + m), a pair-wise CosFace.
    At gamma = 128 the loss starts near 100: weigh it, do not clip it.
    """

    def __init__(
        self,
        margin: float = 0.25,
        gamma: float = 128.0,
        self_paced: bool = True,
        reduction: Reduction = "mean",
        exclude_same_index: bool = False,
    ) -> None:
        super().__init__(distance="cosine", reduction=reduction, exclude_same_index=exclude_same_index)
        self.margin, self.gamma, self.self_paced = margin, gamma, self_paced

    def compare(self, features: Tensor, who: Relations) -> list[Part]:
        directions, references = unit(features), who.references(features)
        similarity = products(directions, directions if references is features else unit(references))  # (b, R)
        push, pull = self.scores(similarity)
        total = masked_logsumexp(push, who.negative) + masked_logsumexp(pull, who.positive)
        return [Part(softplus(total), who.valid)]

    def scores(self, similarity: Tensor) -> tuple[Tensor, Tensor]:
        """What a pair contributes as a negative and as a positive, (b, R) each."""
        m = self.margin
        if not self.self_paced:
            return self.gamma * (similarity + m), -self.gamma * similarity
        with torch.no_grad():
            near, far = (similarity + m).relu(), (1 + m - similarity).relu()
        return self.gamma * near * (similarity - m), -self.gamma * far * (similarity - (1 - m))
