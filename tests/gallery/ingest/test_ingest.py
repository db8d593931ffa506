"""Pictures and what is known of them, from folders, tables and archives; indexing that goes on after a stop."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from resight.errors import DatasetError, NotFoundError, UsageError
from resight.gallery import Gallery
from resight.gallery.ingest.ingest import ingest
from resight.gallery.ingest.source_metadata import NamePattern, from_exif, time_in_name
from resight.gallery.ingest.sources import Reading, count_of, pictures_of
from tests.gallery.test_gallery import jpeg

NOON = 1772366400.0  # 2026-03-01T12:00 UTC


class Colors:
    """Embeds a picture as its mean color, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def tolerant(self, pictures: Any) -> Any:
        self.asked += len(pictures)
        vectors, broken = [], []
        for index, data in enumerate(pictures):
            try:
                vectors.append(np.asarray(Image.open(io.BytesIO(data))).mean((0, 1)))
            except OSError as error:
                broken.append(SimpleNamespace(index=index, name=f"picture {index}", reason=str(error)))
        return np.array(vectors, np.float32).reshape(-1, 3), broken


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "crops"
    for number, name in enumerate(["anna_c1_20260301T120000.jpg", "b/7_c2_20260301120001.jpg", "b/other.jpg", "x.jpg"]):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(jpeg(50 * number))
    (home / ".hidden.jpg").write_bytes(jpeg(1))
    (home / "notes.txt").write_text("no picture")
    (home / "b" / "link").symlink_to(home)
    return home


def known_in(where: Path, reading: Reading = Reading()) -> dict[str, dict[str, Any]]:  # noqa: B008 - frozen
    return {Path(p.source).name: p.known for p in pictures_of(where, reading) if p.data is not None}


def test_a_folder_is_searched_to_the_bottom_once(folder: Path) -> None:
    assert [Path(p.source).name for p in pictures_of(folder, Reading())] == [
        "anna_c1_20260301T120000.jpg", "7_c2_20260301120001.jpg", "other.jpg", "x.jpg",
    ]  # fmt: skip
    assert count_of(folder) == 4


def test_shares_of_several_processes_are_the_whole(folder: Path) -> None:
    shared = [p.source for rank in range(3) for p in pictures_of(folder, Reading(), (rank, 3))]
    assert sorted(shared) == sorted(p.source for p in pictures_of(folder, Reading()))


def test_names_tell_person_camera_and_time(folder: Path) -> None:
    found = known_in(folder, Reading(pattern=NamePattern("{pid}_{camera}_{time}")))
    assert found["anna_c1_20260301T120000.jpg"] == {"pid": "anna", "camera": "c1", "time": NOON}
    assert found["7_c2_20260301120001.jpg"] == {"pid": "7", "camera": "c2", "time": NOON + 1}
    assert found["x.jpg"] == {}
    assert known_in(folder, Reading(pattern=NamePattern("{camera}/*")))["other.jpg"] == {"camera": "b"}


@pytest.mark.parametrize("text", ["{who}", "no field", "{pid}_{pid}", ""])
def test_a_pattern_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="--pattern"):
        NamePattern(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20260301T120000", NOON), ("2026-03-01T12-00-00", NOON), ("1772366400", NOON), ("1772366400000", NOON),
     ("20260301120000250", NOON + 0.25), ("99999999999999", None), ("20260301T120000Z", NOON),
     ("2026-03-01T13:00:00+01:00", NOON), ("20260301T070000.5-0500", NOON + 0.5)],
)  # fmt: skip
def test_times_in_names(text: str, seconds: float | None) -> None:
    assert time_in_name(text) == seconds


def test_sidecars_and_the_order_of_who_is_believed(folder: Path) -> None:
    (folder / "x.jpg.json").write_text(json.dumps({"pid": "eve", "camera": "c9", "time": "2026-03-01T12:00"}))
    assert known_in(folder, Reading(sidecars=True))["x.jpg"] == {"pid": "eve", "camera": "c9", "time": NOON}
    reading = Reading({"camera": "all"}, NamePattern("{label}"), sidecars=True)
    assert known_in(folder, reading)["x.jpg"] == {"pid": "eve", "camera": "all", "time": NOON, "label": "x"}
    (folder / "x.jpg.json").write_text("[1]")
    with pytest.raises(DatasetError, match="JSON"):
        known_in(folder, Reading(sidecars=True))


@pytest.mark.parametrize(
    ("said", "found"),
    [({"time": str(NOON)}, {"time": NOON}), ({"pid": 7.0, "camera": 0}, {"pid": "7", "camera": "0"}),
     ({"camid": 3}, {"camera": "3"})],
)  # fmt: skip
def test_a_sidecar_is_read_as_a_row_of_a_table(folder: Path, said: dict[str, Any], found: dict[str, Any]) -> None:
    (folder / "x.json").write_text(json.dumps(said))
    assert known_in(folder, Reading(sidecars=True))["x.jpg"] == found


@pytest.mark.parametrize("said", [{"time": "yesterday"}, {"pid": ["eve"]}, {"label": 1.5}])
def test_a_sidecar_with_a_value_that_is_none_is_named(folder: Path, said: dict[str, Any]) -> None:
    (folder / "x.json").write_text(json.dumps(said))
    with pytest.raises(DatasetError, match="x.json"):
        known_in(folder, Reading(sidecars=True))


def test_exif_tells_the_time() -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9003: "2026:03:01 13:00:00", 0x9011: "+01:00"})
    Image.new("RGB", (8, 8)).save(out, "JPEG", exif=exif)
    assert from_exif(out.getvalue()) == {"time": NOON}
    assert from_exif(jpeg(3)) == from_exif(b"nothing") == {}


def test_tables(folder: Path) -> None:
    (folder / "list.csv").write_text("path,pid,camid,time\nx.jpg,eve,3,2026-03-01T12:00\nb/other.jpg,,,1772366400\n")
    expected = {"x.jpg": {"pid": "eve", "camera": "3", "time": NOON}, "other.jpg": {"time": NOON}}
    assert known_in(folder / "list.csv") == expected
    rows = {"path": ["x.jpg", "b/other.jpg"], "pid": ["eve", None], "camera": ["3", None], "time": [NOON, NOON]}
    pq.write_table(pa.table(rows), folder / "list.parquet")
    assert known_in(folder / "list.parquet") == expected
    columns = {"path": rows["path"], "pid": pa.array([7.0, None]), "camera": pa.array([0, 1])}  # as pandas writes gaps
    pq.write_table(pa.table(columns), folder / "numbers.parquet")
    numbers = {"x.jpg": {"pid": "7", "camera": "0"}, "other.jpg": {"camera": "1"}}
    assert known_in(folder / "numbers.parquet") == numbers
    (folder / "list.txt").write_text("x.jpg\n\nb/other.jpg\n")
    assert list(known_in(folder / "list.txt")) == ["x.jpg", "other.jpg"]
    (folder / "bad.csv").write_text("path,time\nx.jpg,yesterday\n")
    with pytest.raises(DatasetError, match="yesterday"):
        known_in(folder / "bad.csv")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_archives_are_read_without_writing_anything(folder: Path, tmp_path: Path, kind: str) -> None:
    where = tmp_path / f"crops.{kind}"
    names = ["a_c1_1.jpg", "../../evil.jpg", "/etc/evil.jpg", "readme.txt"]
    if kind == "zip":
        with zipfile.ZipFile(where, "w") as archive:
            for number, name in enumerate(names):
                archive.writestr(name, jpeg(60 * number))
    else:
        with tarfile.open(where, "w:gz" if kind == "tar.gz" else "w") as archive:
            for number, name in enumerate(names):
                info = tarfile.TarInfo(name)
                info.size = len(jpeg(60 * number))
                archive.addfile(info, io.BytesIO(jpeg(60 * number)))
            link = tarfile.TarInfo("link.jpg")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    found = list(pictures_of(where, Reading(pattern=NamePattern("{pid}_{camera}_*"))))
    assert [p.data for p in found] == [jpeg(0), jpeg(60), jpeg(120)]
    assert found[0].source == f"{where}/a_c1_1.jpg" and found[0].known == {"pid": "a", "camera": "c1"}
    assert sorted(tmp_path.rglob("*")) == before
    where.write_bytes(where.read_bytes()[: where.stat().st_size // 2])
    with pytest.raises(DatasetError, match="archive"):
        list(pictures_of(where, Reading()))


def test_too_large_a_member_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resight.gallery.ingest.sources.MAX_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.jpg", b"\0" * 10_000_000)
    (picture,) = pictures_of(tmp_path / "bomb.zip", Reading())
    assert picture.data is None and "more than 1,000" in picture.reason


def test_a_damaged_member_is_left_out_and_the_others_are_read(tmp_path: Path) -> None:
    where = tmp_path / "crops.zip"
    with zipfile.ZipFile(where, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", jpeg(0))
        archive.writestr("b.jpg", jpeg(60))
    content = bytearray(where.read_bytes())
    begin = content.index(b"a.jpg") + len("a.jpg")
    content[begin : begin + 8] = b"\xff" * 8  # no block of DEFLATE begins like this
    where.write_bytes(content)
    first, second = pictures_of(where, Reading())
    assert first.data is None and "a.jpg cannot be read" in first.reason
    assert second.data == jpeg(60)


def test_indexing_again_embeds_only_what_is_new(folder: Path, tmp_path: Path) -> None:
    embed = Colors()
    seen: list[int] = []
    with Gallery.open(tmp_path / "g", dim=3) as gallery:
        done = ingest(gallery, pictures_of(folder, Reading()), embed, seen.append)
        assert (done.added, done.known, done.unreadable, seen) == (4, 0, [], [4])
        (folder / "new.jpg").write_bytes(jpeg(240))
        (folder / "broken.jpg").write_bytes(b"no picture")
        (folder / "empty.jpg").write_bytes(b"")
        done = ingest(gallery, pictures_of(folder, Reading()), embed)
        assert (done.added, done.known, len(done.unreadable), embed.asked) == (1, 4, 2, 7)
        assert {record.source for record in gallery.list()} == {
            str(path) for path in folder.rglob("*.jpg")
            if path.name not in (".hidden.jpg", "broken.jpg", "empty.jpg") and "link" not in path.parts
        }  # fmt: skip


def test_a_stop_loses_only_the_block_it_was_in(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resight.gallery.ingest.ingest.BLOCK", 2)

    class Stopped(Colors):
        def tolerant(self, pictures: Any) -> Any:
            if self.asked == 2:
                raise KeyboardInterrupt
            return super().tolerant(pictures)

    with Gallery.open(tmp_path / "g", dim=3) as gallery:
        with pytest.raises(KeyboardInterrupt):
            ingest(gallery, pictures_of(folder, Reading()), Stopped())
        assert len(gallery) == 2
        embed = Colors()
        assert ingest(gallery, pictures_of(folder, Reading()), embed).added == embed.asked == 2


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no"):
        list(pictures_of(tmp_path / "nothing", Reading()))
