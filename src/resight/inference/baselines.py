"""Untrained baselines: raw pixels and color histograms, the scores any trained model has to beat."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from resight.types import Metric

if TYPE_CHECKING:
    from resight.data import Dataset
    from resight.inference.result import Result

SMALL = 2_000  # pictures
DOUBTFUL = 0.3  # mAP


class RawPixels:
    """The picture itself, 32 pixels high and 16 wide.  docs/methods/baselines.md"""

    name: ClassVar[str] = "raw_pixels"
    input_size: tuple[int, int] = (32, 16)
    embedding_dim: int = 3 * 32 * 16
    metric: Metric = "cosine"

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, 32, 16) -> (B, 1536)."""
        return _unit_range(images).flatten(1)

    def fingerprint(self) -> str:
        return f"{self.name}-{self.input_size[0]}x{self.input_size[1]}"


class StripeHistogram:
    """Colors counted in three horizontal stripes, head, torso and legs: 8 x 8 x 8 RGB bins each, square roots."""

    name: ClassVar[str] = "stripe_histogram"
    input_size: tuple[int, int] = (96, 48)
    embedding_dim: int = 3 * 512
    metric: Metric = "cosine"
    stripes: ClassVar[int] = 3
    bins: ClassVar[int] = 8

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, 96, 48) -> (B, 1536)."""
        level = (_unit_range(images) * self.bins).long().clamp_(0, self.bins - 1)
        bin_of = (level[:, 0] * self.bins + level[:, 1]) * self.bins + level[:, 2]  # (B, H, W)
        stripes = bin_of.reshape(len(images), self.stripes, -1)  # (B, 3, n): rows are contiguous
        counts = torch.zeros(*stripes.shape[:2], self.bins**3, device=images.device)
        counts.scatter_add_(2, stripes, torch.ones_like(stripes, dtype=counts.dtype))
        return nn.functional.normalize(counts, p=1, dim=2).sqrt().flatten(1)

    def fingerprint(self) -> str:
        return f"{self.name}-{self.input_size[0]}x{self.input_size[1]}"


def with_raw_pixels(result: Result, dataset: Dataset) -> Result:
    """The result with the scores of raw pixels in its context, and a finding where the model is no better.

    Looked at where it is cheap or in doubt: on up to `SMALL` pictures, or where mAP is below `DOUBTFUL`.
    """
    from resight.inference.evaluate import evaluate

    count = len(dataset.query) + len(dataset.gallery)
    own = result.report
    if result.context.get("model") == RawPixels.name or (count > SMALL and own.mAP >= DOUBTFUL):
        return result
    raw = evaluate(RawPixels(), dataset, protocol=own.protocol, precision="fp32").report
    found: dict[str, Any] = {"raw_pixels": {"mAP": raw.mAP, "rank1": raw.rank(1), "mINP": raw.mINP}}
    if own.mAP <= raw.mAP and own.mAP < 1:
        sentence = (
            f"the model is no better than raw pixels on this data set: mAP {own.mAP:.1%}, raw pixels {raw.mAP:.1%}. "
            f"Was it trained, and on pictures like these?"
        )
        found["findings"] = [*result.context.get("findings", []), sentence]
    return replace(result, context=result.context | found)


def _unit_range(images: Tensor) -> Tensor:
    return images if images.is_floating_point() else images.float() / 255.0
