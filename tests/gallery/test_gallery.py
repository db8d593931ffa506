"""What a gallery promises to whoever calls it."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resight.errors import GalleryError, ImageError, UsageError
from resight.evaluation import rerank
from resight.gallery import Filter, Gallery
from tests.gallery.conftest import DIM, people


def jpeg(color: int, side: int = 24) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, 2 * side), (color, 255 - color, 30)).save(out, "JPEG")
    return out.getvalue()


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, resight.gallery; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_record_comes_back_as_it_was_given(gallery: Gallery) -> None:
    vectors = people(2)
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ids = gallery.add(vectors, pids=[7, None], cameras=["c3", -1], times=[moment, None], sources=["a/b.jpg", None],
                      labels=["staff", None], notes=["red coat", None])  # fmt: skip
    first, second = (gallery.get(id) for id in ids)
    assert first is not None and second is not None
    assert (first.pid, first.camera, first.time, first.source) == ("7", "c3", moment.timestamp(), "a/b.jpg")
    assert (first.label, first.note, first.picture) == ("staff", "red coat", False)
    assert (second.pid, second.camera, second.time, second.source) == (None, None, None, "")
    assert gallery.get("nobody") is None
    np.testing.assert_array_equal(gallery.vectors(ids), vectors)


def test_hits_are_the_nearest_first_and_carry_their_records(gallery: Gallery) -> None:
    vectors = people(50)
    ids = gallery.add(vectors, pids=range(50))
    hits = gallery.search(vectors[7], k=5)[0]
    order = np.argsort(-(vectors @ vectors[7]), kind="stable")[:5]
    assert [hit.id for hit in hits] == [ids[row] for row in order]
    assert [hit.pid for hit in hits] == [str(row) for row in order]
    np.testing.assert_allclose([hit.similarity for hit in hits], np.sort(vectors @ vectors[7])[::-1][:5], rtol=1e-5)


def test_euclidean_similarity_is_minus_the_distance(tmp_path: Path) -> None:
    vectors = 3 * people(20)
    with Gallery.open(tmp_path / "g", dim=DIM, metric="euclidean") as gallery:
        gallery.add(vectors)
        hits = gallery.search(vectors[0] + 0.1, k=20)[0]
    distances = np.sort(np.linalg.norm(vectors - vectors[0] - 0.1, axis=1))
    np.testing.assert_allclose([-hit.similarity for hit in hits], distances, rtol=1e-4)


def test_adding_again_updates_and_never_doubles(gallery: Gallery) -> None:
    vectors = people(3)
    ids = gallery.add(vectors, cameras=["c1"] * 3)
    assert gallery.add(vectors, cameras=["c1"] * 3, pids=[1, None, 3]) == ids
    assert gallery.add(vectors, cameras=["c1"] * 3, labels=["x", "x", None]) == ids
    assert len(gallery) == 3
    assert [(r.pid, r.label) for r in map(gallery.get, ids) if r] == [("1", "x"), (None, "x"), ("3", None)]


def test_an_id_given_again_with_another_vector_moves(gallery: Gallery) -> None:
    vectors = people(2)
    gallery.add(vectors[:1], ids=["a"], pids=[5])
    gallery.add(vectors[1:], ids=["a"])
    assert len(gallery) == 1
    (hit,) = gallery.search(vectors[1], k=5)[0]
    assert (hit.pid, round(hit.similarity, 5)) == ("5", 1.0)


def test_twins_stay_two(gallery: Gallery) -> None:
    """The same pixels in two cameras, or at two moments, are two records."""
    vector = np.repeat(people(1), 3, axis=0)
    images = [jpeg(9)] * 3
    assert len(set(gallery.add(vector, images=images, cameras=["c1", "c2", "c1"], times=[1, 1, 2]))) == 3
    assert len(gallery.search(vector[0], k=9)[0]) == 3


def test_one_id_twice_in_one_call_is_one_record(gallery: Gallery) -> None:
    vectors = people(2)
    assert gallery.add(vectors, ids=["a", "a"], pids=[4, None], labels=[None, "late"]) == ["a", "a"]
    record = gallery.get("a")
    assert record is not None and (record.pid, record.label) == ("4", "late")
    np.testing.assert_array_equal(gallery.vectors(["a"])[0], vectors[1])


def test_pictures_are_kept_small_and_without_metadata(gallery: Gallery, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "maker of the camera"
    Image.new("RGB", (600, 900), "red").save(tmp_path / "a.jpg", exif=exif)
    (id,) = gallery.add(people(1), images=[tmp_path / "a.jpg"])
    kept = gallery.picture(id)
    assert kept is not None and b"maker" not in kept
    assert max(Image.open(io.BytesIO(kept)).size) == 256
    record = gallery.get(id)
    assert record is not None and record.picture and record.source == str(tmp_path / "a.jpg")


def test_a_picture_that_cannot_be_read_adds_nothing(gallery: Gallery) -> None:
    with pytest.raises(ImageError):
        gallery.add(people(2), images=[jpeg(1), b"no picture"])
    assert len(gallery) == 0


FILLED: dict[str, Any] = {
    "pids": [1, 1, 2, 2, 3, None], "cameras": ["c1", "c2", "c1", "c3", None, "c2"],
    "times": [10, 20, 30, 40, 50, None], "sources": ["d/a", "d/b", "e/a", "d", "d/e/f", "dd/x"],
    "labels": ["x", None, "x", "y", None, None],
}  # fmt: skip


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, "abcdef"),
        ({"cameras": ["c1", "c2"]}, "abcf"),
        ({"cameras": "c1"}, "ac"),
        ({"cameras": []}, ""),
        ({"cameras": ["c9"]}, ""),
        ({"exclude_cameras": ["c1"]}, "bdef"),
        ({"exclude_cameras": []}, "abcdef"),
        ({"pids": [1, 3]}, "abe"),
        ({"exclude_pids": 1}, "cdef"),
        ({"labels": "x"}, "ac"),
        ({"after": 20, "before": 40}, "bc"),
        ({"before": "1970-01-01T00:00:25"}, "ab"),
        ({"sources": "d/"}, "abe"),
        ({"sources": ["d", "e/a"]}, "cd"),
        ({"older_than": 35}, "abc"),
        ({"cameras": ["c1", "c2"], "pids": 1, "after": 15}, "b"),
    ],
)
def test_filters(gallery: Gallery, conditions: dict[str, Any], expected: str) -> None:
    """Count, list, facets and search choose the same records, as `Filter.matches` says."""
    vectors = people(6)
    gallery.add(vectors, ids=list("abcdef"), **FILLED)
    where = Filter.of(None, conditions)  # type: ignore[arg-type]
    assert "".join(r.id for r in gallery.list(**conditions)) == expected
    assert "".join(r.id for r in gallery.list() if where.matches(r)) == expected
    assert gallery.count(**conditions) == len(expected)
    assert sum(count for _, count in gallery.facets("camera", **conditions)) == len(expected)
    assert "".join(sorted(hit.id for hit in gallery.search(vectors[0], k=10, **conditions)[0])) == expected
    assert gallery.delete(where=where, everything=True) == len(expected)
    assert gallery.count() == 6 - len(expected)


def test_facets_are_ordered_by_count(gallery: Gallery) -> None:
    gallery.add(people(6), **FILLED)
    assert gallery.facets("camera") == [("c1", 2), ("c2", 2), ("c3", 1), (None, 1)]


def test_pages_meet_every_record_once(gallery: Gallery) -> None:
    ids = gallery.add(people(25))
    seen: list[str] = []
    while page := gallery.list(limit=7, after_id=seen[-1] if seen else ""):
        seen += [record.id for record in page]
    assert seen == sorted(ids)


def test_deleted_is_deleted(gallery: Gallery, tmp_path: Path) -> None:
    vectors = people(10)
    ids = gallery.add(vectors, pids=[i // 5 for i in range(10)], images=[jpeg(20 * i) for i in range(10)])
    assert gallery.delete(ids[0]) == 1
    assert gallery.delete(ids[0]) == 0
    assert gallery.delete(pids=1) == 5
    assert gallery.picture(ids[0]) is None and gallery.get(ids[7]) is None
    assert {hit.id for hit in gallery.search(vectors[7], k=10)[0]} == set(ids[1:5])
    with Gallery.open(tmp_path / "mall") as again:
        assert again.count() == 4
    with pytest.raises(UsageError, match="delete what"):
        gallery.delete()


def test_retention_goes_by_the_time_or_the_moment_of_adding(gallery: Gallery) -> None:
    gallery.add(people(3), ids=["old", "new", "unknown"], times=[0, 86_400 * 9, None])
    assert gallery.expire(5, now=86_400 * 10) == 1
    assert gallery.expire(0, now=datetime.now(UTC)) == 2
    with pytest.raises(UsageError):
        gallery.expire(-1)


def test_update_sets_and_clears(gallery: Gallery) -> None:
    vectors = people(2)
    gallery.add(vectors, ids=["a", "b"], pids=[1, 2])
    assert gallery.update("a", pid=None, label="seen", time="2026-01-01") == 1
    assert gallery.update(["b", "nobody"], camera=4) == 1
    record = gallery.get("a")
    assert record is not None and (record.pid, record.label, record.time) == (None, "seen", 1767225600.0)
    assert [hit.id for hit in gallery.search(vectors[0], cameras=[4])[0]] == ["b"]
    with pytest.raises(UsageError, match="no field"):
        gallery.update("a", vector=1)


def test_same_camera_rules(gallery: Gallery) -> None:
    vectors = np.repeat(people(1), 4, axis=0)
    gallery.add(vectors, ids=list("abcd"), pids=[1, 1, 2, None], cameras=["c1", "c2", "c1", "c1"])

    def found(**options: Any) -> str:
        hits = gallery.search(vectors[:1], query_cameras=["c1"], query_pids=[1], **options)[0]
        return "".join(sorted(hit.id for hit in hits))

    assert found() == "abcd"
    assert found(same_camera="exclude") == "b"
    assert found(same_camera="exclude_same_pid") == "bcd"
    assert [h.id for h in gallery.search_ids(["a"], same_camera="exclude_same_pid")[0]] == ["b", "c", "d"]
    with pytest.raises(UsageError, match="query_cameras"):
        gallery.search(vectors[:1], same_camera="exclude")


def test_several_pictures_of_one_person_are_one_query(gallery: Gallery) -> None:
    vectors = people(30)
    ids = gallery.add(vectors)
    queries = vectors[[3, 4]]
    mean = queries.mean(0) / np.linalg.norm(queries.mean(0))
    (by_mean,) = gallery.search(queries, k=5, fuse="mean")
    (by_max,) = gallery.search(queries, k=5, fuse="max")
    assert [h.id for h in by_mean] == [ids[i] for i in np.argsort(-(vectors @ mean))[:5]]
    assert [h.id for h in by_max] == [ids[i] for i in np.argsort(-(vectors @ queries.T).max(1), kind="stable")[:5]]


def test_persons_are_grouped_and_enough(gallery: Gallery) -> None:
    """One person with very many pictures near the query does not crowd the others out."""
    near = people(1) + 0.01 * people(100)
    gallery.add(near, pids=[0] * 100)
    gallery.add(people(3, seed=5), pids=[1, 2, None], ids=["one", "two", "nameless"])
    (persons,) = gallery.search_people(near[0], k=4)
    assert {p.pid for p in persons} == {"0", "1", "2", None} and len(persons) == 4
    assert persons[0].pid == "0" and persons[0].similarity == persons[0].hits[0].similarity
    assert len(gallery.search_people(near[0], k=50)[0]) == 4


def test_too_little_similarity_is_unknown(gallery: Gallery) -> None:
    vectors = people(10)
    gallery.add(vectors)
    assert len(gallery.search(vectors[0], min_similarity=0.999)[0]) == 1
    assert gallery.search(-vectors[0], min_similarity=0.999) == [[]]


def test_reranking_reorders_and_keeps_the_members(gallery: Gallery) -> None:
    vectors = people(60, per_person=6)
    ids = gallery.add(vectors)
    plain, reranked = gallery.search(vectors[3], k=60)[0], gallery.search(vectors[3], k=60, rerank=True)[0]
    assert {h.id for h in plain} == {h.id for h in reranked}
    distances = rerank(vectors[3:4], vectors, 20, 6, 0.3)[0]
    assert [h.id for h in reranked][:10] == [ids[row] for row in np.argsort(distances, kind="stable")[:10]]


def test_records_deleted_while_a_list_is_reranked_are_left_out(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = people(5)
    ids = gallery.add(vectors)
    of = gallery.backend.vectors
    for left in ([], ids[2:3]):
        monkeypatch.setattr(gallery.backend, "vectors", lambda _, left=left: of(left))
        assert [hit.id for hit in gallery.search(vectors[0], k=5, rerank=True)[0]] == left


def test_records_ask_for_one_hit_at_least(gallery: Gallery) -> None:
    ids = gallery.add(people(6))
    for k in (0, -1):
        with pytest.raises(UsageError, match=f"k={k}"):
            gallery.search_ids(ids[:3], k)


@pytest.mark.parametrize(
    ("vectors", "sentence"),
    [
        (np.ones((2, DIM + 1)), "16 numbers"),
        (np.ones((2, 2, DIM)), "16 numbers"),
        (np.full((1, DIM), np.nan), "not finite"),
        (np.full((1, DIM), 1e300), "not finite"),
        (np.zeros((1, DIM)), "zero"),
        ([["a"] * DIM], "found"),
    ],
)
def test_vectors_that_are_none(gallery: Gallery, vectors: Any, sentence: str) -> None:
    for call in (gallery.add, gallery.search):
        with pytest.raises(GalleryError, match=sentence):
            call(vectors)
    assert len(gallery) == 0


@pytest.mark.parametrize(
    "columns",
    [{"pids": [1]}, {"ids": "ab"}, {"times": [float("nan"), 1]}, {"cameras": [1.5, 2]}, {"ids": ["", "b"]},
     {"labels": ["x" * 5000, None]}, {"notes": ["a\0b", None]}, {"times": ["yesterday", None]}],
)  # fmt: skip
def test_columns_that_are_none(gallery: Gallery, columns: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        gallery.add(people(2), **columns)
    assert len(gallery) == 0


def test_nothing_in_nothing_out(gallery: Gallery) -> None:
    assert gallery.add(np.empty((0, DIM))) == []
    assert gallery.search(people(2), k=3) == [[], []]
    assert gallery.search(np.empty((0, DIM))) == []
    assert gallery.search_people(people(2)) == [[], []]
    assert gallery.list() == [] and gallery.facets("pid") == [] and gallery.verify() == []
    gallery.compact()


def test_another_models_vectors_are_refused(tmp_path: Path) -> None:
    class Model:
        embedding_dim, metric, input_size = DIM, "cosine", (64, 32)

        def __init__(self, name: str) -> None:
            self.name = name

        def fingerprint(self) -> str:
            return self.name

    with Gallery.open(tmp_path / "g", model=Model("abc")) as gallery:
        gallery.add(people(1), fingerprint="abc")
        for call in (gallery.add, gallery.search):
            with pytest.raises(GalleryError, match="another model"):
                call(people(1), fingerprint="other")
    Gallery.open(tmp_path / "g", model=Model("abc")).close()
    Gallery.open(tmp_path / "g").close()
    with pytest.raises(GalleryError, match="another model"):
        Gallery.open(tmp_path / "g", model=Model("xyz"))
    with pytest.raises(GalleryError, match="dim 16"):
        Gallery.open(tmp_path / "g", dim=17)


def test_opening_what_is_no_gallery(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="there is no gallery"):
        Gallery.open(tmp_path / "nothing")
    for name, content in (("torn", b"SQLite format 3\0" + b"\x01" * 500), ("foreign", b"hello" * 100)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gallery.sqlite").write_bytes(content)
        with pytest.raises(GalleryError, match=r"gallery\.sqlite"):
            Gallery.open(tmp_path / name)
    import sqlite3

    (tmp_path / "other").mkdir()
    with sqlite3.connect(tmp_path / "other" / "gallery.sqlite") as sql:
        sql.execute("CREATE TABLE t(x)")
    with pytest.raises(GalleryError, match="another program"):
        Gallery.open(tmp_path / "other")
    with Gallery.create(tmp_path / "mine", dim=4), pytest.raises(GalleryError, match="already"):
        Gallery.create(tmp_path / "mine", dim=4)
