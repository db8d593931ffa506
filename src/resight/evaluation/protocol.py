"""Evaluation protocol: the rules of a score, in one frozen record that travels with every result."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from resight.errors import UsageError
from resight.types import DISTRACTOR, JUNK

ApMode = Literal["rectangle", "trapezoid"]
NoMatch = Literal["skip", "zero"]
Ties = Literal["stable", "pessimistic", "merged", "expected"]
OnNaN = Literal["raise", "worst"]
CameraRule = Literal["cross", "any"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """The rules.  The defaults are Market-1501's (Zheng et al., ICCV 2015) with the usual rectangle AP.

    ap_mode          rectangle (torchreid, fast-reid, most papers) or trapezoid (the MATLAB toolkits).
    no_match         a query without a match in the gallery: left out, or counted as zero.
    ties             equal distances: by gallery order (stable), wrong ones first (pessimistic), one threshold
                     for all (merged, as scikit-learn does), or the mean over all orders (expected).
    on_nan           a distance that is no number: refuse, or put it last and count it.
    camera_rule      cross: the same person in the same camera is no task, and is left out.
                     any: cameras are ignored and every picture of the person is a match.
    separate_camera  leave out everything of the query's camera, other people too (CUHK03 classic).
    max_rank         length of the CMC curve.
    junk             identity of boxes that are left out of the evaluation; None where the set has no such identity.
    distractor       identity of distractor boxes; None where that number is a person.
    """

    ap_mode: ApMode = "rectangle"
    no_match: NoMatch = "skip"
    ties: Ties = "stable"
    on_nan: OnNaN = "raise"
    camera_rule: CameraRule = "cross"
    separate_camera: bool = False
    max_rank: int = 50
    junk: int | None = JUNK
    distractor: int | None = DISTRACTOR

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(f"{name}={getattr(self, name)!r} is not a rule; choose {' or '.join(choices)}.")
        if self.max_rank < 1:
            raise UsageError(f"max_rank={self.max_rank}: the CMC curve needs at least one rank.")
        if self.ties == "merged" and self.ap_mode == "trapezoid":
            raise UsageError("ties='merged' is defined for the rectangle AP only; choose another of the two.")
        if self.separate_camera and self.camera_rule == "any":
            raise UsageError("separate_camera needs cameras, but camera_rule='any' ignores them; choose one.")

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Protocol:
        """The inverse of `dataclasses.asdict`; keys this version does not know are an error."""
        unknown = sorted(set(record) - {field.name for field in fields(cls)})
        if unknown:
            raise UsageError(f"protocol: unknown rules {', '.join(unknown)}; was it written by a newer resight?")
        return cls(**record)


_CHOICES: dict[str, tuple[str, ...]] = {
    "ap_mode": get_args(ApMode),
    "no_match": get_args(NoMatch),
    "ties": get_args(Ties),
    "on_nan": get_args(OnNaN),
    "camera_rule": get_args(CameraRule),
}

MARKET = Protocol()
"""The default rules.  A data set whose rules differ says so in its own file (`resight.data.protocol_of`)."""
