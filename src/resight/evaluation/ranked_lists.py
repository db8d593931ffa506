"""Ranked lists of queries, each item flagged right, wrong or junk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from resight.evaluation.distances import Block
    from resight.evaluation.evaluate import EvaluationInput
    from resight.evaluation.labels import BoolArray, Labels

Flag = Literal["right", "wrong", "junk"]


@dataclass(frozen=True, slots=True)
class RankedItem:
    """One picture of a ranked list.  rank counts kept items from 1; junk stands in its place with rank 0."""

    index: int  # gallery row
    distance: float
    flag: Flag
    rank: int


@dataclass(frozen=True, slots=True)
class RankedList:
    """One query's list down to the k-th kept item, and the ranks of its right answers, listed or not."""

    query: int
    items: tuple[RankedItem, ...]
    right: tuple[int, ...]  # ranks of all right answers, ascending: AP and INP follow from them


def ranked_lists(inputs: EvaluationInput, k: int = 10, rows: npt.ArrayLike | None = None) -> list[RankedList]:
    """Ranked lists of queries, with flags of right, wrong and junk items.

    Args:
        inputs: distances and labels.
        k: items that count in a list; junk items above the k-th are listed too.
        rows: the queries, default all.

    Returns:
        A list for each of `rows`; equal distances are in gallery order.
    """
    chosen = np.arange(inputs.source.shape[0]) if rows is None else np.asarray(rows, dtype=np.int64)
    made: dict[int, RankedList] = {}
    for span, block in inputs.source.blocks():
        for query in chosen[(chosen >= span.start) & (chosen < span.stop)].tolist():
            made[query] = _list(inputs, query, block[query - span.start], k)
        if len(chosen) == 0 or span.stop > chosen.max():
            break
    return [made[query] for query in chosen.tolist()]


def _list(inputs: EvaluationInput, query: int, line: Block, k: int) -> RankedList:
    right, junk = flags(query, inputs.labels)
    order = np.argsort(line, kind="stable")
    ranks = np.cumsum(~junk[order])  # of kept items; junk carries that of the one before it
    shown = order[: np.searchsorted(ranks, k) + 1]
    distance = inputs.source.outward(line[shown].astype(np.float64))
    words: list[Flag] = ["junk" if junk[index] else "right" if right[index] else "wrong" for index in shown]
    items = tuple(
        RankedItem(int(index), float(far), flag, 0 if flag == "junk" else int(rank))
        for index, far, flag, rank in zip(shown, distance, words, ranks[: len(shown)], strict=True)
    )
    return RankedList(query, items, tuple(ranks[right[order]].tolist()))


def flags(query: int, labels: Labels) -> tuple[BoolArray, BoolArray]:
    """(right, left out) for every gallery item of one query, each (G,)."""
    rows = slice(query, query + 1)
    row, col = labels.same_person(rows)
    same_camera = labels.same_camera(rows, row, col)
    right, out = np.zeros((2, len(labels.g_pids)), dtype=bool)
    right[col[~same_camera]] = True
    out[col[same_camera]] = True
    out[labels.junk] = True
    if labels.protocol.separate_camera:
        out[labels.camera_columns(query)] = True
    return right & ~out, out
