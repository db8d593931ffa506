"""Labels of an evaluation: identities and cameras of queries and gallery, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from resight.errors import EvaluationError
from resight.evaluation.protocol import MARKET, Protocol
from resight.types import UNKNOWN_CAMERA, UNKNOWN_PID

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Labels:
    """Identities and cameras of Q queries and G gallery items, int64, checked against each other."""

    q_pids: IntArray  # (Q,)
    g_pids: IntArray  # (G,)
    q_camids: IntArray  # (Q,)
    g_camids: IntArray  # (G,)
    protocol: Protocol

    @classmethod
    def of(
        cls,
        q_pids: npt.ArrayLike,
        g_pids: npt.ArrayLike,
        q_camids: npt.ArrayLike | None = None,
        g_camids: npt.ArrayLike | None = None,
        protocol: Protocol = MARKET,
    ) -> Labels:
        """Check and convert.  Cameras may be None under camera_rule='any' only."""
        query, gallery = integers("q_pids", q_pids), integers("g_pids", g_pids)
        if protocol.camera_rule == "any":
            return cls(query, gallery, unknown(query), unknown(gallery), protocol).checked()
        if q_camids is None or g_camids is None:
            raise EvaluationError(
                "camera_rule='cross' needs q_camids and g_camids. Pass both, with -1 where a camera is not known,"
                " or choose Protocol(camera_rule='any') to count every picture of the person as a match."
            )
        return cls(query, gallery, integers("q_camids", q_camids), integers("g_camids", g_camids), protocol).checked()

    def checked(self) -> Labels:
        """Raise EvaluationError where the vectors cannot belong together."""
        for side, pids, camids in (("q", self.q_pids, self.q_camids), ("g", self.g_pids, self.g_camids)):
            if len(pids) == 0:
                raise EvaluationError(f"{side}_pids is empty; there must be at least one query and one gallery item.")
            if len(pids) != len(camids):
                raise EvaluationError(f"{side}_pids has {len(pids)} entries but {side}_camids has {len(camids)}.")
        nameless = np.flatnonzero(self.q_pids == UNKNOWN_PID)
        if len(nameless):
            raise EvaluationError(
                f"{len(nameless)} of {len(self.q_pids)} queries have no known person ({UNKNOWN_PID}), rows "
                f"{few(nameless)}: such a query has no match. Leave them out, or name the persons, in "
                f"a column pid of the CSV that is embedded."
            )
        for name, value in (("junk", self.protocol.junk), ("distractor", self.protocol.distractor)):
            rows = np.flatnonzero(self.q_pids == value) if value is not None else _NONE
            if len(rows):
                option = " or --no-distractors" if name == "distractor" else ""
                raise EvaluationError(
                    f"queries {few(rows)} carry identity {value}, which means {name}, not a person. "
                    f"Remove them, or choose Protocol({name}=None){option} if {value} is a person in this data set."
                )
        return self

    def check_shape(self, queries: int, gallery: int) -> None:
        """The labels against what they label."""
        if (queries, gallery) != (len(self.q_pids), len(self.g_pids)):
            raise EvaluationError(
                f"the labels describe {len(self.q_pids)} queries and {len(self.g_pids)} gallery items, "
                f"but the vectors or distances hold {queries} and {gallery}."
            )

    @cached_property
    def junk(self) -> IntArray:
        """Gallery columns left out of the evaluation: junk, and items of unknown identity."""
        junk = UNKNOWN_PID if self.protocol.junk is None else self.protocol.junk
        return np.flatnonzero((self.g_pids == UNKNOWN_PID) | (self.g_pids == junk))

    @cached_property
    def distractors(self) -> IntArray:
        """Gallery columns of distractors."""
        distractor = self.protocol.distractor
        return np.flatnonzero(self.g_pids == distractor) if distractor is not None else _NONE

    @cached_property
    def _by_pid(self) -> tuple[IntArray, IntArray, IntArray]:
        """Gallery columns sorted by (pid, column), and each query's span in that order."""
        order = np.argsort(self.g_pids, kind="stable")
        pids = self.g_pids[order]
        return order, np.searchsorted(pids, self.q_pids, "left"), np.searchsorted(pids, self.q_pids, "right")

    def same_person(self, rows: slice) -> tuple[IntArray, IntArray]:
        """(row, column) of every pair with one identity, by row, then column; rows count from rows.start."""
        order, start, stop = self._by_pid
        start, length = start[rows], stop[rows] - start[rows]
        row = np.repeat(np.arange(len(length)), length)
        within = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
        return row, order[start[row] + within]

    def same_camera(self, rows: slice, row: IntArray, col: IntArray) -> BoolArray:
        """Whether the pairs were seen by one camera.  An unknown camera is the same as no other."""
        query = self.q_camids[rows][row]
        same: BoolArray = (query == self.g_camids[col]) & (query != UNKNOWN_CAMERA)
        return same

    def camera_columns(self, query: int) -> IntArray:
        """All gallery columns of the query's own camera."""
        camera = self.q_camids[query]
        return np.flatnonzero(self.g_camids == camera) if camera != UNKNOWN_CAMERA else _NONE


_NONE: IntArray = np.empty(0, dtype=np.int64)


def integers(name: str, values: npt.ArrayLike) -> IntArray:
    """One vector of whole numbers as int64."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise EvaluationError(f"{name} must be one vector, but has shape {array.shape}.")
    if array.size and array.dtype.kind not in "iu":
        raise EvaluationError(f"{name} must hold whole numbers, but holds {array.dtype}.")
    return array.astype(np.int64)


def unknown(pids: IntArray) -> IntArray:
    """No camera for anybody."""
    return np.full(len(pids), UNKNOWN_CAMERA, dtype=np.int64)


def few(rows: npt.NDArray[np.integer], limit: int = 8) -> str:
    """The first few row numbers, for a message."""
    more = f" and {len(rows) - limit} more" if len(rows) > limit else ""
    return ", ".join(str(int(row)) for row in rows[:limit]) + more
