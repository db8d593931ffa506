"""Fit of a calibration, and its cross-validation over people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import EvaluationError, UsageError
from resight.evaluation.calibration.calibration import Bin, Calibration, CameraCheck, Method, Operating, curve
from resight.evaluation.calibration.regression import isotonic, logistic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.evaluation.calibration.pairs import Pairs
    from resight.evaluation.labels import BoolArray, FloatArray, IntArray

FMRS = (1e-4, 1e-3, 1e-2)
_KNOTS = 512


def calibrate(
    pairs: Pairs,
    method: Method = "isotonic",
    fmr: Sequence[float] = FMRS,
    *,
    folds: int = 5,
    bins: int = 10,
    draws: int = 500,
    seed: int = 0,
    model: str = "",
) -> Calibration:
    """Fit a calibration on all pairs, and measure it by cross-validation over people.

    Same and different pairs have equal total weight in the fit, so a probability is for even prior odds.  People are
    split into folds; a pair is held out when both its people are.

    Args:
        pairs: of `labeled_pairs`.
        method: isotonic or logistic.
        fmr: false-match rates to give thresholds for, in (0, 1).
        folds: of the cross-validation, at least 2.
        bins: of the reliability diagram.
        draws: bootstrap samples for the intervals.
        seed: of folds and samples.
        model: fingerprint to keep with the calibration.

    Raises:
        UsageError: an argument is out of range.
        EvaluationError: there are too few people.
    """
    if method not in ("isotonic", "logistic"):
        raise UsageError(f"method={method!r}; choose isotonic or logistic.")
    if not fmr or not all(0 < rate < 1 for rate in fmr) or folds < 2:
        raise UsageError(f"fmr={tuple(fmr)}, folds={folds}: rates lie between 0 and 1, and folds are at least 2.")
    people = np.unique(pairs.pids)
    rng = np.random.default_rng(seed)
    fold = rng.permutation(np.arange(len(people)) % folds)
    side = fold[np.searchsorted(people, pairs.pids)]  # (P, 2)
    held = _held_out(pairs, side, folds, method, fmr)
    knots, values = _fit(pairs, method)
    thresholds = [_threshold(pairs, rate) for rate in fmr]
    return Calibration(
        method=method,
        metric=pairs.metric,
        knots=knots,
        values=values,
        operating=tuple(_operating(held, at, rate, thresholds[at], draws, rng) for at, rate in enumerate(fmr)),
        reliability=_reliability(held, bins),
        cameras=_by_camera(held),
        log_loss=_log_loss(held),
        people=len(people),
        model=model,
        different=int((~pairs.same).sum()),
    )


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """Pairs with what a fit on other people says about them."""

    pairs: Pairs
    probability: FloatArray  # (P,)
    accepted: BoolArray  # (P, rates)


def _held_out(pairs: Pairs, side: IntArray, folds: int, method: Method, fmr: Sequence[float]) -> _HeldOut:
    probability, accepted = np.full(len(pairs), np.nan), np.zeros((len(pairs), len(fmr)), dtype=bool)
    for number in range(folds):
        test, train = (side == number).all(axis=1), pairs.part((side != number).all(axis=1))
        if not train.same.any() or train.same.all():
            raise EvaluationError(f"fold {number} leaves no pairs to fit on: use fewer folds or more people.")
        probability[test] = curve(method, *_fit(train, method), pairs.similarity[test])
        for at, rate in enumerate(fmr):
            accepted[test, at] = pairs.similarity[test] >= _threshold(train, rate)
    tested = ~np.isnan(probability)
    held = _HeldOut(pairs.part(tested), np.clip(probability[tested], 1e-6, 1 - 1e-6), accepted[tested])
    if not held.pairs.same.any() or held.pairs.same.all():
        raise EvaluationError("no held-out pairs of both kinds: use fewer folds or more people.")
    return held


def _balanced(pairs: Pairs) -> FloatArray:
    """Weights with which same and different pairs count the same, as many in all as there are same pairs twice."""
    total = np.array([pairs.weight[~pairs.same].sum(), pairs.weight[pairs.same].sum()])
    return np.asarray(pairs.weight * (total[1] / total)[pairs.same.astype(int)])


def _fit(pairs: Pairs, method: Method) -> tuple[tuple[float, ...], tuple[float, ...]]:
    same, weight = pairs.same.astype(np.float64), _balanced(pairs)
    if method == "logistic":
        return (), logistic(pairs.similarity, same, weight)
    knots, values = isotonic(*_with_one_exception_at_each_end(pairs.similarity, same, weight))
    if len(knots) > _KNOTS:  # a curve to keep with a model, not a table of the data
        keep = np.unique(np.linspace(0, len(knots) - 1, _KNOTS).round().astype(np.int64))
        knots, values = knots[keep], values[keep]
    return tuple(knots.tolist()), tuple(values.tolist())


def _with_one_exception_at_each_end(
    x: FloatArray, same: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The pairs, one more of two people at the highest similarity and one more of the same person at the lowest.

    Without them the curve ends at 0 and 1: certainty that no finite number of pairs can show, and that no prior could
    move.  The pairs that are added weigh what one of their kind weighs; Platt's (1999) smoothing of the logistic
    targets has the same reason.
    """
    different = same < 0.5
    ends, kinds = [x.max(), x.min()], [0.0, 1.0]
    weights = [weight[different].mean(), weight[~different].mean()]
    return np.append(x, ends), np.append(same, kinds), np.append(weight, weights)


def _threshold(pairs: Pairs, fmr: float) -> float:
    """The smallest similarity that accepts at most a share `fmr` of different-person pairs."""
    wrong = np.sort(pairs.similarity[~pairs.same])[::-1]
    allowed = int(np.floor(fmr * len(wrong) * (1 + 1e-12)))
    return float(np.nextafter(wrong[allowed], np.inf))  # just above the first that must be rejected


def _operating(
    held: _HeldOut, at: int, fmr: float, threshold: float, draws: int, rng: np.random.Generator
) -> Operating:
    pairs, accepted = held.pairs, held.accepted[:, at]
    people, owner = np.unique(pairs.pids[pairs.same, 0], return_inverse=True)
    missed = np.bincount(owner, ~accepted[pairs.same], minlength=len(people))
    total = np.bincount(owner, minlength=len(people))
    weight = rng.multinomial(len(people), np.full(len(people), 1 / len(people)), size=draws)
    low, high = np.quantile((weight @ missed) / (weight @ total), [0.025, 0.975])
    found = accepted[~pairs.same].mean()
    return Operating(fmr, threshold, float(found), float(missed.sum() / total.sum()), float(low), float(high))


def _reliability(held: _HeldOut, bins: int) -> tuple[Bin, ...]:
    weight = _balanced(held.pairs)
    place = np.minimum((held.probability * bins).astype(np.int64), bins - 1)
    mass = np.bincount(place, weight, minlength=bins)
    stated = np.bincount(place, weight * held.probability, minlength=bins)
    found = np.bincount(place, weight * held.pairs.same, minlength=bins)
    return tuple(
        Bin(float(stated[b] / mass[b]), float(found[b] / mass[b]), float(mass[b])) for b in np.flatnonzero(mass)
    )


def _by_camera(held: _HeldOut) -> tuple[CameraCheck, ...]:
    pairs, accepted = held.pairs, held.accepted[:, 0]
    combinations, which = np.unique(pairs.camids, axis=0, return_inverse=True)
    lines = []
    for number, (a, b) in enumerate(combinations.tolist()):
        same, different = (which == number) & pairs.same, (which == number) & ~pairs.same
        fmr = float(accepted[different].mean()) if different.any() else float("nan")
        fnmr = float((~accepted[same]).mean()) if same.any() else float("nan")
        lines.append(CameraCheck((a, b), int(same.sum()), int(different.sum()), fmr, fnmr))
    return tuple(lines)


def _log_loss(held: _HeldOut) -> float:
    given = np.where(held.pairs.same, held.probability, 1 - held.probability)
    return float(-np.average(np.log(given), weights=_balanced(held.pairs)))
