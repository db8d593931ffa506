from __future__ import annotations

import errno
import json
import logging
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from resight.data import PixelCache, PixelStream, decode, open_pixels
from resight.data.loading import cache_file
from resight.data.loading import stream as stream_module
from resight.data.loading.base import Pixels, prefetch
from resight.errors import DatasetError, UsageError
from resight.files import cache_folder
from resight.types import Sample

from .made import picture

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (20, 10)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Forty pictures of three sizes and two formats, two of them no pictures at all."""
    made = []
    for i in range(40):
        path = tmp_path / "set" / f"{i:02d}.{'png' if i % 5 == 0 else 'jpg'}"
        picture(path, i, ((8, 16), (10, 20), (12, 15))[i % 3])
        made.append(Sample(path, i, 1, "train", "made"))
    made[3].path.write_bytes(b"")
    made[17].path.write_text("not a picture")
    return made


@pytest.mark.parametrize("mode", ["cache", "memory", "stream"])
def test_a_row_is_its_pictures_pixels(samples: list[Sample], mode: str) -> None:
    pixels: Pixels = open_pixels(samples, SIZE, mode=mode)  # type: ignore[arg-type]
    assert len(pixels) == len(pixels.samples) == 38
    index = np.array([37, 0, 5, 5, 16])
    taken = pixels.take(index)
    assert taken.shape == (5, 3, *SIZE) and taken.dtype == torch.uint8
    for row, image in zip(index, taken, strict=True):
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), decode(pixels.samples[row].path, SIZE))


@pytest.mark.parametrize("mode", ["cache", "memory", "stream"])
def test_unreadable_pictures_are_listed_with_the_reason(samples: list[Sample], mode: str) -> None:
    for _ in range(2):  # the second finds what the first wrote
        pixels = open_pixels(samples, SIZE, mode=mode)  # type: ignore[arg-type]
        assert [lost.index for lost in pixels.unreadable] == [3, 17]
        assert "03.jpg is empty" in pixels.unreadable[0].reason
        assert str(samples[17].path) in pixels.unreadable[1].reason


def test_nothing_readable_is_an_error(samples: list[Sample]) -> None:
    for mode in ("cache", "memory", "stream"):
        with pytest.raises(DatasetError, match=r"none of the 1 pictures can be read.*empty"):
            open_pixels(samples[3:4], SIZE, mode=mode)
    with pytest.raises(UsageError, match="choose auto, cache, memory"):
        open_pixels(samples, SIZE, mode="magic")  # type: ignore[arg-type]


def test_threads_change_nothing(samples: list[Sample], tmp_path: Path) -> None:
    one = PixelCache(samples, SIZE, folder=tmp_path / "a", workers=1)
    many = PixelCache(samples, SIZE, folder=tmp_path / "b", workers=5)
    assert one.file.read_bytes() == many.file.read_bytes() and one.file.name == many.file.name


def test_a_second_run_decodes_nothing(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    first = PixelCache(samples, SIZE)
    monkeypatch.setattr(cache_file, "decode_rows", None)
    again = PixelCache(samples, SIZE)
    index = np.arange(len(first))
    assert torch.equal(first.take(index), again.take(index))


@pytest.mark.parametrize("readable", [True, False])
def test_a_stream_looks_at_every_picture_once(
    samples: list[Sample], readable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [samples[row] for row in (0, 1, 3)][: 2 + (not readable)]
    first = PixelStream(chosen, SIZE)
    with monkeypatch.context() as patched:
        patched.setattr(stream_module, "_why_not", None)
        again = PixelStream(chosen, SIZE)
    assert again.samples == first.samples and again.unreadable == first.unreadable
    (memo,) = cache_folder().rglob("*.readable.json")
    memo.write_text('{"99": "elsewhere"}')
    assert PixelStream(chosen, SIZE).unreadable == first.unreadable


def test_the_key_is_the_content(samples: list[Sample], tmp_path: Path) -> None:
    file = PixelCache(samples, SIZE).file
    moved = [Sample(s.path.rename(tmp_path / s.path.name), s.pid, 1, "train", "made") for s in samples]
    assert PixelCache(moved, SIZE).file == file
    assert PixelCache(moved, (10, 20)).file != file
    assert PixelCache(moved, SIZE, interpolation="bicubic").file != file
    assert PixelCache(moved[::-1], SIZE).file != file
    data = bytearray(moved[1].path.read_bytes())
    data[-40] ^= 1  # same length
    moved[1].path.write_bytes(data)
    assert PixelCache(moved, SIZE).file != file


def test_progress_is_told(samples: list[Sample]) -> None:
    told: list[tuple[int, int]] = []
    PixelCache(samples, SIZE, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (40, 40) and sorted(told) == told


def test_damage_is_noticed_and_mended(samples: list[Sample], caplog: pytest.LogCaptureFixture) -> None:
    cache = PixelCache(samples, SIZE)
    right = cache.take(np.arange(38)).clone()
    with cache.file.open("r+b") as file:
        file.seek(5 * 600 + 77)
        file.write(b"\x55\xaa\x55")
    again = PixelCache(samples, SIZE)
    with caplog.at_level(logging.WARNING, "resight.data"):
        assert torch.equal(again.take(np.array([4, 5, 5, 6])), right[[4, 5, 5, 6]])
    assert "damaged" in caplog.text
    assert torch.equal(again.take(np.arange(38)), right)
    assert torch.equal(PixelCache(samples, SIZE).take(np.arange(38)), right)
    assert PixelCache(samples, SIZE)._stored.sums.shape == (38,)


@pytest.mark.parametrize("harm", ["truncate", "garble", "half", "rows"])
def test_a_broken_cache_is_made_anew(samples: list[Sample], harm: str) -> None:
    cache = PixelCache(samples, SIZE)
    right = cache.take(np.arange(38)).clone()
    meta = cache.file.with_suffix(".json")
    if harm == "truncate":
        os.truncate(cache.file, 1000)
    elif harm == "garble":
        meta.write_text("{")
    elif harm == "rows":
        kept = json.loads(meta.read_text())
        meta.write_text(json.dumps({**kept, "unreadable": [[999, "x"], *kept["unreadable"][1:]]}))
    else:
        meta.write_text(json.dumps({"sums": "00"}))
    assert torch.equal(PixelCache(samples, SIZE).take(np.arange(38)), right)


def test_nothing_half_written_stays(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PixelCache(samples, SIZE, progress=stop)
    assert not list(cache_folder().rglob("*.*"))


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_full_disk_means_memory_and_a_warning(
    samples: list[Sample], when: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(descriptor: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if when == "before":
        monkeypatch.setattr(cache_file, "room_on_disk", lambda _: 0)
    else:
        monkeypatch.setattr(cache_file, "_reserve", full)
    with caplog.at_level(logging.WARNING, "resight.data"):
        cache = PixelCache(samples, SIZE)
    assert "kept in memory" in caplog.text and "RESIGHT_CACHE" in caplog.text
    np.testing.assert_array_equal(cache.take(np.array([0]))[0].permute(1, 2, 0), decode(samples[0].path, SIZE))
    assert not list(cache_folder().rglob("*.p*"))


def test_where_the_disk_has_no_room_memory_or_a_stream_is_chosen(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(open_pixels(samples, SIZE), PixelCache)
    for module in ("open", "cache_file"):
        monkeypatch.setattr(f"resight.data.loading.{module}.room_on_disk", lambda _: 0)
    assert isinstance(open_pixels(samples, SIZE), PixelCache)
    monkeypatch.setattr("resight.data.loading.open.free_memory", lambda: 0)
    assert isinstance(open_pixels(samples, SIZE), PixelStream)


def test_the_users_folder_is_respected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("RESIGHT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == tmp_path / "xdg" / "resight"


@pytest.mark.parametrize("mode", ["cache", "stream"])
def test_batches_come_in_order(samples: list[Sample], mode: str) -> None:
    pixels = open_pixels(samples, SIZE, mode=mode)  # type: ignore[arg-type]
    indices = [np.array([i, i + 1]) for i in range(9)]
    for index, batch in zip(indices, pixels.batches(indices), strict=True):
        assert torch.equal(batch, pixels.take(index))


def test_prefetching_reads_ahead_only_so_far_and_stops_when_asked() -> None:
    taken: list[int] = []

    def take(index: np.ndarray) -> torch.Tensor:
        taken.append(int(index[0]))
        return torch.tensor(int(index[0]))

    stream = prefetch(take, (np.array([i]) for i in range(100)), ahead=2)
    assert [int(next(stream)) for _ in range(3)] == [0, 1, 2]
    stream.close()  # type: ignore[attr-defined]
    assert max(taken) <= 5
    with pytest.raises(ZeroDivisionError):
        list(prefetch(lambda index: torch.tensor(1 // int(index[0])), [np.array([0])]))


def test_a_picture_that_vanishes_from_a_stream_is_named(samples: list[Sample]) -> None:
    stream = PixelStream(samples, SIZE)
    stream.samples[0].path.unlink()
    with pytest.raises(DatasetError, match=r"no longer can: .*00.png"):
        stream.take(np.array([0]))


def test_the_argument_is_a_copy(samples: list[Sample]) -> None:
    cache = PixelCache(samples, SIZE)
    cache.take(np.array([0])).zero_()
    np.testing.assert_array_equal(cache.take(np.array([0]))[0].permute(1, 2, 0), decode(samples[0].path, SIZE))


def test_real_crops_decode_alike_on_both_ways(pku_root: Path) -> None:
    for path in sorted((pku_root / "query").glob("*.jpg"))[:20]:
        with Image.open(path) as image:
            np.testing.assert_allclose(decode(path).astype(int), np.asarray(image.convert("RGB")).astype(int), atol=1)
