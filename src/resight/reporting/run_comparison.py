"""Comparison of two results on the same queries: differences, their significance, and flipped queries."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from resight.errors import EvaluationError
from resight.evaluation import compare
from resight.reporting.ranked_lists import RankedRow, ranked_rows

if TYPE_CHECKING:
    from resight.evaluation import Comparison, EvaluationInput
    from resight.inference import Result
    from resight.inference.embeddings import Vectors

FLIPS = 6  # queries shown that were gained, and that were lost
DEPTH = 10


@dataclass(frozen=True)
class Flip:
    """One query as the other answered it, then as this one did."""

    gained: bool
    before: RankedRow
    after: RankedRow


@dataclass(frozen=True)
class Against:
    """This result (b) against another (a)."""

    name: str
    other: Result
    change: Comparison
    flips: list[Flip]

    @property
    def rows(self) -> list[RankedRow]:
        return [row for flip in self.flips for row in (flip.before, flip.after)]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"other": self.name} | as_record(self.change, self.other)


def as_record(change: Comparison, result: Result) -> dict[str, Any]:
    """A comparison as plain JSON values, flipped queries with the names `result` has for them."""

    def named(rows: Any) -> list[dict[str, Any]]:
        return [{"query": int(row), "path": result.query.paths[row]} for row in rows]

    return {
        "difference": {score: asdict(interval) for score, interval in change.difference.items()},
        "p_value": change.p_value,
        "unit": change.unit,
        "queries": change.used,
        "gained": named(change.gained),
        "lost": named(change.lost),
    }


def against(result: Result, name: str, other: Result, inputs: EvaluationInput | None = None) -> Against:
    """Raises EvaluationError where the two were not evaluated on the same pictures under the same rules."""
    same_pictures(name, other, "the run of this report", result)
    change = compare(other.report, result.report)
    shown = [int(row) for rows in (change.gained, change.lost) for row in rows[:FLIPS]]
    pairs = zip(ranked_rows(other, shown, DEPTH), ranked_rows(result, shown, DEPTH, inputs), strict=True)
    gained = set(change.gained.tolist())
    return Against(name, other, change, [Flip(before.index in gained, before, after) for before, after in pairs])


def same_pictures(first: object, a: Result, second: object, b: Result) -> None:
    """Raises EvaluationError unless both answered the same queries from the same gallery."""
    if any(_who(one) != _who(two) for one, two in ((a.query, b.query), (a.gallery, b.gallery))):
        raise EvaluationError(
            f"{first} and {second} were not evaluated on the same pictures ({a.context.get('dataset', '?')} and "
            f"{b.context.get('dataset', '?')}); evaluate both on one data set first."
        )


def different_rules(a: Result, b: Result) -> str | None:
    """A sentence where the two were made by different rules, so that more than the models may differ; else None."""
    if a.rules == b.rules:
        return None
    one, two = a.rules or "plain", b.rules or "plain"
    return f"the first result is {one}, the second {two}: the difference is not that of the models alone."


def _who(side: Vectors) -> tuple[tuple[str, ...], list[int], list[int]]:
    return side.paths, side.pids.tolist(), side.camids.tolist()
