"""Camera, time and person from the name of a picture or from its EXIF."""

from __future__ import annotations

import io
import re
from datetime import datetime
from typing import Any

from resight.errors import UsageError
from resight.gallery.records import moment

Known = dict[str, Any]
FIELDS = {"pid": r"[^/_]+?", "camera": r"[^/_]+?", "label": r"[^/_]+?", "time": r"[0-9][0-9T:.Z+-]*"}
TAKEN, ZONE, SUB_IFD = 0x9003, 0x9011, 0x8769  # EXIF: DateTimeOriginal, OffsetTimeOriginal, where they stand


class NamePattern:
    """`{pid}_{camera}_{time}` reads `anna_c2_20260301T140500.jpg`; `*` is anything.

    With a slash the pattern is held against the path below the folder, without one against the file's name; the
    ending of the file is not part of it.  A person, camera or label is anything without a slash or underscore.
    """

    def __init__(self, text: str) -> None:
        parts = re.split(r"(\{\w*\}|\*)", text)
        names = [part[1:-1] for part in parts if part.startswith("{")]
        if not names or len(set(names)) != len(names) or not set(names) <= set(FIELDS):
            raise UsageError(
                f"--pattern {text!r}: expected a file name with some of {', '.join(f'{{{name}}}' for name in FIELDS)}, "
                f"each once, as in {{pid}}_{{camera}}_{{time}}."
            )
        self.whole_path = "/" in text
        self._regex = re.compile("".join(map(_piece, parts)), re.DOTALL)

    def read(self, name: str) -> Known:
        """What the name says; nothing where the pattern does not fit."""
        stem = name.rpartition(".")[0] or name
        found = self._regex.fullmatch(stem if self.whole_path else stem.rpartition("/")[2])
        if found is None:
            return {}
        known: Known = dict(found.groupdict())
        if "time" in known:
            known["time"] = time_in_name(known["time"])
        return {key: value for key, value in known.items() if value is not None}


def _piece(part: str) -> str:
    """A part of a pattern as a regular expression."""
    if part.startswith("{"):
        return f"(?P<{part[1:-1]}>{FIELDS[part[1:-1]]})"
    return ".*?" if part == "*" else re.escape(part)


def time_in_name(text: str) -> float | None:
    """Seconds since 1970 from 14 digits of date and time, from 13 of milliseconds, or from seconds.

    Separators do not matter: 20260301T140500, 2026-03-01T14-05-00 and 20260301140500 are one moment, in UTC unless a
    zone follows: Z, +01:00 or +0100.
    """
    body, zone = re.fullmatch(r"(.*?)(Z|[+-]\d\d:?\d\d)?", text, re.DOTALL).groups()  # type: ignore[union-attr]
    digits = re.sub(r"\D", "", body)
    try:
        if len(digits) >= 14:
            whole = datetime.strptime(digits[:14] + (zone or "Z"), "%Y%m%d%H%M%S%z").timestamp()
            return whole + (float(f"0.{digits[14:]}") if len(digits) > 14 else 0.0)
        if len(digits) == 13:
            return int(digits) / 1000
        return float(text)
    except ValueError:
        return None


def from_exif(data: bytes) -> Known:
    """The time a picture was taken, where its EXIF tells; in UTC where it names no zone."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "TIFF", "PNG", "WEBP")) as image:
            said = image.getexif().get_ifd(SUB_IFD)
        stamp, zone = str(said[TAKEN]).strip("\0 "), str(said.get(ZONE, "")).strip("\0 ")
        taken = datetime.strptime(stamp, "%Y:%m:%d %H:%M:%S").isoformat()
        return {"time": moment(taken + zone if re.fullmatch(r"[+-]\d\d:\d\d", zone) else taken)}
    except Exception:  # Pillow raises whatever its plug-ins meet; a picture without a readable time has none
        return {}
