"""Searching without the means of cameras: equal to the definition, and a person is found behind a camera's look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from resight.errors import UsageError
from resight.gallery import Gallery
from resight.gallery.centered import Centered
from tests.gallery.conftest import DIM

CAMERAS = ["c1", "c2", None]
Array = npt.NDArray[np.float32]


def unit(vectors: npt.NDArray[np.floating]) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> tuple[Array, list[str | None]]:
    """Twenty persons, each seen by two cameras whose look is stronger than they are, and once by none that is known."""
    monkeypatch.setattr("resight.gallery.backend.BLOCK", 7)
    rng = np.random.default_rng(3)
    who, look = rng.normal(size=(20, DIM)), 4 * rng.normal(size=(3, DIM))
    vectors = np.concatenate([who + mean + 0.2 * rng.normal(size=who.shape) for mean in look])
    return unit(vectors), [camera for camera in CAMERAS for _ in who]


@pytest.fixture
def filled(gallery: Gallery, seen: tuple[Array, list[str | None]]) -> Gallery:
    ids = [f"{camera}-{person}" for camera in CAMERAS for person in range(20)]
    gallery.add(seen[0], ids=ids, cameras=seen[1], pids=[*range(20)] * 3)
    return gallery


def centered(vectors: Array, cameras: list[str | None], among: Array, of: list[str | None]) -> Array:
    """The definition, one vector after the other."""
    own = [among[[c == camera for c in of]] if camera in CAMERAS[:2] else among for camera in cameras]
    return unit(np.stack([vector - mean.mean(axis=0) for vector, mean in zip(vectors, own, strict=True)]))


def test_similarities_are_those_of_the_definition(filled: Gallery, seen: tuple[Array, list[str | None]]) -> None:
    vectors, cameras = seen
    asked: list[str | None] = ["c1", "c2", None, "c9"]
    queries = vectors[[0, 25, 45, 3]]
    expected = centered(queries, asked, *seen) @ centered(vectors, cameras, *seen).T
    cases: list[tuple[dict[str, Any], Sequence[int]]] = [
        ({}, range(60)), ({"cameras": "c2"}, range(20, 40)), ({"pids": [3, 4]}, (3, 4, 23, 24, 43, 44)),
    ]  # fmt: skip
    for conditions, there in cases:
        found = filled.search(queries, k=11, center_cameras=True, query_cameras=asked, **conditions)
        for row, hits in zip(expected, found, strict=True):
            best = sorted(row[list(there)], reverse=True)[:11]
            np.testing.assert_allclose([hit.similarity for hit in hits], best, atol=1e-5)
            of = {hit.id: hit.similarity for hit in hits}
            names = [f"{camera}-{person}" for camera in CAMERAS for person in range(20)]
            np.testing.assert_allclose([of[n] for n in of], [row[names.index(n)] for n in of], atol=1e-5)


def test_a_person_is_found_behind_the_look_of_the_camera(filled: Gallery) -> None:
    ids = [f"c1-{person}" for person in range(20)]

    def right(**how: bool) -> int:
        found = filled.search_ids(ids, k=1, cameras="c2", **how)
        return sum(hits[0].pid == str(person) for person, hits in enumerate(found))

    assert right() < right(center_cameras=True) == 20


def test_re_ranking_looks_at_moved_vectors(filled: Gallery, seen: tuple[Array, list[str | None]]) -> None:
    ids = ["None-5", "c2-1", "absent", "c1-7"]
    moved = Centered(filled.backend, "cosine").vectors(ids)
    assert set(moved) == {*ids} - {"absent"}
    expected = centered(seen[0], seen[1], *seen)[[45, 21, 7]]
    np.testing.assert_allclose([moved["None-5"], moved["c2-1"], moved["c1-7"]], expected, atol=1e-5)
    assert [len(hits) for hits in filled.search(seen[0][:2], k=3, center_cameras=True, rerank=True)] == [3, 3]


def test_means_are_those_of_the_moment(filled: Gallery) -> None:
    """A camera that is gone has no mean: a query of it has that of all."""
    query = filled.vectors(["c1-0"])
    before = filled.search(query, k=1, center_cameras=True, query_cameras=["c1"], cameras="c2")[0][0]
    filled.delete(cameras="c1")
    after = filled.search(query, k=1, center_cameras=True, query_cameras=["c1"])[0][0]
    unknown = filled.search(query, k=1, center_cameras=True)[0][0]
    assert before.pid == "0" and after == unknown and after.similarity != before.similarity


def test_no_probability_and_what_cannot_be(filled: Gallery, tmp_path: Path) -> None:
    chance = SimpleNamespace(probability=lambda similarities, _: np.array(similarities))
    filled.calibration = chance  # type: ignore[assignment]
    query = filled.vectors(["c1-0"])
    assert filled.search(query)[0][0].probability is not None
    assert filled.search(query, center_cameras=True)[0][0].probability is None
    with Gallery.open(tmp_path / "bare", dim=DIM) as bare:
        bare.add(query)
        with pytest.raises(UsageError, match="no record names its camera"):
            bare.search(query, center_cameras=True)
    far = Gallery.open(tmp_path / "far", dim=DIM, metric="euclidean")
    with far, pytest.raises(UsageError, match="unit length"):
        far.search(query, center_cameras=True)
