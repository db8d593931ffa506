"""Searches that do not compare with every vector, and the files they are made from."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight.errors import GalleryBusyError
from resight.gallery import Gallery
from resight.gallery.embedded import neighbors as kernels
from tests.gallery.conftest import people

DIM, COUNT, K = 64, 3000, 20
VECTORS = people(COUNT, DIM, seed=1)
IDS = [f"{row:05}" for row in range(COUNT)]
CAMERAS = ["rare" if row % 500 == 0 else "few" if row % 20 == 1 else f"c{row % 2}" for row in range(COUNT)]


@pytest.fixture(params=["cosine", "euclidean"])
def large(tmp_path: Path, small_index: None, request: pytest.FixtureRequest) -> Iterator[Gallery]:
    pytest.importorskip("faiss")
    with Gallery.open(tmp_path / "g", dim=DIM, metric=request.param) as gallery:
        for start in range(0, COUNT, 250):
            rows = slice(start, start + 250)
            gallery.add(VECTORS[rows], ids=IDS[rows], cameras=CAMERAS[rows])
        yield gallery


def recall(gallery: Gallery, **options: Any) -> float:
    queries = VECTORS[::60]
    quick, exact = gallery.search(queries, K, **options), gallery.search(queries, K, exact=True, **options)
    for mine, true in zip(quick, exact, strict=True):
        assert len(mine) == len(true)
        assert [h.similarity for h in mine] == sorted((h.similarity for h in mine), reverse=True)
    shared = [len({h.id for h in a} & {h.id for h in b}) / len(b) for a, b in zip(quick, exact, strict=True)]
    return float(np.mean(shared))


@pytest.mark.parametrize(
    "options", [{}, {"cameras": "c0"}, {"cameras": "few"}, {"cameras": "rare"}, {"exclude_cameras": ["c0"]}]
)
def test_recall_with_and_without_filters(large: Gallery, options: dict[str, Any]) -> None:
    assert large.stats()["segments"] and large.stats()["search"] != "exact"
    large.optimize()
    assert len(large.stats()["segments"]) == 1
    assert len({path.stem for path in (large.folder / "index").iterdir()}) == 1  # no file of a segment it replaced
    assert recall(large, **options) >= 0.98


def test_a_filter_on_what_lies_far_away_still_gives_k(large: Gallery) -> None:
    """The query's own surroundings hold nothing that matches: candidates are widened, then all are compared."""
    near = np.argsort(-(VECTORS @ VECTORS[0]))[: COUNT // 2]
    large.update([IDS[row] for row in near], label="near")
    large.update([IDS[row] for row in range(COUNT) if row not in set(near.tolist())], label="far")
    hits = large.search(VECTORS[0], K, labels="far")[0]
    exact = large.search(VECTORS[0], K, labels="far", exact=True)[0]
    assert [h.id for h in hits] == [h.id for h in exact] and len(hits) == K


@pytest.mark.parametrize("damage", ["removed", "torn codes", "torn vectors", "foreign", "folder"])
def test_derived_files_are_made_again(large: Gallery, damage: str) -> None:
    large.close()
    index = large.folder / "index"
    codes, vectors = next(index.glob("*.codes")), next(index.glob("*.vectors"))
    if damage == "folder":
        for path in index.iterdir():
            path.unlink()
        index.rmdir()
    elif damage == "removed":
        vectors.unlink()
    elif damage == "foreign":
        codes.write_bytes(b"not an index of faiss" * 100)
    else:
        torn = codes if damage == "torn codes" else vectors
        torn.write_bytes(torn.read_bytes()[:-8])
    with Gallery.open(large.folder) as again:
        assert again.verify()
        assert again.search(VECTORS[5], 1)[0][0].id == IDS[5]
        assert again.verify() == [] and again.stats()["segments"]


def test_a_vector_changed_behind_our_back_is_seen(large: Gallery) -> None:
    vectors = next((large.folder / "index").glob("*.vectors"))
    data = bytearray(vectors.read_bytes())
    data[100] ^= 1
    vectors.write_bytes(data)
    assert "differs" in large.verify()[0]
    large.compact()
    assert large.verify() == []


def test_compacting_beside_a_reader_leaves_an_index(large: Gallery) -> None:
    with Gallery.open(large.folder) as other, other.backend.database.reading() as reader:
        reader.execute("SELECT seq FROM state").fetchone()  # only now it holds a state
        with large.backend.database.writing() as sql:
            sql.execute("PRAGMA busy_timeout=0")
        with pytest.raises(GalleryBusyError, match="Compact again"):
            large.compact()
        assert large.stats()["segments"]
    large.compact()
    assert large.verify() == [] and large.search(VECTORS[5], 1)[0][0].id == IDS[5]


def test_an_index_that_cannot_be_written_does_not_stop_anything(
    tmp_path: Path, small_index: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("resight.gallery.embedded.segments.write", full)
    with Gallery.open(tmp_path / "g", dim=DIM) as gallery, caplog.at_level(logging.WARNING):
        gallery.add(VECTORS, ids=IDS)
        assert gallery.search(VECTORS[9], 1)[0][0].id == IDS[9]
        assert gallery.stats()["segments"] == []
    assert "No space left" in caplog.text


def test_without_faiss_the_same_hits(large: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = VECTORS[::100]
    with_faiss = large.search(queries, K, exclude_cameras=["c1"], exact=True)
    monkeypatch.setattr(kernels, "faiss", lambda: None)
    monkeypatch.setattr("resight.gallery.embedded.searcher.faiss", lambda: None)
    without = large.search(queries, K, exclude_cameras=["c1"], exact=True)
    assert [[h.id for h in hits] for hits in without] == [[h.id for h in hits] for hits in with_faiss]
    with Gallery.open(large.folder) as again:
        assert again.search(VECTORS[7], 1)[0][0].id == IDS[7]
        assert again.stats()["search"] == "exact"


def test_one_instance_sees_what_another_writes(large: Gallery) -> None:
    with Gallery.open(large.folder) as other:
        assert other.search(VECTORS[3], 1, cameras=CAMERAS[3])[0][0].id == IDS[3]
        large.delete(IDS[3])
        assert other.search(VECTORS[3], 1, cameras=CAMERAS[3])[0][0].id != IDS[3]
        large.add(VECTORS[3], ids=["back"], cameras=["new"])
        assert other.search(VECTORS[3], 1, cameras="new")[0][0].id == "back"
        large.update("back", camera="newer")
        assert other.search(VECTORS[3], 1, cameras="newer")[0][0].id == "back"
        large.compact()
        assert other.search(VECTORS[3], 1)[0][0].id == "back" and len(other) == COUNT


def test_threads_share_a_gallery(large: Gallery) -> None:
    failures: list[BaseException] = []

    def search() -> None:
        try:
            for row in range(0, 200, 5):
                hits = large.search(VECTORS[row + 1000], 5, exclude_cameras=["c1"])[0]
                assert len(hits) == 5 and all(hit.camera != "c1" for hit in hits)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for start in range(0, 900, 50):
        large.delete(IDS[start : start + 10])
        large.add(VECTORS[start : start + 50], ids=[f"again{row}" for row in range(start, start + 50)])
    for thread in threads:
        thread.join()
    assert failures == []
