"""Open-set identification: detection and identification rate at a false-alarm rate.

Detection and identification rate at a false alarm rate (Liao et al., 2014).  A known query counts at rank k when a
right answer is among its first k and within the threshold; an unknown query raises a false alarm when anything is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import EvaluationError, UsageError
from resight.evaluation.ranks import ScoredBlock, count_closer, scored_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.evaluation.evaluate import EvaluationInput
    from resight.evaluation.labels import FloatArray


@dataclass(frozen=True, eq=False)
class OpenSet:
    """One entry a requested false alarm rate."""

    far: FloatArray  # requested
    reached: FloatArray  # of the threshold: at most the requested one
    threshold: FloatArray  # an answer must be strictly closer than this, in the metric's units
    dir: FloatArray  # (rates, ranks) detection and identification rate
    ranks: tuple[int, ...]
    known: int  # queries with a match in the gallery
    unknown: int  # queries without


def open_set(
    inputs: EvaluationInput, far: Sequence[float] = (0.01, 0.1, 0.2), ranks: Sequence[int] = (1, 5, 10)
) -> OpenSet:
    """Detection and identification rate at false-alarm rates, with the queries without a match as unknown.

    Args:
        inputs: distances and labels; some queries must have a match, and some none.
        far: false-alarm rates, in [0, 1]; thresholds are quantiles of the unknown queries' nearest distances.
        ranks: k of DIR(k), from 1.

    Raises:
        EvaluationError: all queries have a match, or none has.
    """
    if not far or not all(0 <= rate <= 1 for rate in far) or not ranks or min(ranks) < 1:
        raise UsageError(f"far={tuple(far)}, ranks={tuple(ranks)}: rates lie in [0, 1], ranks count from 1.")
    first_rank, first_distance, stranger = _answers(inputs)
    known = np.isfinite(first_rank)
    alarms = np.sort(stranger[~known])
    if not len(alarms) or not known.any():
        raise EvaluationError(
            f"open-set scores need queries with and without a match; here {known.sum()} have one and "
            f"{len(alarms)} have none. Take some people out of the gallery."
        )
    allowed = np.floor(np.asarray(far) * len(alarms) * (1 + 1e-12)).astype(np.int64)
    threshold = np.append(alarms, np.inf)[allowed]
    within = first_distance[known][None, :] < threshold[:, None]  # (rates, queries)
    dir_ = np.stack([(within & (first_rank[known] <= k)).mean(axis=1) for k in ranks], axis=1)
    reached = np.searchsorted(alarms, threshold, "left") / len(alarms)
    outward = np.where(np.isfinite(threshold), inputs.source.outward(threshold), threshold)
    return OpenSet(np.asarray(far, float), reached, outward, dir_, tuple(ranks), int(known.sum()), int((~known).sum()))


def _answers(inputs: EvaluationInput) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Per query: rank and distance of the first match (inf without one), and the nearest kept item's distance."""
    rank, distance, nearest = np.full((3, inputs.source.shape[0]), np.inf)
    for block in scored_blocks(inputs.source, inputs.labels):
        nearest[block.rows] = np.where(np.isnan(block.distance), np.inf, block.distance).min(axis=1)
        _first_matches(block, rank, distance)
    return rank, distance, nearest


def _first_matches(block: ScoredBlock, rank: FloatArray, distance: FloatArray) -> None:
    places = count_closer(block)
    queries, first = np.unique(places.query, return_index=True)
    rank[queries] = places.closer[first] + places.earlier[first] + 1
    distance[queries] = places.distance[first]
