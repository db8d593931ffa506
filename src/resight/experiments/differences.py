"""Scores over seeds, differences with intervals, and the change of a score from one data set to another."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.evaluation import Interval

SAME = "not distinguishable"


@dataclass(frozen=True)
class Score:
    """Mean and standard deviation over seeds, shares in [0, 1]; no deviation of a single seed."""

    mean: float
    spread: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Score:
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f}" + ("" if self.spread is None else f" ± {100 * self.spread:.1f}")

    def to_dict(self) -> dict[str, float | None]:
        return {"mean": self.mean, "spread": self.spread}


@dataclass(frozen=True)
class Difference:
    """A variant's mAP against the first one's: b minus a, with its 95 % interval."""

    interval: Interval
    seeds: int  # that both have
    words: tuple[str, str] = ("better", "worse")

    @property
    def conclusion(self) -> str:
        """In words: an interval that holds 0 decides nothing."""
        if self.interval.low <= 0 <= self.interval.high:
            return SAME
        return self.words[0] if self.interval.value > 0 else self.words[1]

    def __str__(self) -> str:
        value, low, high = (100 * v for v in (self.interval.value, self.interval.low, self.interval.high))
        return f"{value:+.1f} [{low:+.1f}, {high:+.1f}] {self.conclusion}"

    def to_dict(self) -> dict[str, Any]:
        held = self.interval
        return {
            "mAP": held.value, "low": held.low, "high": held.high, "level": held.level, "seeds": self.seeds,
            "conclusion": self.conclusion,
        }  # fmt: skip


@dataclass(frozen=True)
class Change:
    """mAP on the harder set minus mAP on the easier one; and against the first variant's change."""

    score: Score
    difference: Difference | None

    def __str__(self) -> str:
        return f"{100 * self.score.mean:+.1f}" + str(self.score).removeprefix(f"{100 * self.score.mean:.1f}")

    def to_dict(self) -> dict[str, Any]:
        return {"mAP": self.score.to_dict(), "difference": self.difference.to_dict() if self.difference else None}
