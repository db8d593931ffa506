"""Isotonic and logistic regression of a probability on a similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resight.errors import EvaluationError

if TYPE_CHECKING:
    from resight.evaluation.labels import FloatArray


def isotonic(x: FloatArray, y: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The increasing function closest to y in weighted squares, by pooling adjacent violators.

    Barlow et al. 1972; Ayer et al. 1955.  Points (n,) -> knots (m,) ascending in x and values (m,) ascending in y,
    meant to be joined by straight lines and held constant outside.
    """
    x, y, weight = _merged(x, y, weight)
    level, mass, end = [], [], []  # blocks of equal value: value, weight, last point
    for at, (value, heavy) in enumerate(zip(y.tolist(), weight.tolist(), strict=True)):
        level.append(value)
        mass.append(heavy)
        end.append(at)
        while len(level) > 1 and level[-2] >= level[-1]:
            top, top_mass = level.pop(), mass.pop()
            end.pop(-2)
            level[-1] = (level[-1] * mass[-1] + top * top_mass) / (mass[-1] + top_mass)
            mass[-1] += top_mass
    stop = np.array(end)
    start = np.concatenate(([0], stop[:-1] + 1))
    knots = np.unique(np.concatenate((start, stop)))  # both ends of every block
    block = np.searchsorted(stop, knots)
    return x[knots], np.array(level)[block]


def logistic(x: FloatArray, y: FloatArray, weight: FloatArray, steps: int = 100) -> tuple[float, float]:
    """(slope, intercept) of P = 1 / (1 + exp(-(a x + b))) by Newton's method, with Platt's (1999) target smoothing.

    The smoothing keeps the answer finite where the two classes do not overlap.
    """
    positive, negative = float(weight @ y), float(weight @ (1 - y))
    target = np.where(y > 0.5, (positive + 1) / (positive + 2), 1 / (negative + 2))
    center, spread = float(np.average(x, weights=weight)), float(x.std()) or 1.0
    design = np.stack([(x - center) / spread, np.ones_like(x)], axis=1)
    theta = np.array([0.0, np.log((positive + 1) / (negative + 1))])
    loss = _loss(design @ theta, target, weight)
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(design @ theta)))
        gradient = design.T @ (weight * (p - target))
        hessian = (design * (weight * np.maximum(p * (1 - p), 1e-12))[:, None]).T @ design + 1e-10 * np.eye(2)
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while (new := _loss(design @ (theta - size * step), target, weight)) > loss and size > 1e-6:
            size /= 2
        theta, done, loss = theta - size * step, loss - new < 1e-12 * (1 + abs(loss)), new
        if done:
            break
    return float(theta[0] / spread), float(theta[1] - theta[0] * center / spread)


def _loss(z: FloatArray, target: FloatArray, weight: FloatArray) -> float:
    return float(weight @ (np.logaddexp(0, z) - target * z))


def _merged(x: FloatArray, y: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sorted by x, points of one x averaged."""
    if not len(x) == len(y) == len(weight) or not len(x):
        raise EvaluationError("a fit needs at least one point, and as many values and weights as points.")
    knots, group = np.unique(x, return_inverse=True)
    mass: FloatArray = np.bincount(group, weight).astype(np.float64)
    return knots, np.bincount(group, weight * y) / mass, mass
