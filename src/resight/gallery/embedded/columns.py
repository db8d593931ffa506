"""The columns filters look at, in memory: which rows live, and their person, camera, label and time."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.gallery.embedded.neighbors import Mask, Positions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from sqlite3 import Cursor

    from numpy.typing import NDArray

    from resight.gallery.records import Filter

NAMED = ("pid", "camera", "label")
FEW = 12  # values compared one after the other
BLOCK = 16_384  # lines read at a time
BLANK = -1  # code of None


class Columns:
    """Rows ascending; a position here is a position in every column.  Filled on the first filter that asks.

    Changed in place and appended to, under the lock of `Searcher`; a search works on the first `n` entries it saw.
    """

    def __init__(self) -> None:
        self.n = 0
        self._rows, self._live = np.empty(0, np.int64), np.empty(0, np.bool_)
        self._codes = {name: np.empty(0, np.int32) for name in NAMED}
        self._times = {name: np.empty(0, np.float64) for name in ("time", "aged")}
        self._names: dict[str, dict[str, int]] = {name: {} for name in NAMED}
        self.filled = False

    @property
    def rows(self) -> Positions:
        return self._rows[: self.n]

    @property
    def last(self) -> int:
        return int(self._rows[self.n - 1]) if self.n else 0

    def append(self, rows: Positions, live: Mask) -> None:
        end = self.n + len(rows)
        if end > len(self._rows):
            self._reserve(max(end, 2 * self.n))
        self._rows[self.n : end], self._live[self.n : end] = rows, live
        for codes in self._codes.values():
            codes[self.n : end] = BLANK
        for times in self._times.values():
            times[self.n : end] = np.nan
        self.n = end

    def _reserve(self, size: int) -> None:
        def longer(old: NDArray[Any]) -> NDArray[Any]:
            new = np.empty(size, old.dtype)
            new[: self.n] = old[: self.n]
            return new

        self._rows, self._live = longer(self._rows), longer(self._live)
        self._codes = {name: longer(codes) for name, codes in self._codes.items()}
        self._times = {name: longer(times) for name, times in self._times.items()}

    def remove(self, rows: Positions) -> None:
        at, found = self.positions(rows)
        self._live[at[found]] = False

    def positions(self, rows: Positions) -> tuple[Positions, Mask]:
        """Positions of rows, and which of them are there."""
        at = np.searchsorted(self.rows, rows)
        found = at < self.n
        found[found] = self.rows[at[found]] == rows[found]
        return at, found

    def set(self, found: Cursor) -> None:
        """Lines (row, pid, camera, label, time, added); rows that are not here yet are left for later."""
        while lines := found.fetchmany(BLOCK):
            self._set(lines)

    def _set(self, lines: Sequence[Sequence[Any]]) -> None:
        at, found = self.positions(np.array([line[0] for line in lines], np.int64))
        at, lines = at[found], [line for line, is_here in zip(lines, found, strict=True) if is_here]
        for column, name in enumerate(NAMED, start=1):
            names = self._names[name]
            self._codes[name][at] = [
                BLANK if line[column] is None else names.setdefault(line[column], len(names)) for line in lines
            ]
        self._times["time"][at] = [np.nan if line[4] is None else line[4] for line in lines]
        self._times["aged"][at] = [line[5] if line[4] is None else line[4] for line in lines]

    def fill(self, found: Cursor) -> None:
        """All lines, for the first time."""
        self.set(found)
        self.filled = True

    def live(self) -> Mask:
        return self._live[: self.n].copy()

    def mask(self, where: Filter) -> Mask:
        """Which rows live and match; `where` asks for neither ids nor sources, which are not kept here."""
        mask, n = self.live(), self.n
        for name, wanted in (("pid", where.pids), ("camera", where.cameras), ("label", where.labels)):
            if wanted is not None:
                mask &= self._among(name, wanted)
        for name, unwanted in (("pid", where.exclude_pids), ("camera", where.exclude_cameras)):
            if unwanted:
                mask &= ~self._among(name, unwanted)
        if where.exclude_pair is not None:
            one, two = (self._among(name, [v]) for name, v in zip(NAMED[:2], where.exclude_pair, strict=True))
            mask &= ~(one & two)
        if where.after is not None:
            mask &= self._times["time"][:n] >= where.after
        if where.before is not None:
            mask &= self._times["time"][:n] < where.before
        if where.older_than is not None:
            mask &= self._times["aged"][:n] < where.older_than
        return mask

    def mask_of_rows(self, rows: Positions) -> Mask:
        """These rows, where they live."""
        mask = np.zeros(self.n, np.bool_)
        at, found = self.positions(rows)
        mask[at[found]] = True
        return mask & self._live[: self.n]

    def _among(self, name: str, wanted: Sequence[str]) -> Mask:
        """Rows whose value is one of these.  A comparison each is quicker than a lookup, up to some."""
        column, known = self._codes[name][: self.n], self._names[name]
        codes = [known[value] for value in wanted if value in known]
        if len(codes) > FEW:
            return np.isin(column, codes)
        if not codes:
            return np.zeros(self.n, np.bool_)
        return functools.reduce(np.logical_or, (column == code for code in codes))
