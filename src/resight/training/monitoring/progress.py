"""Progress display: a bar with the time left and the losses, or plain lines in a log."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.progress import Progress, TaskID


class Display(Protocol):
    """Interface of progress displays."""

    def begin(self, title: str, total: int, done: int = 0) -> None: ...
    def advance(self, done: int, note: str = "") -> None: ...
    def say(self, message: str) -> None: ...
    def end(self) -> None: ...


class Silent:
    """Shows nothing."""

    def begin(self, title: str, total: int, done: int = 0) -> None: ...
    def advance(self, done: int, note: str = "") -> None: ...
    def say(self, message: str) -> None: ...
    def end(self) -> None: ...


@contextlib.contextmanager
def progress_of(display: Display, title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Context of work whose progress the display shows; gives the function to call with the number done."""
    display.begin(title, total)
    try:
        yield display.advance
    finally:
        display.end()


class Bar:
    """A rich progress bar on a terminal; elsewhere one line now and then, so that a log stays readable."""

    def __init__(self, console: Console, every_seconds: float = 20.0) -> None:
        self.console, self.every = console, every_seconds
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._title, self._total, self._began, self._first, self._told = "", 0, 0.0, 0, 0.0

    def begin(self, title: str, total: int, done: int = 0) -> None:
        self.end()
        self._title, self._total, self._first = title, max(total, 1), done
        self._began = time.monotonic()
        self._told = self._began
        if self.console.is_terminal:
            self._bar = _bar(self.console)
            self._task = self._bar.add_task(title, total=total, completed=done, note="")
            self._bar.start()
        else:
            self.console.print(f"{title} ...", highlight=False)

    def advance(self, done: int, note: str = "") -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, note=note)
            return
        now = time.monotonic()
        if now - self._told >= self.every or done == self._total:
            self._told = now
            speed = (done - self._first) / max(now - self._began, 1e-9)
            left = (self._total - done) / speed if speed > 0 else 0.0
            self.console.print(
                f"{self._title}: {100 * done // self._total} %, {left:.0f} s left  {note}", highlight=False
            )

    def say(self, message: str) -> None:
        self.console.print(message, highlight=False)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None


def _bar(console: Console) -> Progress:
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
        console=console,
    )
