"""The Milvus back-end on a real server: the same random programs, and what is its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from resight.cli import main
from resight.errors import GalleryError, MissingExtraError, UsageError
from resight.gallery import Filter, Gallery
from resight.gallery.milvus.rows import condition_of
from tests.gallery.conftest import people
from tests.gallery.milvus.server import running
from tests.gallery.model import DIM, Programs
from tests.gallery.test_gallery import jpeg
from tests.ranks import launch

pytest.importorskip("pymilvus")
PROGRAMS = int(os.environ.get("RESIGHT_GALLERY_MILVUS_PROGRAMS", "25"))
SERVER = ""
SAMPLE = Path(__file__).parents[3] / "src" / "resight" / "synth" / "sample" / "query"


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    global SERVER
    with running(tmp_path_factory.mktemp("milvus") / "data") as SERVER:
        yield SERVER


class MilvusPrograms(Programs):
    """One collection for all programs, emptied by each: making one takes seconds."""

    def begin(self) -> Gallery:
        self.home = tempfile.TemporaryDirectory()
        gallery = Gallery.open(Path(self.home.name) / "g", dim=DIM, server=SERVER, collection="programs")
        gallery.delete(everything=True)
        return gallery

    def reopen(self, gallery: Gallery) -> Gallery:
        gallery.close()
        return Gallery.open(gallery.folder)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "home"):
            self.home.cleanup()


MilvusPrograms.TestCase.settings = settings(
    max_examples=PROGRAMS, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMilvus = pytest.mark.slow(MilvusPrograms.TestCase)


def test_pictures_stay_in_the_folder_and_go_with_their_record(server: str, tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "mall", dim=DIM, server=server) as gallery:
        ids = gallery.add(people(3, DIM), images=[jpeg(20 * i) for i in range(3)], pids=[1, 1, 2])
        assert all(gallery.picture(id) for id in ids)
        assert gallery.delete(pids=1) == 2
        assert [gallery.picture(id) is None for id in ids] == [True, True, False]
        assert gallery.verify() == []
        gallery.backend.database.set(x=1)
        with gallery.backend.database.writing() as sql:
            sql.execute("INSERT INTO pictures VALUES ('orphan', x'00')")
        assert "1 pictures" in gallery.verify()[0]
    with Gallery.open(tmp_path / "mall") as again:
        assert [hit.id for hit in again.search(people(3, DIM)[2])[0]] == ids[2:]
        assert again.picture(ids[2])


def test_lists_are_whole_over_several_segments(server: str, tmp_path: Path) -> None:
    """`optimize` seals a segment; the last holds less than the others, and ids in their midst."""
    ids = [f"r{i:02}" for i in range(20)]
    with Gallery.open(tmp_path / "mall", dim=DIM, server=server) as gallery:
        for some in (ids[::2], ids[1::4], ids[3:4]):
            gallery.add(people(len(some), DIM), ids=some, pids=[1] * len(some))
            gallery.optimize()
        there = sorted({*ids[::2], *ids[1::4], ids[3]})
        assert [record.id for record in gallery.list()] == there
        assert [record.id for record in gallery.list(limit=5, after_id="r02")] == there[3:8]
        assert dict(gallery.facets("pid")) == {"1": len(there)}
        assert gallery.delete(pids=1) == len(there) and gallery.count() == 0 and gallery.search(people(1, DIM))[0] == []


def test_two_folders_may_share_a_collection_of_one_model_only(server: str, tmp_path: Path) -> None:
    """Several machines index into one collection; what one deletes leaves the others' folders as they compact."""
    first = Gallery.open(tmp_path / "a", dim=DIM, server=server, collection="shared", fingerprint="one")
    second = Gallery.open(tmp_path / "b", dim=DIM, server=server, collection="shared", fingerprint="one")
    with first, second:
        one, two = first.add(people(2, DIM), images=[jpeg(0), jpeg(9)])
        first.mark(one, same=True, similarity=0.9)
        assert second.delete(one) == 1 and len(second) == 1
        assert first.picture(one) is None and "1 pictures or marks" in first.verify()[0]
        first.compact()
        assert first.backend.database.pictures([one]) == {} and first.marks() == [] and first.verify() == []
        assert first.picture(two) and first.get(two)
    with pytest.raises(GalleryError, match="another model"):
        Gallery.open(tmp_path / "c", dim=DIM, server=server, collection="shared", fingerprint="two")


def test_from_the_folder_to_the_server_and_back(server: str, tmp_path: Path) -> None:
    one = Gallery.open(tmp_path / "one", dim=DIM)
    two = Gallery.open(tmp_path / "two", dim=DIM, server=server)
    three = Gallery.open(tmp_path / "three", dim=DIM)
    with one, two, three:
        images, ids = [jpeg(i) for i in range(40)], [f"r{i}" for i in range(40)]
        one.add(people(40, DIM), ids=ids, pids=[i % 5 or None for i in range(40)], times=range(40), images=images)
        assert one.copy_to(two) == 40 and two.copy_to(three) == 40
        assert one.list() == two.list() == three.list()
        np.testing.assert_array_equal(one.vectors(ids), three.vectors(ids))
        assert [one.picture(id) for id in ids] == [three.picture(id) for id in ids]


def _index(crops: str, folder: str, server: str) -> int:
    """`torchrun -m resight index` as each of its processes runs it."""
    how = ["--pattern", "{pid}_{camera}s1_*", "--device", "cpu", "--precision", "fp32"]
    try:
        main(["index", "synth_small", crops, "--gallery", folder, "--server", server, *how])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.mark.slow
def test_two_processes_index_what_one_does(server: str, tmp_path: Path) -> None:
    (tmp_path / "crops").mkdir()
    for path in sorted(SAMPLE.glob("*.jpg"))[:9]:
        (tmp_path / "crops" / path.name).write_bytes(path.read_bytes())
    one, two = tmp_path / "one", tmp_path / "two"
    assert launch(2, _index, str(tmp_path / "crops"), str(two), server) == [0, 0]
    assert _index(str(tmp_path / "crops"), str(one), "") == 0
    with Gallery.open(one) as alone, Gallery.open(two) as shared:
        there = alone.list()
        assert len(there) == 9
        assert [replace(record, added=0.0) for record in shared.list()] == [replace(r, added=0.0) for r in there]
        ids = [record.id for record in there]
        np.testing.assert_allclose(shared.vectors(ids), alone.vectors(ids), atol=1e-5)


def test_euclidean_on_the_server(server: str, tmp_path: Path) -> None:
    vectors = 3 * people(20, DIM)
    with Gallery.open(tmp_path / "g", dim=DIM, metric="euclidean", server=server) as gallery:
        gallery.add(vectors)
        found = [-hit.similarity for hit in gallery.search(vectors[3] + 0.1, k=20)[0]]
    np.testing.assert_allclose(found, np.sort(np.linalg.norm(vectors - vectors[3] - 0.1, axis=1)), rtol=1e-4)


def test_asked_wrongly(server: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="FLAT"):
        Gallery.open(tmp_path / "x", dim=DIM, server=server, index="NOPE")
    with Gallery.open(tmp_path / "y", dim=DIM, server=server) as gallery:
        with pytest.raises(UsageError, match="16,384"):
            gallery.search(people(1, DIM), k=20_000)
        gallery.backend.collection.index = "IVF_FLAT"  # type: ignore[attr-defined]
        with pytest.raises(GalleryError, match="IVF_FLAT gives no exact answers"):
            gallery.search(people(1, DIM), exact=True)


def test_a_server_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="Is it running"):
        Gallery.open(tmp_path / "g", dim=DIM, server="http://127.0.0.1:9")


def test_without_the_extra_the_line_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pymilvus", None)
    with pytest.raises(MissingExtraError, match=r"resight\[milvus\]"):
        Gallery.open(tmp_path / "g", dim=DIM, server="http://127.0.0.1:9")


def test_text_in_conditions_stays_text() -> None:
    where = Filter(pids=('x"] or 1 == 1 or pid in ["',))
    assert condition_of(where) == 'pid in ["=x\\"] or 1 == 1 or pid in [\\""]'


def test_a_server_that_does_not_answer_leaves_no_gallery(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="Is it running"):
        Gallery.open(tmp_path / "g", dim=DIM, server="http://127.0.0.1:1")
    with Gallery.open(tmp_path / "g", dim=DIM) as gallery:
        assert gallery.settings["server"] == ""
