"""Camera means: what is subtracted, and that a camera's own look no longer decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from resight.data import load_dataset
from resight.errors import DatasetError
from resight.inference import RawPixels, Vectors, evaluate
from resight.inference.camera_means import CameraMeans, without_camera_means
from resight.types import Metric
from tests.people import write_people


def held(vectors: NDArray[np.float32], camids: NDArray[np.int64], metric: Metric = "cosine") -> Vectors:
    names = tuple(map(str, range(len(vectors))))
    return Vectors(vectors, names, names, np.arange(len(vectors)), camids, "/", "made", metric)


def people(seed: int = 0) -> tuple[Vectors, Vectors]:
    """Twenty people, each seen by camera 0 (query) and camera 1 (gallery), whose look is stronger than theirs."""
    rng = np.random.default_rng(seed)
    who, look = rng.normal(size=(20, 16)), 4 * rng.normal(size=(2, 16))
    sets = [(who + look[camera] + 0.2 * rng.normal(size=who.shape)).astype(np.float32) for camera in (0, 1)]
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in sets]
    return held(unit[0], np.zeros(20, np.int64)), held(unit[1], np.ones(20, np.int64))


def test_a_person_is_found_behind_the_look_of_the_camera() -> None:
    query, gallery = people()

    def found(q: Vectors, g: Vectors) -> float:
        return float(((q.vectors @ g.vectors.T).argmax(axis=1) == np.arange(20)).mean())

    assert found(*without_camera_means(query, gallery)) == 1
    assert found(query, gallery) < 1
    assert np.allclose(np.linalg.norm(without_camera_means(query, gallery)[0].vectors, axis=1), 1, atol=1e-5)


def test_a_camera_seen_on_both_sides_has_one_mean() -> None:
    query, gallery = people()
    one = np.zeros(20, np.int64)
    q, _ = without_camera_means(held(query.vectors, one), held(gallery.vectors, one))
    mean = np.concatenate([query.vectors, gallery.vectors]).mean(axis=0)
    expected = query.vectors - mean
    np.testing.assert_allclose(q.vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)


def test_unknown_cameras_and_distances_are_refused() -> None:
    query, gallery = people()
    nowhere = np.full(20, -1)
    with pytest.raises(DatasetError, match="no camera is known"):
        without_camera_means(held(query.vectors, nowhere), held(gallery.vectors, nowhere))
    with pytest.raises(DatasetError, match="unit length"):
        without_camera_means(held(query.vectors, query.camids, "euclidean"), gallery)


def test_the_result_says_so(tmp_path: Path) -> None:
    dataset = load_dataset("market", root=write_people(tmp_path))
    plain, moved = (evaluate(RawPixels(), dataset, device="cpu", center_cameras=how) for how in (False, True))
    assert moved.report.dataset == f"{plain.report.dataset}, cameras centered"
    assert moved.context["embedding"]["center_cameras"] is True
    assert not np.allclose(moved.query.vectors, plain.query.vectors)


def test_the_means_of_a_gallery_are_subtracted_from_both_sides() -> None:
    query, gallery = people()
    both = held(np.concatenate([query.vectors, gallery.vectors]), np.concatenate([query.camids, gallery.camids]))
    means = CameraMeans.of(both)
    for camera in (0, 1):
        assert np.allclose(means.means[camera], both.vectors[both.camids == camera].mean(axis=0), atol=1e-6)
    q, g = means.subtracted(query.vectors, query.camids), means.subtracted(gallery.vectors, gallery.camids)
    expected = without_camera_means(query, gallery)
    assert np.allclose(q, expected[0].vectors, atol=1e-5)
    assert np.allclose(g, expected[1].vectors, atol=1e-5)


def test_a_picture_of_no_known_camera_loses_the_mean_of_all() -> None:
    query, gallery = people()
    means = CameraMeans.of(gallery)
    expected = query.vectors - gallery.vectors.mean(axis=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    for camera in (-1, 7):
        assert np.allclose(means.subtracted(query.vectors, np.full(20, camera)), expected, atol=1e-6)
    with pytest.raises(DatasetError, match="no camera is known"):
        CameraMeans.of(held(gallery.vectors, np.full(20, -1)))
    with pytest.raises(DatasetError, match="unit length"):
        CameraMeans.of(held(gallery.vectors, gallery.camids, "euclidean"))
