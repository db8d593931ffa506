"""Open-reid's third curve, which SynergyReID's toolkit prints too: every right answer has its vote.

A query with n right answers at ranks r_1 < ... < r_n casts 1/n of a vote at r_k - (k - 1) for each of them: its rank
if those before it were taken away.  CMC(k) is the share of votes cast at k or better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resight.evaluation.ranking import standing
from resight.evaluation.scores import Groups

if TYPE_CHECKING:
    from resight.evaluation.case import Case
    from resight.evaluation.labels import FloatArray


def all_shots(case: Case) -> FloatArray:
    """CMC (R,) of all shots, mean over the queries with a match.  Equal distances stand in gallery order."""
    labels, places = case.labels, standing(case.source, case.labels)
    groups = Groups.of(places, len(labels.q_pids))
    seat = places.closer + places.earlier + 1 - groups.number  # from 1
    within = seat <= labels.protocol.max_rank
    votes = 1 / groups.total[places.query]
    cast = np.bincount(seat[within] - 1, votes[within], minlength=labels.protocol.max_rank)
    return np.asarray(np.cumsum(cast) / np.count_nonzero(groups.total))
