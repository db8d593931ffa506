"""A map of the feature space: two principal axes, by singular value decomposition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from resight.embedding import Vectors

MOST = 600  # pictures on the map
NAMED = 8  # persons told apart on it


@dataclass(frozen=True)
class FeatureMap:
    """Places (N, 2) of N pictures; `named` are the persons to show in colour."""

    places: NDArray[np.float64]
    pids: NDArray[np.int64]
    camids: NDArray[np.int64]
    named: tuple[int, ...]
    explained: tuple[float, float]  # shares of the variance
    dimensions: int


def map_features(vectors: Vectors, seed: int, nobody: Sequence[int] = ()) -> FeatureMap | None:
    """Of a seeded sample; None where fewer than three pictures are there.

    `nobody` are identities that are no person: junk, distractors.  Some persons come with all their pictures,
    so that their clusters can be seen; the rest is drawn from everybody.
    """
    return next(iter(map_together([vectors], seed, nobody)), None)


def map_together(several: Sequence[Vectors], seed: int, nobody: Sequence[int] = ()) -> list[FeatureMap]:
    """The same pictures in each of several spaces, row by row one picture, each on its own two axes."""
    first = several[0]
    usable = np.flatnonzero(np.all([np.isfinite(each.vectors).all(axis=1) for each in several], axis=0))
    if len(usable) < 3:
        return []
    rng = np.random.default_rng(seed)
    named = _named(first.pids[usable], [*nobody, first.UNKNOWN_PID], rng)
    theirs = usable[np.isin(first.pids[usable], named)][:MOST]
    others = rng.permutation(np.setdiff1d(usable, theirs))[: MOST - len(theirs)]
    rows = np.sort(np.concatenate([theirs, others]))
    found = []
    for each in several:
        places, explained = principal_axes(each.vectors[rows].astype(np.float64))
        found.append(FeatureMap(places, first.pids[rows], first.camids[rows], named, explained, each.vectors.shape[1]))
    return found


def principal_axes(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """(N, D) -> places (N, 2) and the two shares of the variance.

    The sign of an axis is free: its largest component is made positive, so that maps do not flip.
    """
    centred = features - features.mean(axis=0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)  # axes (min(N, D), D)
    axes = axes[:2] * np.sign(axes[np.arange(len(axes[:2])), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    places = np.zeros((len(features), 2))
    places[:, : len(axes)] = centred @ axes.T
    share = np.zeros(2)
    share[: len(singular[:2])] = singular[:2] ** 2 / max(float((singular**2).sum()), 1e-30)
    return places, (float(share[0]), float(share[1]))


def _named(pids: NDArray[np.int64], nobody: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    """Persons drawn among those with at least three pictures, else among all."""
    found, images = np.unique(pids, return_counts=True)
    persons = ~np.isin(found, nobody)
    rich = persons & (images >= 3)
    pool = found[rich if rich.any() else persons]
    return tuple(sorted(int(pid) for pid in rng.permutation(pool)[:NAMED]))
