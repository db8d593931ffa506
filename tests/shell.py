"""The command line called within the test's process, which saves the seconds of starting Python with torch."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from resight.cli import main


@dataclass(frozen=True)
class Done:
    """What a call printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def resight(*arguments: object) -> Done:
    """`resight ARGUMENTS` with output and exit code as the shell would see them."""
    words = [str(argument) for argument in arguments]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code = 0
    with redirect_stdout(out), redirect_stderr(err), mock.patch.object(sys, "argv", ["resight", *words]):
        try:
            main(words)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return Done(code, *texts)
