"""Person and camera from a file name, by a pattern that is tried on ten names before it is applied to all.

`{pid}_c{camid}_{frame}` reads `anna_c2_0017.jpg`.  `{pid}` is anything without a slash up to the text that follows it
in the pattern, `{camid}` and `{frame}` are digits, `*` is anything; the rest stands for itself.  The whole base name
without its ending must fit; a pattern with a slash is compared with the path below the root instead.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resight.data.dataset_ops import number_persons
from resight.data.formats.filenames import first_few
from resight.errors import DatasetError, UsageError
from resight.types import UNKNOWN_CAMERA, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIELDS = {"pid": r"-1|(?:{not_next}[^/])+?", "camid": r"[0-9]{1,18}", "frame": r"[0-9]{1,18}"}
TRIED = 10
USUAL = (  # common in the field, the strictest first
    "{pid}_c{camid}s*_{frame}_*",
    "{pid}_c{camid}_f{frame}",
    "{pid}_c{camid}_{frame}",
    "{pid}_c{camid}_*",
    "{pid}_c{camid}",
    "{pid}_cam{camid}_*",
    "cam{camid}/{pid}/*",
    "cam{camid}/{pid}_*",
    "cam{camid}/{pid}",
)


@dataclass(frozen=True)
class Reading:
    """The fields a pattern reads in one name; None where it does not fit."""

    name: str
    fields: dict[str, str] | None


class Pattern:
    """A compiled pattern; UsageError where the text is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        parts = re.split(r"(\{\w*\}|\*)", text)
        names = [part[1:-1] for part in parts if part.startswith("{")]
        strange = [name for name in names if name not in FIELDS]
        if strange or len(set(names)) != len(names) or "pid" not in names:
            wrong = (
                f"has {', '.join('{' + name + '}' for name in strange)}"
                if strange
                else "lacks {pid} or repeats a field"
            )
            raise UsageError(f"pattern {text!r} {wrong}. Use {{pid}} once, perhaps {{camid}} and {{frame}}, and *.")
        self._regex = re.compile("".join(map(_piece, parts, [*parts[1:], ""])), re.ASCII)

    def read(self, path: Path, root: Path) -> Reading:
        """The fields of one picture's name."""
        place = path.relative_to(root).with_suffix("")
        name = place.as_posix() if "/" in self.text else place.name
        match = self._regex.fullmatch(name)
        shown = path.relative_to(root).as_posix() if "/" in self.text else path.name
        return Reading(shown, match.groupdict() if match else None)


def _piece(part: str, following: str) -> str:
    """The regular expression of one part; a person's name does not hold the literal text that follows it."""
    if part == "*":
        return ".*?"
    if not part.startswith("{"):
        return re.escape(part)
    literal = following if following and following[0] not in "{*" else ""
    field = FIELDS[part[1:-1]].replace("{not_next}", f"(?!{re.escape(literal)})" if literal else "")
    return f"(?P<{part[1:-1]}>{field})"


def try_pattern(pattern: Pattern, paths: Sequence[Path], root: Path) -> list[Reading]:
    """Read ten names, spread over all, by the pattern.

    Raises:
        DatasetError: a name does not fit, or all ten give one person.
    """
    chosen = [paths[i * len(paths) // TRIED] for i in range(TRIED)] if len(paths) > TRIED else list(paths)
    readings = [pattern.read(path, root) for path in chosen]
    failed = [reading.name for reading in readings if reading.fields is None]
    if failed:
        raise DatasetError(
            f"pattern {pattern.text!r} does not fit {len(failed)} of {len(readings)} names tried, as "
            f"{first_few(failed)}. Every name must fit from end to end, without its ending; * stands for anything."
        )
    people = {reading.fields["pid"] for reading in readings if reading.fields}
    if len(people) == 1 and len(readings) == TRIED:
        raise DatasetError(
            f"pattern {pattern.text!r} reads person {people.pop()!r} in all {TRIED} names tried, as {chosen[0].name}: "
            f"it catches a number that all share, perhaps the folder's. Move {{pid}} to what differs."
        )
    return readings


def usual_pattern(paths: Sequence[Path], root: Path) -> str | None:
    """The first of the usual patterns that reads ten of the names."""
    for text in USUAL:
        with contextlib.suppress(DatasetError):
            try_pattern(Pattern(text), paths, root)
            return text
    return None


def read_people(pattern: Pattern, paths: Sequence[Path], root: Path) -> tuple[list[Sample], list[str], dict[str, int]]:
    """Samples, all of split train until they are split; notes on names that do not fit; the pid of each name."""
    readings = [(path, pattern.read(path, root).fields) for path in paths]
    strange = [path.name for path, fields in readings if fields is None]
    numbers = number_persons(fields["pid"] for _, fields in readings if fields is not None)
    samples = [
        Sample(
            path,
            numbers[fields["pid"]],
            int(fields.get("camid") or UNKNOWN_CAMERA),
            "train",
            "people",
            int(fields["frame"]) if fields.get("frame") else None,
        )
        for path, fields in readings
        if fields is not None
    ]
    notes = [f"left out names that do not fit {pattern.text!r} ({len(strange):,}): {first_few(strange)}"]
    return samples, notes if strange else [], numbers
