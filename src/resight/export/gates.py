"""Bounds on the deviation of an exported file from its model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resight.models.exported import Precision


PIXELS, LEVELS = 0.01, 2  # share of a resized picture's pixels that may differ from the loader's, and by how much


@dataclass(frozen=True, kw_only=True)
class Gates:
    """Bounds for one precision.

    consistency: the least agreement of a picture's vectors in other batches and in another order.  cosine: the least
    agreement with the model before export, over all pictures; None: no gate.  mAP: the largest loss in points; None: no
    gate.
    """

    consistency: float
    cosine: float | None = None
    mAP: float | None = None  # noqa: N815 - the field's name

    def check(
        self,
        consistency: float,
        agreement: Mapping[str, float],
        loss: float,
        sizes: Mapping[str, Mapping[str, float]] | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Gate by gate, by name.

        agreement: kind of picture -> the least of any.  loss: of mAP, in points.  sizes: of pictures that are resized
        -> how their pixels differ from the loader's, see `resight.export.proof.size_agreement`.
        """
        found = {"consistency": _gate(consistency, self.consistency, consistency >= self.consistency)}
        if self.cosine is not None:
            found |= {name: _gate(value, self.cosine, value >= self.cosine) for name, value in agreement.items()}
        for size, pixels in (sizes or {}).items():
            share, levels = pixels["share of differing pixels"], pixels["largest difference of a pixel, levels of 255"]
            found[f"pixels of {size}"] = _gate(share, PIXELS, share <= PIXELS and levels <= LEVELS)
        if self.mAP is not None:
            found["loss of mAP"] = _gate(loss, self.mAP, loss <= self.mAP)
        return found


DEFAULT_GATES: dict[Precision, Gates] = {
    "fp32": Gates(consistency=0.99999, cosine=0.99999),
    "bf16": Gates(consistency=0.999, cosine=0.999, mAP=0.2),
    "int8": Gates(consistency=0.999, mAP=1.0),
}


def _gate(value: float, bound: float, passed: bool) -> dict[str, Any]:
    """What is no number does not pass: comparisons with it are false."""
    return {"value": value if math.isfinite(value) else None, "bound": bound, "passed": bool(passed)}
