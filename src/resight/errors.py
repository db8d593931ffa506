"""The exceptions of this package, as one tree.

ResightError                     something failed                        exit code 1
    DatasetError                 the data are not what was expected
        ImageError               one picture cannot be read
    CheckpointError              weights or a saved state cannot be used
    EvaluationError              the scores cannot be computed
    GalleryError                 a gallery cannot do what it was asked
        GalleryBusyError         another process holds the gallery; the same call succeeds later
    TrainingError                training cannot continue
        NotFiniteError           a loss or a gradient is infinite or not a number
    UsageError                   the request itself was wrong            exit code 2
        OptionError              an option's name or value
            RecipeError          of a recipe
        UnknownNameError         no such model, loss, data set, recipe
        MissingExtraError        an optional dependency is not installed
        NotFoundError            a file, folder or model that was named does not exist
            DatasetNotFoundError, ImageNotFoundError, ModelNotFoundError, GalleryNotFoundError,
            CalibrationNotFoundError
    Interrupted                  stopped on request, can be resumed      exit code 75

Every message is a sentence or two: what was found, what was expected, what to do.
"""

from __future__ import annotations

import copyreg
import difflib
import re
from collections.abc import Iterable
from typing import Any

# allowed in a file name but not in a line of text: control characters, line breaks, changes of direction, surrogates
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
LISTED = 12  # names a message lists before it counts the rest


def printable(text: str) -> str:
    """A text that is safe to print: UNSAFE characters are escaped."""
    return UNSAFE.sub(lambda sign: ascii(sign[0])[1:-1], text)


class ResightError(Exception):
    """Base class of the errors of this package.

    Attributes:
        code: the error's name over HTTP.
        exit_code: the exit code of the command line.
    """

    code: str = "error"
    exit_code: int = 1

    def __str__(self) -> str:
        return "\n".join(map(printable, super().__str__().split("\n")))  # messages name files, whose names are not ours

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), *self.args)  # type: ignore[attr-defined]  # without calling __init__


class DatasetError(ResightError):
    """The data set on disk is not the one asked for, or cannot be used for it."""

    code = "dataset"


class ImageError(DatasetError):
    """A picture cannot be decoded, or is of a kind that is not accepted."""

    code = "image"


class CheckpointError(ResightError):
    """Weights or a training state cannot be loaded or written."""

    code = "checkpoint"


class EvaluationError(ResightError):
    """The arrays given do not allow an evaluation."""

    code = "evaluation"


class GalleryError(ResightError):
    """A gallery cannot do what it was asked: other vectors, a damaged file, a full disk."""

    code = "gallery"


class GalleryBusyError(GalleryError):
    """Another process is writing to the gallery; the same call succeeds later."""

    code = "gallery_busy"


class TrainingError(ResightError):
    """Training cannot continue: a loss that is not finite, no usable batch."""

    code = "training"


class NotFiniteError(TrainingError):
    """A loss or a gradient is infinite or not a number."""

    code = "not_finite"


class UsageError(ResightError):
    """The request is wrong: an option, a name, or a combination that does not exist."""

    code = "usage"
    exit_code = 2


class OptionError(UsageError):
    """An option's name or value is wrong; the message starts with the path of its key."""

    code = "option"


class RecipeError(OptionError):
    """A recipe's key or value is wrong; the message starts with the path of the key."""

    code = "recipe"


class MissingExtraError(UsageError):
    """A feature needs an optional dependency; the message holds the line that installs it."""

    code = "missing_extra"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs an optional part of resight. Install it with: pip install 'resight[{extra}]'"
        )


class UnknownNameError(UsageError):
    """A name that is in no table; the message suggests the nearest and lists some of the others.

    Args:
        kind: what was looked for, as in "model".
        name: what was asked for.
        known: every name there is.
        listing: the command that lists them all, for a table too long for a message.
    """

    code = "unknown_name"

    def __init__(self, kind: str, name: str, known: Iterable[str], listing: str = "") -> None:
        super().__init__(f"there is no {kind} named {name!r}.{suggestion(name, known)} {known_names(known, listing)}")


class NotFoundError(UsageError):
    """A file, folder or model that was named does not exist."""

    code = "not_found"


class DatasetNotFoundError(DatasetError, NotFoundError):
    """The folder or file of a data set does not exist."""

    code = "not_found"


class ImageNotFoundError(ImageError, NotFoundError):
    """A picture that was named does not exist."""

    code = "not_found"


class ModelNotFoundError(CheckpointError, NotFoundError):
    """There is no model under the name or path given."""

    code = "not_found"


class GalleryNotFoundError(GalleryError, NotFoundError):
    """There is no such gallery, no such backup of one, or no such record in it."""

    code = "not_found"


class CalibrationNotFoundError(EvaluationError, NotFoundError):
    """There is no file of a calibration under the path given."""

    code = "not_found"


class Interrupted(ResightError):  # noqa: N818 - a request, not an error
    """Stopped on request (Ctrl-C, SIGTERM) with everything saved; the same command resumes."""

    code = "interrupted"
    exit_code = 75


def suggestion(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest known name; empty where none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def known_names(known: Iterable[str], listing: str = "") -> str:
    """`Known: a, b, c.`, cut after LISTED names where a command lists them all."""
    names = sorted(known)
    if not listing or len(names) <= LISTED:
        return f"Known: {', '.join(names)}." + (f" List them with: {listing}" if listing else "")
    return f"There are {len(names)}; list them with: {listing}"
