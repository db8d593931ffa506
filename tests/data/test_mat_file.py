"""MATLAB v5 files: what scipy writes is read as scipy reads it, and damage ends in a sentence."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from resight.data.formats.mat_file import HEADER, MAX_BYTES, load_mat
from resight.errors import DatasetError

from . import forms

if TYPE_CHECKING:
    from pathlib import Path

scipy_io = pytest.importorskip("scipy.io")

KINDS = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
NUMBERS = arrays.arrays(
    st.sampled_from(KINDS), arrays.array_shapes(min_dims=2, max_dims=3, max_side=4), elements={"allow_nan": False}
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0", max_codepoint=0xFFFF), min_size=1, max_size=9)
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
VALUES = st.recursive(
    NUMBERS | TEXTS,
    lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3) | st.lists(inner, min_size=1, max_size=3),
    max_leaves=6,
)


def _cells(value: Any) -> Any:
    """Lists become cells, as MATLAB would have them."""
    if isinstance(value, dict):
        return {name: _cells(inner) for name, inner in value.items()}
    if isinstance(value, list):
        cells = np.empty((1, len(value)), object)
        cells[0, :] = [_cells(inner) for inner in value]
        return cells
    return value


def _same(ours: Any, given_: Any) -> bool:
    if isinstance(given_, dict):
        return ours.keys() == given_.keys() and all(_same(ours[name], inner) for name, inner in given_.items())
    if isinstance(given_, list):
        return ours.shape == (1, len(given_)) and all(map(_same, ours[0], given_))
    if isinstance(given_, str):
        return bool(ours == given_)
    return ours.dtype == given_.dtype and np.array_equal(ours, given_)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=3), st.booleans())
@example({"a": np.zeros((0, 3)), "b": np.zeros((2, 0), "u1"), "c": "ü名"}, True)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, variables: dict[str, Any], packed: bool
) -> None:
    file = tmp_path_factory.getbasetemp() / "written.mat"
    scipy_io.savemat(file, {name: _cells(value) for name, value in variables.items()}, do_compression=packed)
    ours = load_mat(file)
    assert ours.keys() == variables.keys()
    assert all(_same(ours[name], value) for name, value in variables.items())


def test_rows_of_text_and_several_structures(tmp_path: Path) -> None:
    rows = np.array(["1_001_1_01.png", "1_001_1_2.png"])
    people = np.array([(1, "ann"), (2, "bob")], dtype=[("pid", object), ("name", object)])
    scipy_io.savemat(tmp_path / "x.mat", {"rows": rows, "people": people})
    ours = load_mat(tmp_path / "x.mat")
    assert ours["rows"].tolist() == rows.tolist()
    assert [(int(one["pid"].item()), one["name"]) for one in ours["people"].ravel()] == [(1, "ann"), (2, "bob")]


def _file(*elements: bytes, order: str = "<") -> bytes:
    end = {"<": b"\x00\x01IM", ">": b"\x01\x00MI"}[order]
    return b"MATLAB 5.0 MAT-file".ljust(HEADER - 4) + end + b"".join(elements)


def _element(kind: int, content: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(content)) + content.ljust(-(-len(content) // 8) * 8, b"\0")


def _array(name: bytes, shape: list[int], *parts: bytes, kind: int = 9, order: str = "<") -> bytes:
    head = _element(6, struct.pack(f"{order}II", kind, 0), order)
    size = _element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
    return _element(14, head + size + _element(1, name, order) + b"".join(parts), order)


def test_the_other_byte_order(tmp_path: Path) -> None:
    numbers = _element(3, struct.pack(">6h", 1, 2, 3, 4, 5, -6), ">")
    (tmp_path / "x.mat").write_bytes(_file(_array(b"x", [2, 3], numbers, kind=6, order=">"), order=">"))
    assert load_mat(tmp_path / "x.mat")["x"].tolist() == [[1, 3, 5], [2, 4, -6]]  # columns first, as MATLAB keeps them


BYTES = _element(2, bytes(6))
NESTED = b""
for _ in range(40):
    NESTED = _array(b"", [1, 1], NESTED, kind=1) if NESTED else _array(b"", [1, 1], kind=1)
BOMB = _element(15, zlib.compress(bytes(MAX_BYTES + 1000)))
IMPOSSIBLE = {
    "no header": (b"hello", "header"),
    "zeros": (bytes(500), "header"),
    "cut in a tag": (_file(b"\0\0\0"), "."),
    "longer than the file": (_file(struct.pack("<II", 14, 2**31)), "cut short"),
    "not an array": (_file(_element(2, b"12345678")), "kind 2"),
    "without a name": (_file(_element(14, _element(6, bytes(8)))), "without its size or name"),
    "too few numbers": (_file(_array(b"x", [2**30, 2**30], BYTES)), "6 numbers for an array"),
    "negative": (_file(_array(b"x", [-2, -3], BYTES)), "impossible size"),
    "too many cells": (_file(_array(b"x", [2**30, 2**30], kind=1)), "0 elements for"),
    "fields without a length": (_file(_array(b"x", [1, 1], _element(5, bytes(4)), BYTES, kind=2)), "without names"),
    "many structures of no fields": (
        _file(_array(b"x", [2**30, 2**30], _element(5, struct.pack("<i", 32)), _element(1, b""), kind=2)),
        "without names",
    ),
    "an object": (_file(_array(b"x", [1, 1], BYTES, kind=3)), "class 3"),
    "a function": (_file(_array(b"x", [1, 1], BYTES, kind=16)), "class 16"),
    "deeper than deep": (_file(NESTED), "no deeper than 20"),
    "a bomb": (_file(BOMB), "unpacks to more than"),
    "not zipped": (_file(_element(15, b"garbage!")), "."),
    "bad text": (_file(_array(b"x", [1, 1], _element(16, b"\xff"), kind=4)), "decode"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_the_impossible_gets_a_sentence(case: str, tmp_path: Path) -> None:
    content, sentence = IMPOSSIBLE[case]
    (tmp_path / "x.mat").write_bytes(content)
    with pytest.raises(DatasetError, match=rf"x.mat cannot be read as a MATLAB v5 file: .*{sentence}.*Fetch it again"):
        load_mat(tmp_path / "x.mat")


def test_what_is_no_file_or_a_vast_one_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        load_mat(tmp_path / "x.mat")
    with (tmp_path / "x.mat").open("wb") as out:
        out.truncate(2**31)  # takes no room on the disk
    with pytest.raises(DatasetError, match="bytes; expected at most"):
        load_mat(tmp_path / "x.mat")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return forms.market_attributes(tmp_path_factory.mktemp("whole") / "market_attribute.mat").read_bytes()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), min_size=1, max_size=8), st.integers(0, 400))
def test_damage_gives_a_table_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    """The reader this one stands in for ends the whole process on many of these."""
    data = bytearray(whole)
    for place, value in changes:
        data[place % len(data)] = value
    file = tmp_path_factory.getbasetemp() / "damaged.mat"
    file.write_bytes(data[: len(data) - cut])
    try:
        load_mat(file)
    except DatasetError as error:
        assert "damaged.mat cannot be read" in str(error)
