"""Marks, log, backup, Parquet, copies, re-embedding, recall."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from resight.errors import GalleryError
from resight.gallery import Gallery, Record
from tests.gallery.conftest import DIM, people
from tests.gallery.test_gallery import jpeg


@pytest.fixture
def filled(tmp_path: Path) -> Any:
    with Gallery.open(tmp_path / "filled", dim=DIM, fingerprint="abc") as gallery:
        count = 30
        gallery.add(
            people(count), ids=[f"{i:02}" for i in range(count)], pids=[i % 4 for i in range(count)],
            cameras=[None if i % 5 == 0 else i % 3 for i in range(count)], times=[float(i) for i in range(count)],
            labels=["x"] * count, notes=["ö"] * count, images=[jpeg(8 * i) for i in range(count)],
        )  # fmt: skip
        yield gallery


def everything(gallery: Gallery) -> list[tuple[Record, bytes, bytes | None]]:
    records = gallery.list(limit=1000)
    vectors = gallery.vectors([record.id for record in records])
    return [(r, v.tobytes(), gallery.picture(r.id)) for r, v in zip(records, vectors, strict=True)]


def test_a_copy_is_equal(filled: Gallery, tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "copy", dim=DIM, fingerprint="abc") as other:
        for _ in range(2):
            assert filled.copy_to(other) == 30
            assert everything(other) == everything(filled)
    with Gallery.open(tmp_path / "other", dim=DIM) as other, pytest.raises(GalleryError, match="another model"):
        filled.copy_to(other)


def test_backup_and_restore(filled: Gallery, tmp_path: Path) -> None:
    filled.backup(tmp_path / "mall.backup")
    whole = everything(filled)
    filled.delete(everything=True)
    with Gallery.restore(tmp_path / "mall.backup", tmp_path / "restored") as restored:
        assert everything(restored) == whole
        assert restored.search(people(1), k=3) != [[]]
    with pytest.raises(GalleryError, match="already"):
        Gallery.restore(tmp_path / "mall.backup", filled.folder)
    torn = (tmp_path / "mall.backup").read_bytes()
    (tmp_path / "torn").write_bytes(torn[: len(torn) // 2])
    with pytest.raises(GalleryError):
        Gallery.restore(tmp_path / "torn", tmp_path / "never")
    assert not (tmp_path / "never" / "gallery.sqlite").exists()


def test_parquet_there_and_back(filled: Gallery, tmp_path: Path) -> None:
    assert filled.export_parquet(tmp_path / "mall.parquet") == 30
    with Gallery.open(tmp_path / "back", dim=DIM, fingerprint="abc") as back:
        assert back.import_parquet(tmp_path / "mall.parquet") == 30
        assert [pair[:2] for pair in everything(back)] == [pair[:2] for pair in everything(filled)]
        assert all(picture for *_, picture in everything(back))
    other = Gallery.open(tmp_path / "other", dim=DIM, fingerprint="xyz")
    with other, pytest.raises(GalleryError, match="another model"):
        other.import_parquet(tmp_path / "mall.parquet")


@pytest.mark.parametrize("change", ["metadata", "column", "vector", "text", "torn", "id"])
def test_a_parquet_file_that_is_none_of_ours_adds_nothing(filled: Gallery, tmp_path: Path, change: str) -> None:
    path = tmp_path / "mall.parquet"
    filled.export_parquet(path)
    table = pq.read_table(path)
    if change == "metadata":
        table = table.replace_schema_metadata({})
    elif change == "column":
        table = table.drop_columns(["camera"])
    elif change == "vector":
        lists = pa.FixedSizeListArray.from_arrays(pa.array(np.full(30 * DIM, np.nan, np.float32)), DIM)
        table = table.set_column(table.schema.get_field_index("vector"), "vector", lists)
    elif change == "id":
        table = table.set_column(0, "id", pa.array([""] * 30))
    pq.write_table(table, path)
    if change in ("text", "torn"):
        path.write_bytes(b"hello" if change == "text" else path.read_bytes()[:-20])
    with Gallery.open(tmp_path / "back", dim=DIM, fingerprint="abc") as back:
        with pytest.raises(Exception, match=r".") as caught:
            back.import_parquet(path)
        assert type(caught.value).__module__ == "resight.errors"
        assert len(back) == 0


def test_reembedding_takes_the_original_else_what_was_kept(tmp_path: Path) -> None:
    Image.new("RGB", (30, 60), (200, 0, 0)).save(tmp_path / "there.png")
    Image.new("RGB", (30, 60), (0, 200, 0)).save(tmp_path / "gone.png")

    def embed(images: Any) -> Any:
        import io

        return np.array([np.asarray(Image.open(io.BytesIO(data))).mean((0, 1)) for data in images])

    with Gallery.open(tmp_path / "old", dim=DIM) as old, Gallery.open(tmp_path / "new", dim=3) as new:
        images = [tmp_path / "there.png", tmp_path / "gone.png"]
        old.add(people(3), ids=["a", "b", "c"], pids=[1, 2, 3], images=[*images, None])
        (tmp_path / "gone.png").unlink()
        lost = old.reembed_to(new, embed)
        assert [record.id for record in lost] == ["c"]
        assert [(r.id, r.pid, r.added) for r in new.list()] == [(r.id, r.pid, r.added) for r in old.list()[:2]]
        np.testing.assert_allclose(new.vectors(["a", "b"]), [[1, 0, 0], [0, 1, 0]], atol=0.02)
        assert new.picture("b") == old.picture("b")


def test_marks_are_kept_replaced_and_forgotten(filled: Gallery) -> None:
    filled.mark("03", True, 0.9, query="q")
    filled.mark("03", False, 0.8, query="q")
    filled.mark("04", True, 0.7)
    kept = [(m.id, m.same, m.similarity, m.query) for m in filled.marks()]
    assert kept == [("03", False, 0.8, "q"), ("04", True, 0.7, "")]
    filled.delete("04")
    assert [m.id for m in filled.marks()] == ["03"]
    with pytest.raises(GalleryError, match="no record"):
        filled.mark("04", True, 0.5)


def test_lines_of_waiting_threads_go_to_disk_together(filled: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    database, transactions = filled.backend.database, []
    writing = database.writing

    def counted() -> Any:
        transactions.append(1)
        return writing()

    monkeypatch.setattr(database, "writing", counted)
    with ThreadPoolExecutor(8) as pool:
        with writing():  # all eight wait for this one
            noted = [pool.submit(filled.note, "look", actor=f"a{number}") for number in range(8)]
            time.sleep(0.3)
        wait(noted)
    assert sorted(line.actor for line in filled.log(8)) == [f"a{number}" for number in range(8)]
    assert len(transactions) <= 2


def test_every_thread_hears_that_its_line_was_not_written(filled: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    database = filled.backend.database

    def full() -> None:
        raise GalleryError("the disk is full")

    with ThreadPoolExecutor(4) as pool, database.writing():
        noted = [pool.submit(filled.note, "look", actor="late") for _ in range(4)]
        time.sleep(0.2)
        monkeypatch.setattr(database, "writing", full)
    assert all(isinstance(each.exception(), GalleryError) for each in noted)
    monkeypatch.undo()
    filled.note("look", actor="after")
    assert filled.log(1)[0].actor == "after"
    assert "late" not in {line.actor for line in filled.log(50)}


def test_the_log_tells_deletions_always_and_everything_with_audit(filled: Gallery, tmp_path: Path) -> None:
    filled.search(people(1))
    filled.delete(["01", "02"])
    (line,) = filled.log()
    assert (line.action, line.detail) == ("delete", {"records": 2, "ids": ["01", "02"]})
    with Gallery.open(tmp_path / "audited", dim=DIM, audit=True, actor="ann") as gallery:
        ids = gallery.add(people(2))
        gallery.update(ids, label="x")
        gallery.search(people(3), k=4)
        gallery.delete(ids[0])
        gallery.note("login", actor="bob")
        gallery.compact()
        assert [e.action for e in gallery.log()] == ["compact", "login", "delete", "search", "update", "add"]
        assert {e.actor for e in gallery.log()} == {"ann", "bob"}
        assert gallery.log(2)[1].actor == "bob"


def test_recall_is_one_where_search_is_exact(filled: Gallery) -> None:
    found = filled.measure_recall(k=5, queries=10)
    assert {line.condition for line in found} == {"all records", "camera 0", "camera 1", "camera 2"}
    assert all(line.recall == 1.0 for line in found)
    assert found[0].records == 30 and found[0].ms > 0


def test_recall_sees_what_is_missed(filled: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = filled.search

    def worse(vectors: Any, k: int, exact: bool, where: Any) -> Any:
        hits = whole(vectors, k, exact=exact, where=where)
        return hits if exact else [hits[0][::2]]

    monkeypatch.setattr(filled, "search", worse)
    assert 0.5 <= filled.measure_recall(k=10, queries=10)[0].recall < 0.6
