"""Pictures that show the same shot are found, whatever was done to the file; two persons are never one."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from resight.data import load_dataset
from resight.data.doctor.examine import examine
from resight.data.doctor.near_duplicates import SAME, THUMB, candidates, coarse, correlation, near_pairs, thumbnail
from resight.data.loading.decode import decode, resize

from .forms import table
from .made import market

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from resight.data.loading.decode import Pixels8


@pytest.fixture(scope="module")
def shots() -> list[tuple[int, Pixels8]]:
    """Sixty pictures of the bundled people, three of each of twenty, with who they show."""
    train = load_dataset("sample").train
    people = sorted({sample.pid for sample in train})[:20]
    return [
        (pid, decode(sample.path)) for pid in people for sample in [sample for sample in train if sample.pid == pid][:3]
    ]


def _saved_anew(pixels: Pixels8) -> Pixels8:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=30)
    return decode(out.getvalue())


def _cut(pixels: Pixels8) -> Pixels8:
    """Two per cent off every side."""
    height, width = pixels.shape[:2]
    y, x = max(1, round(0.02 * height)), max(1, round(0.02 * width))
    return pixels[y:-y, x:-x]


CHANGES: dict[str, Callable[[Pixels8], Pixels8]] = {
    "saved anew": _saved_anew,
    "half the size": lambda pixels: resize([pixels], (pixels.shape[0] // 2, pixels.shape[1] // 2))[0],
    "darker": lambda pixels: (pixels * 0.7).astype(np.uint8),
    "cut": _cut,
    "shifted": lambda pixels: pixels[2:, 1:],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_nobody_else(change: str, shots: list[tuple[int, Pixels8]]) -> None:
    originals = np.stack([thumbnail(pixels) for _, pixels in shots])
    copies = np.stack([thumbnail(CHANGES[change](pixels)) for _, pixels in shots])
    pairs = near_pairs(copies, originals)
    found = {i for i, j in pairs if i == j}
    assert len(found) >= 0.95 * len(shots)
    assert all(shots[i][0] == shots[j][0] for i, j in pairs)  # never two persons


def test_two_persons_stay_well_apart() -> None:
    samples = [sample for sample in load_dataset("sample").gallery if sample.pid > 0]
    thumbs = np.stack([thumbnail(decode(sample.path)) for sample in samples])
    hashes, pids = coarse(thumbs), np.array([sample.pid for sample in samples])
    rows, columns = candidates(hashes, hashes)
    others = pids[rows] != pids[columns]
    assert others.any()
    assert correlation(thumbs[rows[others]], thumbs[columns[others]]).max() < SAME - 0.05


def test_candidates_are_the_double_loop() -> None:
    generator = np.random.default_rng(0)
    a, b = (generator.integers(0, 2**64, n, dtype=np.uint64) for n in (700, 9))
    b[3] = a[600] ^ np.uint64(0b1011)
    b[4] = a[600] ^ np.uint64(0b11011)
    slow = [(i, j) for i in range(700) for j in range(9) if (int(a[i]) ^ int(b[j])).bit_count() <= 3]
    rows, columns = candidates(a, b, bits=3)
    assert list(zip(rows, columns, strict=True)) == slow == [(600, 3)]


def test_the_correlation_of_a_shifted_thumbnail_is_one() -> None:
    large = np.random.default_rng(1).integers(0, 256, (1, THUMB[0] + 4, THUMB[1] + 4, 3), dtype=np.uint8)
    middle, moved = large[:, 2:-2, 2:-2], large[:, 4:, 1:-3]
    assert correlation(middle, moved) == pytest.approx(1)
    assert correlation(middle, 255 - middle) < 0.2
    flat = np.full((1, *THUMB, 3), 7, np.uint8)
    assert correlation(flat, flat) == 0  # a picture of one colour is like nothing


def test_many_thumbnails_are_compared_in_parts(shots: list[tuple[int, Pixels8]]) -> None:
    one = thumbnail(shots[0][1])
    assert near_pairs(np.stack([one] * 26), np.stack([one] * 20)) == [(i, j) for i in range(26) for j in range(20)]


def test_the_doctor_looks_on_request(tmp_path: Path, shots: list[tuple[int, Pixels8]]) -> None:
    root = market(tmp_path)
    picture = Image.fromarray(shots[0][1])
    picture.save(root / "bounding_box_train" / "0002_c1s1_000451_03.jpg", quality=95)
    picture.save(root / "query" / "0001_c1s1_001051_00.jpg", quality=60)
    assert "near_duplicates" not in {finding.code for finding in examine(root).findings}
    (finding,) = [finding for finding in examine(root, near=True).findings if finding.code == "near_duplicates"]
    assert "1 pair of pictures of train and test look alike" in finding.what
    assert "train/0002_c1s1_000451_03.jpg = query/0001_c1s1_001051_00.jpg" in finding.what


def test_a_table_is_looked_at_by_the_name_of_its_file(tmp_path: Path, shots: list[tuple[int, Pixels8]]) -> None:
    file = table(tmp_path) / "people.csv"
    for name, quality in (("a.jpg", 95), ("d.jpg", 60)):  # train and gallery
        Image.fromarray(shots[0][1]).save(tmp_path / name, quality=quality)
    assert "near_duplicates" in {finding.code for finding in examine(file, near=True).findings}


def test_pictures_that_are_not_alike_give_no_pair() -> None:
    """Candidates by the coarse hash, none of which passes the second step."""
    flat = np.stack([np.full((*THUMB, 3), value, np.uint8) for value in (0, 60, 120)])
    assert len(candidates(coarse(flat), coarse(flat))[0]) == 9
    assert near_pairs(flat, flat) == []
