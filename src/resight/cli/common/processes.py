"""Verbs in several processes, and verbs that are stopped."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from resight.errors import Interrupted, ResightError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

F = TypeVar("F", bound="Callable[..., Any]")


def distributed(function: F) -> F:
    """Join the processes torchrun started before the verb runs.  Only rank 0 prints, and an error is printed once."""

    @functools.wraps(function)
    def joined(**options: Any) -> Any:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return function(**options)
        from resight.dist.processes import first_to_report, process_group

        try:
            with process_group(options["device"]), contextlib.nullcontext() if first() else _mute():
                return function(**options)
        except ResightError as error:
            if first_to_report(str(error)):
                raise
            sys.exit(error.exit_code)

    return joined  # type: ignore[return-value]


def first() -> bool:
    """Whether this process is rank 0, which alone writes and prints."""
    from resight.dist import rank

    return rank() == 0


@contextlib.contextmanager
def _mute() -> Iterator[None]:
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


@contextlib.contextmanager
def interruptible(sentence: str) -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C into Interrupted with `sentence`, that is, into the exit code of a resumable stop.

    For the times in which the training loop does not handle them itself: while pictures are read, between the runs of
    a sweep.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(sentence) from None
    finally:
        signal.signal(signal.SIGTERM, before)
