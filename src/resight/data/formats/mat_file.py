"""MATLAB files of version 5, read as numbers, text, cells and structures; and the way to h5py for version 7.3.

The layout is MathWorks' "MAT-File Format", level 5.  These files come from anywhere, and a damaged one can end the
process in the usual reader: here every length is checked, and everything else (objects, functions) is refused.
"""

from __future__ import annotations

import importlib
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.errors import DatasetError, MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BYTES = 64 * 2**20  # of a file, packed and unpacked; those of the field have one or two million
DEEPEST = 20  # cells in structures in cells
HEADER = 128
ORDERS = {b"IM": "<", b"MI": ">"}  # the last two bytes of the header, as the machine wrote them
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # as stored
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}  # as meant
ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
MATRIX, COMPRESSED = 14, 15
CELL, STRUCTURE, TEXT = 1, 2, 4
COMPLEX = 0x0800


def optional(module: str, feature: str) -> Any:
    """Import an optional module of the extra `formats`; MissingExtraError where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(feature, "formats") from None


def load_mat(file: Path) -> dict[str, Any]:
    """Read the variables of a MATLAB v5 file: arrays, str, cells as object arrays, structures as dict.

    Raises:
        DatasetError: it is no such file, is damaged, or is too large.
    """
    if not file.is_file():
        raise DatasetError(f"{file} does not exist. Name the MATLAB file.")
    if file.stat().st_size > MAX_BYTES:
        raise DatasetError(f"{file} has {file.stat().st_size:,} bytes; expected at most {MAX_BYTES:,}. Fetch it again.")
    data = memoryview(file.read_bytes())
    order = ORDERS.get(bytes(data[HEADER - 2 : HEADER]), "")
    try:
        if not order or data[:4] == bytes(4):
            raise ValueError("its header is another one")
        return {name: value for name, value in _variables(data[HEADER:], order) if name}
    except (ValueError, struct.error, zlib.error) as broken:
        raise DatasetError(f"{file} cannot be read as a MATLAB v5 file: {broken}. Fetch it again.") from broken


def _variables(data: memoryview, order: str) -> Iterator[tuple[str, Any]]:
    room = MAX_BYTES
    for kind, content in _elements(data, order):
        if kind != COMPRESSED:
            yield _matrix(kind, content, order)
            continue
        unpacked = zlib.decompressobj().decompress(content, room)
        room -= len(unpacked)
        if room < 1:
            raise ValueError(f"it unpacks to more than {MAX_BYTES:,} bytes")
        for element in _elements(memoryview(unpacked), order):
            yield _matrix(*element, order)


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Kind and content of one element after the other."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        start, room = at + 8, size if kind == COMPRESSED else -(-size // 8) * 8
        if kind >> 16:  # a small one: both in four bytes, the content in the next four
            kind, size, start, room = kind & 0xFFFF, kind >> 16, at + 4, 4
        if size > min(room, len(data) - start):
            raise ValueError(f"an element of {size:,} bytes is cut short")
        yield kind, data[start : start + size]
        at = start + room


def _matrix(kind: int, data: memoryview, order: str, depth: int = 0) -> tuple[str, Any]:
    """Name and value of an array element."""
    if kind != MATRIX or depth > DEEPEST:
        raise ValueError(f"an element of kind {kind}, expected an array no deeper than {DEEPEST}")
    if not data:
        return "", np.empty((0, 0))
    parts = list(_elements(data, order))
    if len(parts) < 3:
        raise ValueError("an array without its size or name")
    flags, shape = (_numbers(part, order).astype(np.int64).tolist() for part in parts[:2])
    if not flags or min(shape, default=-1) < 0 or len(shape) > 32:
        raise ValueError("an array of impossible size")
    name = bytes(parts[2][1]).decode("latin-1")
    meant = flags[0] & 0xFF
    if meant in CLASSES and not flags[0] & COMPLEX:
        return name, _array(parts[3:], meant, shape, order)
    if meant == TEXT:
        return name, _text(parts[3:], shape, order)
    if meant == CELL:
        return name, _cells(parts[3:], math.prod(shape), order, depth).reshape(shape, order="F")
    if meant == STRUCTURE:
        return name, _structure(parts[3:], shape, order, depth)
    raise ValueError(f"an array of class {meant}; expected real numbers, text, cells or structures")


def _numbers(part: tuple[int, memoryview], order: str) -> NDArray[Any]:
    kind, data = part
    if kind not in NUMBERS:
        raise ValueError(f"an element of kind {kind}, expected numbers")
    return np.frombuffer(data, order + NUMBERS[kind])


def _array(parts: list[tuple[int, memoryview]], meant: int, shape: list[int], order: str) -> NDArray[Any]:
    values = _numbers(parts[0], order) if parts else np.empty(0)
    if values.size != math.prod(shape):
        raise ValueError(f"{values.size:,} numbers for an array of {' x '.join(map(str, shape))}")
    return values.astype(CLASSES[meant]).reshape(shape, order="F")


def _text(parts: list[tuple[int, memoryview]], shape: list[int], order: str) -> str | NDArray[Any]:
    """A row of characters is a str; several rows are an array of them."""
    kind, data = parts[0] if parts else (16, memoryview(b""))
    if kind not in ENCODINGS:
        raise ValueError(f"an element of kind {kind}, expected text")
    encoding = ENCODINGS[kind] + ({"<": "-le", ">": "-be"}[order] if kind in (4, 17, 18) else "")
    text = bytes(data).decode(encoding)
    if len(shape) != 2 or shape[0] < 2 or shape[0] * shape[1] != len(text):
        return text
    return np.array(["".join(text[row :: shape[0]]).rstrip() for row in range(shape[0])], object)


def _cells(parts: list[tuple[int, memoryview]], number: int, order: str, depth: int) -> NDArray[Any]:
    if len(parts) != number:
        raise ValueError(f"{len(parts):,} elements for {number:,} cells")
    cells = np.empty(number, object)
    for place, part in enumerate(parts):
        cells[place] = _matrix(*part, order, depth + 1)[1]
    return cells


def _structure(parts: list[tuple[int, memoryview]], shape: list[int], order: str, depth: int) -> Any:
    """One structure is a dict; several are an object array of them."""
    if len(parts) < 2 or _numbers(parts[0], order).size != 1:
        raise ValueError("a structure without names of fields")
    length, packed = int(_numbers(parts[0], order)[0]), bytes(parts[1][1]).decode("latin-1")
    number = math.prod(shape)
    if length < 1 or (number > 1 and not packed):  # no element would bound how many there are
        raise ValueError("fields without names")
    names = [packed[at : at + length].split("\0")[0] for at in range(0, len(packed), length)]
    values = _cells(parts[2:], len(names) * number, order, depth)
    records = np.empty(number, object)
    for place in range(number):
        records[place] = dict(zip(names, values[place * len(names) :][: len(names)], strict=True))
    return records[0] if number == 1 else records.reshape(shape, order="F")
