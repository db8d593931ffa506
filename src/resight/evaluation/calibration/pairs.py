"""Labeled pairs to calibrate on: similarities of the same person and of different people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.errors import EvaluationError, UsageError
from resight.evaluation.distances import MEMORY, Features, Matrix, spans
from resight.evaluation.labels import BoolArray, FloatArray, IntArray, integers, unknown
from resight.types import UNKNOWN_CAMERA, Metric


@dataclass(frozen=True, eq=False)
class Pairs:
    """P pairs.  A different-person pair may stand for many that were not kept: `weight` says how many."""

    similarity: FloatArray  # (P,) larger is closer: cosine, or minus the Euclidean distance
    same: BoolArray  # (P,)
    pids: IntArray  # (P, 2)
    camids: IntArray  # (P, 2), the smaller first
    weight: FloatArray  # (P,)
    metric: Metric

    def __len__(self) -> int:
        return len(self.similarity)

    def part(self, keep: BoolArray) -> Pairs:
        """Some of them."""
        return Pairs(
            self.similarity[keep], self.same[keep], self.pids[keep], self.camids[keep], self.weight[keep], self.metric
        )


def labeled_pairs(
    features: Matrix,
    pids: npt.ArrayLike,
    camids: npt.ArrayLike | None = None,
    metric: Metric = "cosine",
    *,
    limit: int = 2_000_000,
    seed: int = 0,
) -> Pairs:
    """All same-person pairs of different cameras, and a sample of the different-person pairs.

    People are those with a positive identity; junk and distractors are left out.  Without cameras, or where one is
    unknown, any two pictures of a person make a pair.

    Args:
        features: (N, D).
        pids: (N,) whole numbers.
        camids: (N,) whole numbers, -1 where unknown; None: all unknown.
        metric: cosine or euclidean.
        limit: about the most different-person pairs to keep; they are drawn uniformly, and weighted so that rates stay
            unbiased.
        seed: of the draw.

    Raises:
        EvaluationError: there are no pairs of one person, or none of two.
    """
    if metric not in ("cosine", "euclidean"):
        raise UsageError(f"metric={metric!r} is not a metric; choose cosine or euclidean.")
    these, owner = Features("features", features), integers("pids", pids)
    camera = unknown(owner) if camids is None else integers("camids", camids)
    if not len(these) == len(owner) == len(camera):
        raise EvaluationError(f"{len(these)} vectors, {len(owner)} identities and {len(camera)} cameras: they differ.")
    if not (owner > 0).any():
        raise EvaluationError("no vector has a known identity, a positive number: there are no pairs to calibrate on.")
    left, right = _same_person(owner, camera)
    other_left, other_right, weight = _different(owner, limit, np.random.default_rng(seed))
    if not len(left) or not len(other_left):
        raise EvaluationError(
            "calibration needs pairs of one person (in two cameras, where cameras are known) and pairs of two."
        )
    first, second = np.concatenate((left, other_left)), np.concatenate((right, other_right))
    return Pairs(
        similarity=_similarity(these, first, second, metric),
        same=np.arange(len(first)) < len(left),
        pids=np.stack((owner[first], owner[second]), axis=1),
        camids=np.sort(np.stack((camera[first], camera[second]), axis=1), axis=1),
        weight=np.concatenate((np.ones(len(left)), np.full(len(other_left), weight))),
        metric=metric,
    )


def _same_person(owner: IntArray, camera: IntArray) -> tuple[IntArray, IntArray]:
    pairs = []
    order = np.argsort(owner, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(owner[order])) + 1):
        if owner[rows[0]] > 0:
            a, b = np.triu_indices(len(rows), 1)
            pairs.append(np.stack((rows[a], rows[b])))
    left, right = np.concatenate([*pairs, np.empty((2, 0), np.int64)], axis=1)
    apart = (camera[left] != camera[right]) | (camera[left] == UNKNOWN_CAMERA)
    return left[apart], right[apart]


def _different(owner: IntArray, limit: int, rng: np.random.Generator) -> tuple[IntArray, IntArray, float]:
    """(left, right, how many pairs each stands for)."""
    people = np.flatnonzero(owner > 0)
    total = len(people) * (len(people) - 1) // 2 - sum(
        n * (n - 1) // 2 for n in np.unique(owner[people], return_counts=True)[1].tolist()
    )
    if len(people) * (len(people) - 1) // 2 <= limit:
        a, b = np.triu_indices(len(people), 1)
    else:
        a, b = rng.integers(0, len(people), (2, int(limit * 1.1)))
    left, right = people[a], people[b]
    apart = owner[left] != owner[right]
    left, right = left[apart][:limit], right[apart][:limit]
    return left, right, total / max(len(left), 1)


def _similarity(these: Features, left: IntArray, right: IntArray, metric: Metric) -> FloatArray:
    out = np.empty(len(left))
    for part in spans(len(left), max(1, MEMORY // 8 // (4 * these.dim))):
        a, b = these.rows(left[part]), these.rows(right[part])
        if metric == "cosine":
            dots = np.einsum("nd,nd->n", a, b) * these.inverse_norms[left[part]]
            out[part] = np.clip(dots * these.inverse_norms[right[part]], -1, 1)
        else:
            out[part] = -np.linalg.norm(a - b, axis=1)
    return out
