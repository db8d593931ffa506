"""Multi-query of Market-1501: one pooled vector per person and camera.

Zheng et al., ICCV 2015, section 5.  One pooled vector a (person, camera); the gallery and the rules stay.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from resight.errors import EvaluationError, UsageError
from resight.evaluation.distances import Features, Matrix, Single
from resight.evaluation.labels import IntArray, integers
from resight.types import UNKNOWN_PID

Pool = Literal["mean", "max"]


def pool_queries(
    features: Matrix, pids: npt.ArrayLike, camids: npt.ArrayLike, how: Pool = "mean", *, normalize: bool = True
) -> tuple[Single, IntArray, IntArray]:
    """Pool the queries of each person and camera to one vector.

    Args:
        features: (N, D).
        pids: (N,) whole numbers.
        camids: (N,) whole numbers.
        how: mean or max.
        normalize: pool unit vectors, for cosine distances; off for raw features and Euclidean distances.

    Returns:
        Vectors (M, D), identities (M,), cameras (M,), ordered by identity, then camera.
    """
    if how not in ("mean", "max"):
        raise UsageError(f"how={how!r}; choose mean or max.")
    owners = np.stack([integers("pids", pids), integers("camids", camids)], axis=1)
    these = Features("features", features)
    if len(these) != len(owners):
        raise EvaluationError(f"{len(these)} vectors but {len(owners)} labels.")
    if (owners[:, 0] == UNKNOWN_PID).any():
        raise EvaluationError("some queries have no known person (-2) and cannot be pooled: leave them out.")
    groups, member = np.unique(owners, axis=0, return_inverse=True)
    order = np.argsort(member, kind="stable")
    rows = these.rows(order) * (these.inverse_norms[order, None] if normalize else np.float32(1))
    start = np.searchsorted(member[order], np.arange(len(groups)))
    reduce = np.add if how == "mean" else np.maximum
    pooled = reduce.reduceat(rows, start, axis=0)
    if how == "mean":
        pooled /= np.diff(start, append=len(order))[:, None].astype(np.float32)
    return pooled, groups[:, 0], groups[:, 1]
