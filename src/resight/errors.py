"""What can go wrong, as one family.

ResightError                 something failed            exit code 1
    DatasetError             the data are not what was expected
        ImageError           one picture cannot be read
    CheckpointError          weights or a saved state cannot be used
    EvaluationError          the verdict cannot be computed
    GalleryError             a gallery cannot do what it was asked
        GalleryBusyError     another process holds the gallery; the same call succeeds later
    TrainingError            the loop cannot go on
        NotFiniteError       a loss or a gradient that is no number
    UsageError               the question itself was wrong        exit code 2
        RecipeError          a recipe's key or value
        UnknownNameError     no such model, loss, dataset, recipe
        MissingExtraError    an optional dependency is not installed
    Interrupted              stopped on request, can be resumed   exit code 75

Every message is a sentence or two: what was found, what was expected, what to do.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

# in the name of a file but not in a line of text: controls, line breaks, turned direction, bytes that are no text
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """A text that may be shown anywhere: UNSAFE signs are spelled out."""
    return UNSAFE.sub(lambda sign: ascii(sign[0])[1:-1], text)


class ResightError(Exception):
    """Base of every error this package raises on purpose.  `code` names it over HTTP, `exit_code` on the shell."""

    code: str = "error"
    exit_code: int = 1

    def __str__(self) -> str:
        return "\n".join(map(printable, super().__str__().split("\n")))  # messages name files, and files are not ours

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args)  # to another process, whatever __init__ wants


def _again(kind: type[ResightError], args: tuple[Any, ...]) -> ResightError:
    return kind.__new__(kind, *args)


class DatasetError(ResightError):
    """The data set on disk is not what was asked for."""

    code = "dataset"


class ImageError(DatasetError):
    """One picture cannot be decoded, or is not a picture we accept."""

    code = "image"


class CheckpointError(ResightError):
    """Weights or a training state that cannot be loaded."""

    code = "checkpoint"


class EvaluationError(ResightError):
    """The arrays do not allow a verdict."""

    code = "evaluation"


class GalleryError(ResightError):
    """A gallery cannot do what it was asked: other vectors, a damaged file, a full disk."""

    code = "gallery"


class GalleryBusyError(GalleryError):
    """Another process is writing to the gallery; the same call succeeds later."""

    code = "gallery_busy"


class TrainingError(ResightError):
    """Training cannot go on: a loss that is not finite, no usable batch."""

    code = "training"


class NotFiniteError(TrainingError):
    """A loss or a gradient came out as infinity or not a number."""

    code = "not_finite"


class UsageError(ResightError):
    """The question was wrong: an option, a name, a combination that does not exist."""

    code = "usage"
    exit_code = 2


class RecipeError(UsageError):
    """A recipe's key or value is wrong; the message starts with the path of the key."""

    code = "recipe"


class MissingExtraError(UsageError):
    """A feature needs an optional dependency.  The message is the line that installs it."""

    code = "missing_extra"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs an optional part of resight. Install it with: pip install 'resight[{extra}]'"
        )


class UnknownNameError(UsageError):
    """A name that is in no table.  The message offers the nearest and lists the rest."""

    code = "unknown_name"

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"there is no {kind} named {name!r}.{guess} Known: {', '.join(names)}.")


class Interrupted(ResightError):  # noqa: N818 - not an error of anybody's
    """Stopped on request (Ctrl-C, SIGTERM) with everything saved; the same command goes on from there."""

    code = "interrupted"
    exit_code = 75
