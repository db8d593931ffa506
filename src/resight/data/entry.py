"""One row of the table of data sets: how a set is read, recognized, counted and scored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from resight.data.dataset import Dataset, SplitCounts


@dataclass(frozen=True)
class Detection:
    """Why a folder was recognized, and the reader's options that follow from what lies there."""

    why: str
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetEntry:
    """A data set or a format, as its own file describes it.

    Attributes:
        read: `read(root, **options)` gives the `Dataset`.
        detect: tells whether a folder holds it; None where the folder cannot tell.
        counts: the published sizes of train, query and gallery; empty for a format, whose sets are of any size.
        protocol: fields of `resight.evaluation.Protocol` in which its rules differ from Market-1501's.
        pattern: how its files are named, for a message.
        example: one such name.
        aliases: other names people write.
        doctor_options: reader options `resight data check` passes by itself.
    """

    read: Callable[..., Dataset]
    detect: Callable[[Path], Detection | None] | None = None
    counts: Mapping[str, SplitCounts] = field(default_factory=dict)
    protocol: Mapping[str, object] = field(default_factory=dict)
    pattern: str = ""
    example: str = ""
    aliases: tuple[str, ...] = ()
    doctor_options: Mapping[str, object] = field(default_factory=dict)
