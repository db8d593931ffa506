"""Single-shot CMC of CUHK03 classic: one gallery picture a person, averaged over the draws.  Li et al., CVPR 2014.

For a query and one of its right answers g the rank is 1 plus the number of other people whose drawn picture is
closer.  A person with n pictures, c of them closer than g, is in front with chance c / n, independently of the
others: the rank is one more than a Poisson-binomial variable, so the average over draws has a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from resight.errors import EvaluationError, UsageError
from resight.evaluation.average_precision import Groups
from resight.evaluation.ranks import scored_blocks, standing

if TYPE_CHECKING:
    from resight.evaluation.evaluate import EvaluationInput
    from resight.evaluation.labels import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class SingleShot:
    """CMC of single-gallery-shot lists.  This protocol reports no mAP."""

    cmc: FloatArray  # (R,)
    per_query: FloatArray  # (Q, R), NaN without a match
    used: int
    skipped: int
    draws: int | None  # None: exact

    def rank(self, k: int) -> float:
        return float(self.cmc[k - 1])

    def __str__(self) -> str:
        ranks = "  ".join(f"R{k} {self.rank(k):.2%}" for k in (1, 5, 10, 20) if k <= len(self.cmc))
        how = "exact expectation" if self.draws is None else f"{self.draws} draws"
        return f"{ranks}  (single-gallery-shot, {how}, queries {self.used}/{self.used + self.skipped})"


def single_shot(inputs: EvaluationInput, draws: int | Literal["exact"] = "exact", seed: int = 0) -> SingleShot:
    """CMC over lists of one gallery picture a person.

    The published protocol of CUHK03 also leaves out the query's camera: `Protocol(separate_camera=True)`.  Ties follow
    gallery order.  Distractors count as one more person, junk is left out.

    Args:
        inputs: distances and labels.
        draws: "exact" for the expectation in closed form, or a number of random draws.
        seed: of the draws.

    Raises:
        UsageError: the protocol orders ties otherwise.
        EvaluationError: no query has a match.
    """
    labels, ranks = inputs.labels, inputs.labels.protocol.max_rank
    if labels.protocol.ties != "stable":
        raise UsageError("single_shot orders ties by gallery order; choose ties='stable'.")
    if draws != "exact" and draws < 1:
        raise UsageError(f"draws={draws}: at least one, or 'exact'.")
    rng = np.random.default_rng(seed)
    people, owner = np.unique(labels.g_pids, return_inverse=True)
    per_query = np.full((len(labels.q_pids), ranks), np.nan)
    for block in scored_blocks(inputs.source, labels):
        for query, line, hits in block.lines():
            if len(hits):
                order = np.argsort(line, kind="stable")
                order = order[: np.count_nonzero(~np.isnan(line))]  # NaN, what is left out, sorts last
                own = int(np.searchsorted(people, labels.q_pids[query]))
                per_query[query] = (
                    _exact(owner[order], own, ranks)
                    if draws == "exact"
                    else _drawn(owner[order], own, ranks, draws, rng)
                )
    used = ~np.isnan(per_query[:, 0])
    if not used.any():
        raise EvaluationError("no query has a match in the gallery: nothing can be scored.")
    return SingleShot(
        per_query[used].mean(axis=0),
        per_query,
        int(used.sum()),
        int((~used).sum()),
        None if draws == "exact" else draws,
    )


def _exact(owner: IntArray, own: int, ranks: int) -> FloatArray:
    """P(rank <= k), k = 1..ranks, mean over the query's right answers.  owner: people in ranked order, (G',)."""
    at = np.flatnonzero(owner == own)
    total = np.bincount(owner)
    in_front = np.stack([np.bincount(owner[:place], minlength=len(total)) for place in at])  # (answers, people)
    chance = np.divide(in_front, total, out=np.zeros(in_front.shape), where=total > 0)
    chance[:, own] = 0
    sure = (chance == 1).sum(axis=1)
    curves = [_rank_within(p[(p > 0) & (p < 1)], n, ranks) for p, n in zip(chance, sure, strict=True)]
    return np.asarray(np.mean(curves, axis=0))


def _rank_within(chance: FloatArray, sure: int, ranks: int) -> FloatArray:
    """P(1 + sure + sum of Bernoulli(chance) <= k) for k = 1..ranks, one person after another."""
    ahead = np.zeros(ranks)  # ahead[m]: P(m people in front)
    if sure >= ranks:
        return ahead
    ahead[sure] = 1
    for p in chance:
        ahead[1:] = ahead[1:] * (1 - p) + ahead[:-1] * p
        ahead[0] *= 1 - p
    return np.cumsum(ahead)


def _drawn(owner: IntArray, own: int, ranks: int, draws: int, rng: np.random.Generator) -> FloatArray:
    """Share of draws with rank <= k: one place a person, uniformly among the person's places."""
    by_person = np.argsort(owner, kind="stable")  # each person's places, in order
    count = np.bincount(owner)
    present = np.flatnonzero(count)
    start = np.cumsum(count[present]) - count[present]
    pick = start + (rng.random((draws, len(present))) * count[present]).astype(np.int64)
    places = by_person[pick]  # (draws, people)
    mine: BoolArray = present == own
    rank = 1 + (places < places[:, mine]).sum(axis=1)
    return np.asarray((rank[:, None] <= np.arange(1, ranks + 1)).mean(axis=0))


def all_shots(inputs: EvaluationInput) -> FloatArray:
    """CMC of all shots, mean over the queries with a match.

    Args:
        inputs: distances of Q queries to G gallery items, and labels.  Equal distances stand in gallery order.

    Returns:
        (R,) for the ranks 1 to R, the protocol's `max_rank`.
    """
    labels, places = inputs.labels, standing(inputs.source, inputs.labels)
    groups = Groups.of(places, len(labels.q_pids))
    seat = places.closer + places.earlier + 1 - groups.number  # from 1
    within = seat <= labels.protocol.max_rank
    votes = 1 / groups.total[places.query]
    cast = np.bincount(seat[within] - 1, votes[within], minlength=labels.protocol.max_rank)
    return np.asarray(np.cumsum(cast) / np.count_nonzero(groups.total))
