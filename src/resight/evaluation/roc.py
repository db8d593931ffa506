"""ROC over pairs: true-positive rate at a false-positive rate.

A pair is accepted when its distance is at most a threshold.  TPR is the share of same-person pairs accepted, FPR
that of different-person pairs.  Different-person pairs are far too many to keep; only the closest few can matter
for a small FPR, and those are all that is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import EvaluationError, UsageError
from resight.evaluation.ranks import scored_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.evaluation.evaluate import EvaluationInput
    from resight.evaluation.labels import FloatArray

FPRS = (1e-4, 1e-3, 1e-2)


@dataclass(frozen=True, eq=False)
class Roc:
    """One entry a requested FPR."""

    fpr: FloatArray  # requested
    reached: FloatArray  # the FPR of the threshold: at most the requested one
    tpr: FloatArray
    threshold: FloatArray  # largest accepted distance, in the metric's units; -inf where nothing may be accepted
    positives: int
    negatives: int
    curve: tuple[FloatArray, FloatArray]  # (FPR, TPR) from 0 to the largest requested FPR, for a plot


def roc(inputs: EvaluationInput, fpr: Sequence[float] = FPRS, points: int = 200) -> Roc:
    """ROC over all pairs that count, exact at every requested FPR.

    Args:
        inputs: distances and labels.
        fpr: false-positive rates, in (0, 1].
        points: of the curve.

    Returns:
        TPR and threshold at each rate, and the curve up to the largest rate.

    Raises:
        EvaluationError: there are no pairs of one person, or none of two.
    """
    if not fpr or not all(0 < rate <= 1 for rate in fpr):
        raise UsageError(f"fpr={tuple(fpr)}: rates lie in (0, 1].")
    positive, nearest, negatives = _pairs(inputs, max(fpr))
    if not len(positive) or not negatives:
        raise EvaluationError("a ROC needs pairs of one person and pairs of two; one of them is missing here.")
    rates = np.asarray(fpr, dtype=np.float64)
    threshold, reached, tpr = _operating_points(positive, nearest, negatives, rates)
    grid = np.geomspace(1 / negatives, max(fpr), points)
    _, curve_fpr, curve_tpr = _operating_points(positive, nearest, negatives, grid)
    outward = np.where(np.isfinite(threshold), inputs.source.outward(np.maximum(threshold, 0)), threshold)
    return Roc(rates, reached, tpr, outward, len(positive), negatives, (curve_fpr, curve_tpr))


def error_rates(inputs: EvaluationInput, thresholds: Sequence[float]) -> tuple[FloatArray, FloatArray]:
    """Error rates of given thresholds over all pairs that count.

    Args:
        inputs: distances and labels.
        thresholds: T distances in the metric's units; a pair is accepted at or below one.

    Returns:
        False-match and false-non-match rates, (T,) each; NaN where there are no pairs of a kind.
    """
    bounds = np.asarray(thresholds, dtype=np.float64)
    pairs, accepted = np.zeros(2, dtype=np.int64), np.zeros((2, len(bounds)), dtype=np.int64)  # different, same
    for block in scored_blocks(inputs.source, inputs.labels):
        same = block.distance[block.row, block.col]
        block.distance[block.row, block.col] = np.nan
        for kind, distance in enumerate((block.distance[block.distance == block.distance], same)):
            outward = inputs.source.outward(distance.astype(np.float64))
            pairs[kind] += len(outward)
            accepted[kind] += [np.count_nonzero(outward <= bound) for bound in bounds]
    with np.errstate(invalid="ignore"):
        shares = accepted / pairs[:, None]
    return shares[0], 1 - shares[1]


def _operating_points(
    positive: FloatArray, nearest: FloatArray, negatives: int, rates: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(threshold, FPR, TPR): the threshold is the largest distance of any pair that keeps FPR within each rate."""
    allowed = np.floor(rates * negatives * (1 + 1e-12)).astype(np.int64)
    beyond = np.append(nearest, np.inf)[np.minimum(allowed, len(nearest))]  # the first that may not be accepted
    inside = np.searchsorted(nearest, beyond, "left")
    accepted = np.searchsorted(positive, beyond, "left")
    last_negative = np.append(-np.inf, nearest)[inside]
    last_positive = np.append(-np.inf, positive)[accepted]
    return np.maximum(last_negative, last_positive), inside / negatives, accepted / len(positive)


def _pairs(inputs: EvaluationInput, rate: float) -> tuple[FloatArray, FloatArray, int]:
    """Distances of all matches, the closest wrong pairs (all that `rate` can accept, and one more), their number."""
    positive: list[FloatArray] = []
    near: list[FloatArray] = []
    held, total, bound = 0, 0, np.inf
    limit = int(rate * inputs.source.shape[0] * inputs.source.shape[1]) + 2  # an upper bound: some pairs are left out
    for block in scored_blocks(inputs.source, inputs.labels):
        positive.append(block.distance[block.row, block.col].astype(np.float64))
        block.distance[block.row, block.col] = np.nan
        total += int(np.count_nonzero(block.distance == block.distance))
        near.append(block.distance[block.distance <= bound].astype(np.float64))
        held += len(near[-1])
        if held > 2 * limit:
            kept = np.partition(np.concatenate(near), limit - 1)[:limit]
            near, held, bound = [kept], limit, kept.max()
    return np.sort(np.concatenate(positive)), np.sort(np.concatenate(near)), total
