"""The equations of the metric losses as sums over rows, triplets and tuples: slow, and plainly right.

Each takes a distance matrix (N, N) and labels and returns the mean over what is valid, 0 where nothing is.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def positives(a: int, y: list[int]) -> list[int]:
    return [p for p in range(len(y)) if y[p] == y[a] and p != a]


def negatives(a: int, y: list[int]) -> list[int]:
    return [n for n in range(len(y)) if y[n] != y[a]]


def anchors(y: list[int]) -> list[int]:
    return [a for a in range(len(y)) if positives(a, y) and negatives(a, y)]


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def hinge(x: float, margin: float | str) -> float:
    return math.log1p(math.exp(x)) if margin == "soft" else max(x + float(margin), 0.0)


def triplets(y: list[int]) -> list[tuple[int, int, int]]:
    return [(a, p, n) for a in range(len(y)) for p in positives(a, y) for n in negatives(a, y)]


def trihard(d: Tensor, y: list[int], margin: float | str) -> float:
    D = d.tolist()
    return mean(
        [
            hinge(max(D[a][p] for p in positives(a, y)) - min(D[a][n] for n in negatives(a, y)), margin)
            for a in anchors(y)
        ]
    )


def triplet(d: Tensor, y: list[int], margin: float | str) -> float:
    D = d.tolist()
    return mean([hinge(D[a][p] - D[a][n], margin) for a, p, n in triplets(y)])


def improved_triplet(d: Tensor, y: list[int], margin: float, weight: float, floor: float) -> float:
    D = d.tolist()
    return mean([weight * max(D[a][p] - floor, 0) + hinge(D[a][p] - D[a][n], margin) for a, p, n in triplets(y)])


def contrastive(d: Tensor, y: list[int], margin: float) -> float:
    D, N = d.tolist(), len(y)
    return mean(
        [D[i][j] ** 2 if y[i] == y[j] else max(margin - D[i][j], 0) ** 2 for i in range(N) for j in range(i + 1, N)]
    )


def quadruplet(d: Tensor, y: list[int], margin: float, weak: float) -> float:
    D = d.tolist()
    tuples = [(a, p, m, n) for a, p, m in triplets(y) for n in range(len(y)) if len({y[a], y[m], y[n]}) == 3]
    strong = mean([hinge(D[a][p] - D[a][n], margin) for a, p, n in triplets(y)])
    return strong + mean([hinge(D[a][p] - D[m][n], weak) for a, p, m, n in tuples])


def quadruplet_hard(d: Tensor, y: list[int], margin: float, weak: float) -> float:
    D, second = d.tolist(), []
    for a in anchors(y):
        apart = [D[m][n] for m, n in product(range(len(y)), repeat=2) if len({y[a], y[m], y[n]}) == 3]
        if apart:
            second.append(hinge(max(D[a][p] for p in positives(a, y)) - min(apart), weak))
    return trihard(d, y, margin) + mean(second)


def weighted(values: list[float], scores: list[float]) -> float:
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


def adaptive(d: Tensor, y: list[int], margin: float | str) -> float:
    D, values = d.tolist(), []
    for a in anchors(y):
        near, far = [D[a][n] for n in negatives(a, y)], [D[a][p] for p in positives(a, y)]
        values.append(hinge(weighted(far, far) - weighted(near, [-x for x in near]), margin))
    return mean(values)


def hap2s(d: Tensor, y: list[int], margin: float, kind: str) -> float:
    def score(x: float) -> float:
        return x / 0.5 if kind == "exponential" else 10 * math.log(x + 1)

    D, values, push = d.tolist(), [], -1 if kind == "exponential" else -2
    for a in anchors(y):
        near, far = [D[a][n] for n in negatives(a, y)], [D[a][p] for p in positives(a, y)]
        gap = weighted(far, [score(x) for x in far]) - weighted(near, [push * score(x) for x in near])
        values.append(hinge(gap, margin))
    return mean(values)


def lifted(d: Tensor, y: list[int], margin: float) -> float:
    D, values = d.tolist(), []
    for i in range(len(y)):
        for j in positives(i, y):
            if i < j and negatives(i, y):
                reach = [D[i][k] for k in negatives(i, y)] + [D[j][k] for k in negatives(j, y)]
                J = math.log(sum(math.exp(margin - x) for x in reach)) + D[i][j]
                values.append(max(J, 0) ** 2 / 2)
    return mean(values)


def generalized_lifted(d: Tensor, y: list[int], margin: float) -> float:
    D, values = d.tolist(), []
    for a in anchors(y):
        pull = math.log(sum(math.exp(D[a][p]) for p in positives(a, y)))
        push = math.log(sum(math.exp(margin - D[a][n]) for n in negatives(a, y)))
        values.append(max(pull + push, 0))
    return mean(values)


def circle(s: Tensor, y: list[int], margin: float, gamma: float) -> float:
    S, values = s.tolist(), []
    for a in anchors(y):
        push = sum(math.exp(gamma * max(S[a][n] + margin, 0) * (S[a][n] - margin)) for n in negatives(a, y))
        pull = sum(math.exp(-gamma * max(1 + margin - S[a][p], 0) * (S[a][p] - 1 + margin)) for p in positives(a, y))
        values.append(math.log1p(push * pull))
    return mean(values)
