"""What a gallery stores and returns: `Record`, `Hit`, `Person`, and `Filter` to choose among records.

Importing this module imports neither torch nor a back-end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, TypedDict

from resight.errors import UsageError
from resight.types import UNKNOWN_CAMERA

Moment: TypeAlias = "float | str | datetime"
Field = Literal["pid", "camera", "label", "source"]
FIELDS: tuple[Field, ...] = ("pid", "camera", "label", "source")
UNKNOWN_PID = -2  # as embedding files have it
MAX_TEXT = 4096  # characters of an id, name, source, label or note


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One picture of a person in a gallery, without its vector.  None where nothing is known."""

    id: str
    pid: str | None = None
    camera: str | None = None
    time: float | None = None  # seconds since 1970-01-01 UTC
    source: str = ""  # where the picture came from
    label: str | None = None  # a word of the user's own, to filter by
    note: str | None = None  # free text
    added: float = 0.0  # seconds since 1970-01-01 UTC: when the id was first added
    picture: bool = False  # a thumbnail is kept


PLURAL = {"id": "ids", "pid": "pids", "camera": "cameras", "time": "times", "source": "sources", "label": "labels",
          "note": "notes"}  # fields of a record -> the columns of `Gallery.add`  # fmt: skip
RECORD_FIELDS = tuple(field.name for field in fields(Record))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit(Record):
    """A record found by a search.

    similarity: cosine, or minus the Euclidean distance; larger is more alike.
    probability: chance of being the same person, where the gallery has a calibration.
    """

    similarity: float
    probability: float | None = None

    @classmethod
    def of(cls, record: Record, similarity: float, probability: float | None) -> Hit:
        return cls(**{name: getattr(record, name) for name in RECORD_FIELDS}, similarity=similarity,
                   probability=probability)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """Hits of one person, best first.  pid is None for a record nobody is named on, which stands alone."""

    pid: str | None
    hits: tuple[Hit, ...]

    @property
    def similarity(self) -> float:
        """That of the best hit."""
        return self.hits[0].similarity


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A user's judgment of a hit, right or wrong: what a calibration on one's own people is made from."""

    id: str  # of the record that was hit
    same: bool  # whether it shows the person asked for
    similarity: float
    query: str = ""  # the record or picture that was asked with
    at: float = 0.0  # seconds since 1970-01-01 UTC
    actor: str = ""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line of the log: who did what, when."""

    at: float
    actor: str
    action: str
    detail: dict[str, Any]


class Conditions(TypedDict, total=False):
    """The keyword arguments every method with a filter takes; `Filter` says what they mean."""

    pids: Iterable[str | int] | str | int | None
    exclude_pids: Iterable[str | int] | str | int
    cameras: Iterable[str | int] | str | int | None
    exclude_cameras: Iterable[str | int] | str | int
    labels: Iterable[str] | str | None
    sources: Iterable[str] | str | None
    after: Moment | None
    before: Moment | None
    older_than: Moment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Conditions a record must all meet.  None asks for nothing; an empty list is met by no record.

    ids, pids, cameras, labels: the record's value is one of these.  exclude_pids, exclude_cameras: it is none of
    these; records of unknown person or camera stay.  sources: the record's source is one of these, or begins with one
    that ends in "/".  after, before: after <= time < before; records without a time do not meet them.
    older_than: the time, or where there is none the moment of adding, is earlier.
    exclude_pair: not this person in this camera.
    """

    ids: tuple[str, ...] | None = None
    pids: tuple[str, ...] | None = None
    exclude_pids: tuple[str, ...] = ()
    cameras: tuple[str, ...] | None = None
    exclude_cameras: tuple[str, ...] = ()
    labels: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    after: float | None = None
    before: float | None = None
    older_than: float | None = None
    exclude_pair: tuple[str, str] | None = None

    @classmethod
    def of(cls, where: Filter | None = None, conditions: Conditions | None = None) -> Filter:
        """From the keyword arguments of a method, or the filter itself.  Raises UsageError for an unknown keyword."""
        if where is not None:
            if conditions:
                raise UsageError("give either where= or single conditions, not both.")
            return where
        given: dict[str, Any] = dict(conditions or {})
        known = {field.name for field in fields(cls)} - {"ids", "exclude_pair"}
        if strange := sorted(given.keys() - known):
            raise UsageError(f"there is no condition {strange[0]!r}. Known: {', '.join(sorted(known))}.")
        for name, value in given.items():
            if name in ("after", "before", "older_than"):
                given[name] = moment(value)
            elif value is not None:
                given[name] = _names(name, value)
        given = {name: () if value is None and name.startswith("exclude") else value for name, value in given.items()}
        return cls(**given)

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return self != Filter()

    def matches(self, record: Record) -> bool:
        """Whether a record meets every condition.  Back-ends answer the same by their own means."""
        wanted = ((self.ids, record.id), (self.pids, record.pid), (self.cameras, record.camera),
                  (self.labels, record.label))  # fmt: skip
        if any(values is not None and value not in values for values, value in wanted):
            return False
        if record.pid in self.exclude_pids or record.camera in self.exclude_cameras:
            return False
        if self.exclude_pair is not None and self.exclude_pair == (record.pid, record.camera):
            return False
        if self.sources is not None and not any(_below(record.source, source) for source in self.sources):
            return False
        return self._in_time(record)

    def _in_time(self, record: Record) -> bool:
        if self.older_than is not None and (record.added if record.time is None else record.time) >= self.older_than:
            return False
        if self.after is None and self.before is None:
            return True
        return record.time is not None and (
            (self.after is None or self.after <= record.time) and (self.before is None or record.time < self.before)
        )


def _below(source: str, wanted: str) -> bool:
    return source == wanted or (wanted.endswith("/") and source.startswith(wanted))


def _names(name: str, value: object) -> tuple[str, ...]:
    """One value or several, as texts without repeats in their order."""
    several = [value] if isinstance(value, str | int) else value
    if not isinstance(several, Iterable):
        raise UsageError(f"{name} is a list of names; found {value!r}.")
    return tuple(dict.fromkeys(known for one in several if (known := text(one, name)) is not None))


def text(value: object, what: str) -> str | None:
    """A name as text: whole numbers become their digits, the numbers for 'unknown' and None become None.

    Raises UsageError for anything else, a text that is too long, or one with a zero byte.
    """
    if value is None:
        return None
    if isinstance(value, str):
        if len(value) > MAX_TEXT or "\0" in value or not _encodable(value):
            raise UsageError(
                f"{what}: a text has at most {MAX_TEXT} characters and no zero byte; found {value[:40]!r}."
            )
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UsageError(f"{what}: expected a name or a whole number; found {value!r}.")
    number = value.__index__()
    unknown = {"pids": UNKNOWN_PID, "cameras": UNKNOWN_CAMERA}.get(what)
    return None if number == unknown else str(number)


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def moment(value: Moment | None) -> float | None:
    """Seconds since 1970-01-01 UTC from a number, a datetime or ISO 8601 text; without a zone it is read as UTC."""
    if value is None:
        return None
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        seconds = float(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(f"{value!r} is no time; give seconds since 1970 or text such as 2026-03-01T14:05.") from error
    if not math.isfinite(seconds):
        raise UsageError(f"{seconds} is no time; leave it None where none is known.")
    return seconds


def column(values: Sequence[Any] | None, count: int, what: str) -> list[Any]:
    """A column of `count` values, or of None.  Raises UsageError for another length, or for a single text."""
    if values is None:
        return [None] * count
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        raise UsageError(f"{what} is a list with one entry a vector; found {type(values).__name__}.")
    if len(values) != count:
        raise UsageError(f"{count} vectors but {len(values)} {what}; give one entry a vector, None where unknown.")
    return list(values)
