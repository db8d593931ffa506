"""k-reciprocal re-ranking in sparse form.  Zhong, Zheng, Cao, Li, CVPR 2017.

    d*(q, g) = (1 - lambda) d_J(q, g) + lambda d~(q, g),
    d_J = 1 - m / (2 - m),   m = sum over l of min(V_ql, V_gl)

The dense form holds several N x N matrices; here a rank list and a few hundred weights an item are all that is
kept.  A gallery item that shares no entry with the query has m = 0 exactly, and most do.
What differs between the public implementations, and what we chose: docs/methods/evaluation.md, section 9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from resight.errors import EvaluationError, UsageError
from resight.evaluation.distances import MEMORY, Block, Matrix, Single, Source, spans
from resight.evaluation.reranking.jaccard import SparseRows, Variant, averaged, encode, normalized, windows
from resight.evaluation.reranking.joint_features import Joint
from resight.evaluation.reranking.neighbor_lists import Lists, neighbor_lists

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resight.types import Metric

Context = Literal["all", "gallery_only"]

RERANK_MEMORY = 4 * MEMORY
_LEAST = 8 * 2**20  # bytes below which a search would crawl


@dataclass(frozen=True, slots=True)
class Reranking:
    """The parameters, all of which belong beside a re-ranked score.

    variant  paper: squared Euclidean distance divided by the row's largest; torchreid: that, squared again, as
             its engine does; fast-reid: not divided, lists of k1 items, not k1 + 1, mixed with the plain distance.
    context  all: other queries help, as in every published figure.  gallery_only: a query is re-ranked with the
             gallery alone, so that its answer does not depend on who else asks.
    """

    k1: int = 20
    k2: int = 6
    lam: float = 0.3
    variant: Variant = "paper"
    context: Context = "all"

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            raise UsageError(f"variant={self.variant!r}; choose {', '.join(get_args(Variant))}.")
        if self.context not in get_args(Context):
            raise UsageError(f"context={self.context!r}; choose {', '.join(get_args(Context))}.")
        if self.k1 < 1 or self.k2 < 1 or not 0 <= self.lam <= 1:
            raise UsageError(f"k1={self.k1}, k2={self.k2}, lambda={self.lam}: k1, k2 >= 1 and lambda in [0, 1].")

    def __str__(self) -> str:
        alone = ", gallery only" if self.context == "gallery_only" else ""
        return f"k-reciprocal {self.variant} {self.k1}/{self.k2}/{self.lam:g}{alone}"


def rerank(
    query: Matrix,
    gallery: Matrix,
    k1: int = 20,
    k2: int = 6,
    lam: float = 0.3,
    variant: Variant = "paper",
    *,
    metric: Metric = "cosine",
    context: Context = "all",
    memory: int = RERANK_MEMORY,
) -> Single:
    """k-reciprocal re-ranking.

    Args:
        query: (Q, D).
        gallery: (G, D).
        k1: size of the neighbor lists.
        k2: items averaged in the local expansion.
        lam: weight of the original distance, in [0, 1].
        variant: paper, torchreid or fastreid; see `Reranking`.
        metric: cosine or euclidean.
        context: all, or gallery_only to re-rank each query without the others.
        memory: bytes to use beyond the features and the result.

    Returns:
        Re-ranked distances (Q, G), float32.  `Reranked` gives them one block at a time.

    Raises:
        EvaluationError: `memory` is too small for the neighbor lists.
    """
    source = Reranked.of(query, gallery, Reranking(k1, k2, lam, variant, context), metric, memory)
    out = np.empty(source.shape, dtype=np.float32)
    for rows, block in source.blocks():
        out[rows] = block
    return out


class Reranked(Source):
    """Re-ranked distances as a source of distances: rows are made when asked for.

    Of `memory`, lists and weights are held throughout; the distances of queries to the gallery are kept from the
    search if they take no more than half, and computed again if not; work in progress gets what is left.
    """

    def __init__(self, joint: Joint, lists: Lists, setting: Reranking, memory: int = RERANK_MEMORY) -> None:
        self.joint, self.lists = joint, lists
        self.shape = (joint.queries, joint.gallery)
        self.metric = joint.metric
        self.setting = setting
        room = memory - lists.nbytes
        self.query = averaged(encode(joint, lists, setting.k1, setting.variant, room // 2), lists, setting.k2)
        self.spare = room - 4 * self.query.nbytes  # its columns, and what sorting them takes
        if self.spare < 0:
            raise _too_little(memory, memory - self.spare, len(joint))
        self.columns = Columns(self.query, joint.queries)

    @classmethod
    def of(cls, query: Matrix, gallery: Matrix, setting: Reranking, metric: Metric, memory: int) -> Reranked:
        """With a search of its own."""
        joint = Joint(query, gallery, metric, memory)
        return cls(joint, lists_for(joint, [setting], memory), setting, memory)

    def with_lambda(self, lam: float) -> Reranked:
        """The same encodings, mixed otherwise."""
        other = object.__new__(Reranked)
        other.__dict__ = self.__dict__ | {"setting": replace(self.setting, lam=lam)}
        return other

    def blocks(self) -> Iterator[tuple[slice, Block]]:
        lam, variant = np.float32(self.setting.lam), self.setting.variant
        for rows, distance in self._distances():
            if variant == "fastreid" and self.joint.metric == "cosine":
                distance = np.multiply(distance, np.float32(0.5))  # its final mix is with 1 - s
            out = lam * normalized(distance, self.lists.farthest[rows, None], variant) + (1 - lam)
            for at, query in enumerate(range(rows.start, rows.stop)):
                shared = self.columns.overlap(self.query, query)
                out[at] -= (1 - lam) * (shared / (2 - shared))
            yield rows, np.maximum(out, 0, out=out)

    def _distances(self) -> Iterator[tuple[slice, Single]]:
        queries, kept = self.joint.queries, self.lists.kept
        if kept is None:
            yield from self.joint.blocks(slice(0, queries), slice(queries, len(self.joint)), self.spare // 2)
        else:
            yield from ((rows, kept[rows]) for rows in spans(queries, 16))


class Columns:
    """The gallery's weights by column: who else gives weight to item l?"""

    def __init__(self, weights: SparseRows, queries: int) -> None:
        begin = weights.start[queries]
        length = np.diff(weights.start[queries:])
        self.gallery = len(length)
        index, value = weights.index[begin:], weights.value[begin:]
        order = np.argsort(index, kind="stable")
        self.item = np.repeat(np.arange(self.gallery, dtype=np.int32), length)[order]
        self.value = value[order]
        self.start = np.searchsorted(index[order], np.arange(len(weights.start)))

    def overlap(self, weights: SparseRows, query: int) -> Single:
        """sum over l of min(V_ql, V_gl) for every gallery item g, (G,)."""
        own = slice(weights.start[query], weights.start[query + 1])
        spots = [slice(self.start[col], self.start[col + 1]) for col in weights.index[own]]
        item = np.concatenate([self.item[spot] for spot in spots])
        theirs = np.concatenate([self.value[spot] for spot in spots])
        ours = np.repeat(weights.value[own], [spot.stop - spot.start for spot in spots])
        return np.bincount(item, np.minimum(ours, theirs), minlength=self.gallery).astype(np.float32)


def lists_for(joint: Joint, settings: list[Reranking], memory: int = RERANK_MEMORY) -> Lists:
    """Rank lists long enough for all of some settings, which must share their context."""
    length = max(max(windows(setting.k1, setting.variant)[0], setting.k2) for setting in settings)
    needed = 4 * len(joint) * (2 * min(length, len(joint)) + 1) + _LEAST
    if needed > memory:
        raise _too_little(memory, needed, len(joint))
    table = 4 * joint.queries * joint.gallery
    keep = table <= memory // 2 and needed + table <= memory
    spare = memory - needed - keep * table + _LEAST
    return neighbor_lists(joint, length, settings[0].context == "gallery_only", spare, keep=keep)


def _too_little(memory: int, needed: int, items: int) -> EvaluationError:
    mib = 2**20
    return EvaluationError(
        f"re-ranking {items} pictures in {memory / mib:.0f} MiB cannot be done: its lists and weights need about "
        f"{needed / mib:.0f} MiB. Allow that much, or choose smaller k1 and k2."
    )
