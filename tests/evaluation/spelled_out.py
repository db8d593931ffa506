"""The definitions, written as slowly and plainly as they read.  The fast forms are held against these."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Vector = Any  # whatever can be indexed and walked over


@dataclass
class Plain:
    ap: list[float]
    first: list[float]
    inp: list[float]

    @property
    def used(self) -> list[int]:
        return [i for i, value in enumerate(self.ap) if value == value]


def kept_flags(
    line: Vector,
    q_pid: int,
    q_cam: int,
    g_pids: Vector,
    g_camids: Vector,
    rule: str = "cross",
    separate: bool = False,
) -> list[bool]:
    """Match flags of the kept items in ranked order, ties by gallery index."""
    flags = []
    for j in sorted(range(len(line)), key=lambda j: (line[j], j)):
        same_camera = q_cam == g_camids[j] and q_cam != -1 and rule == "cross"
        if g_pids[j] == -1 or (same_camera and (separate or g_pids[j] == q_pid)):
            continue
        flags.append(bool(g_pids[j] == q_pid))
    return flags


def average_precision(flags: Sequence[bool], mode: str = "rectangle") -> float:
    total, hits, gain = sum(flags), 0, 0.0
    for rank, flag in enumerate(flags, 1):
        if flag:
            before = hits / (rank - 1) if rank > 1 else 1.0
            hits += 1
            gain += hits / rank if mode == "rectangle" else (hits / rank + before) / 2
    return gain / total


def evaluate(
    D: Vector,
    q_pids: Vector,
    g_pids: Vector,
    q_camids: Vector,
    g_camids: Vector,
    mode: str = "rectangle",
    rule: str = "cross",
    separate: bool = False,
) -> Plain:
    """Stable ties, one query after the other."""
    plain = Plain([], [], [])
    for line, pid, cam in zip(D, q_pids, q_camids, strict=True):
        flags = kept_flags(line, pid, cam, g_pids, g_camids, rule, separate)
        places = [rank for rank, flag in enumerate(flags, 1) if flag]
        plain.ap.append(average_precision(flags, mode) if places else float("nan"))
        plain.first.append(places[0] if places else float("nan"))
        plain.inp.append(len(places) / places[-1] if places else float("nan"))
    return plain


def over_all_orders(distances: Vector, flags: Vector, mode: str = "rectangle") -> tuple[float, float, Vector]:
    """(mean AP, mean INP, [mean found at 1..n]) over all orders of equal distances of kept items."""
    n = len(flags)
    seen = set()
    for order in itertools.permutations(range(n)):
        if all(distances[a] <= distances[b] for a, b in itertools.pairwise(order)):
            seen.add(order)
    aps, inps, found = [], [], np.zeros(n)
    for order in seen:
        ranked = [flags[i] for i in order]
        places = [rank for rank, flag in enumerate(ranked, 1) if flag]
        aps.append(average_precision(ranked, mode))
        inps.append(len(places) / places[-1])
        found += np.arange(1, n + 1) >= places[0]
    return float(np.mean(aps)), float(np.mean(inps)), found / len(seen)
