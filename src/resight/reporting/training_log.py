"""Journal of a run as columns for the training curves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

Column = list[float]  # NaN where a line does not say


@dataclass(frozen=True)
class Curves:
    """Every logged line.  `epoch` goes with the columns of training, `validation_epoch` with `scores`."""

    epoch: Column = field(default_factory=list)
    total: Column = field(default_factory=list)
    parts: dict[str, Column] = field(default_factory=dict)
    rate: Column = field(default_factory=list)
    images_per_s: Column = field(default_factory=list)
    waiting: Column = field(default_factory=list)
    spread: Column = field(default_factory=list)
    validation_epoch: Column = field(default_factory=list)
    scores: dict[str, Column] = field(default_factory=dict)
    warnings: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, journal: Sequence[dict[str, Any]]) -> Curves:
        """Lines of unknown events are passed over, values that are no numbers become NaN."""
        train = [line for line in journal if line.get("event") == "train"]
        validations = [line for line in journal if line.get("event") == "validation"]
        parts = [line["parts"] if isinstance(line.get("parts"), dict) else {} for line in train]
        return cls(
            epoch=[_epoch(line) for line in train],
            total=_column(train, "total"),
            parts={name: _column(parts, name) for name in _names(parts)},
            rate=_column(train, "lr"),
            images_per_s=_column(train, "images_per_s"),
            waiting=_column(train, "waiting"),
            spread=_column(train, "spread"),
            validation_epoch=[_epoch(line) for line in validations],
            scores={name: _column(validations, name) for name in _names(validations) if name not in _NOT_SCORES},
            warnings=tuple(line for line in journal if line.get("event") == "warning"),
        )


_NOT_SCORES = {"event", "step", "epoch"}


def thin(x: ArrayLike, y: ArrayLike, limit: int = 400) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most `limit` points: means over runs of neighbouring ones."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(xs) <= limit:
        return xs, ys
    edges = np.linspace(0, len(xs), limit, endpoint=False).astype(int)
    length = np.diff(edges, append=len(xs))
    return np.add.reduceat(xs, edges) / length, np.add.reduceat(ys, edges) / length


def _names(lines: Sequence[dict[str, Any]]) -> list[str]:
    """The keys that hold a number somewhere, in the order of their first appearance."""
    return list(dict.fromkeys(name for line in lines for name in line if math.isfinite(_number(line, name))))


def _column(lines: Sequence[dict[str, Any]], name: str) -> Column:
    return [_number(line, name) for line in lines]


def _epoch(line: dict[str, Any]) -> float:
    epoch = _number(line, "epoch")
    return epoch if math.isfinite(epoch) else _number(line, "step")


def _number(line: dict[str, Any], name: str) -> float:
    value = line.get(name)
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    return number if math.isfinite(number) else math.nan
