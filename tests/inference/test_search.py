"""Search as the library does it: exact neighbors, chances that hold, 'unknown' as an answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from resight.errors import CheckpointError, EvaluationError
from resight.evaluation import Calibration, calibrate, labeled_pairs
from resight.inference import Extractor, RawPixels, Vectors
from resight.inference.search import Answer, default_prior, find_nearest, gallery_vectors, search

RNG = np.random.default_rng(0)


def _people(count: int, shots: int, noise: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit vectors (count * shots, 32) around a center for each person."""
    centers = np.repeat(RNG.normal(size=(count, 32)), shots, axis=0)
    found = centers + noise * RNG.normal(size=centers.shape)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), np.repeat(
        np.arange(count) + 1, shots
    )


def _vectors(found: NDArray[np.float32], pids: NDArray[np.int64] | None = None) -> Vectors:
    names = tuple(f"{row}.jpg" for row in range(len(found)))
    unknown = np.full(len(found), Vectors.UNKNOWN_PID)
    cameras = np.full(len(found), -1)
    return Vectors(found, names, names, unknown if pids is None else pids, cameras, "/crops", "a model", "cosine")


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    found, pids = _people(150, 4)
    return calibrate(labeled_pairs(found, pids), fmr=(0.001, 0.01), folds=3, draws=20)


def test_hits_are_the_nearest_in_order() -> None:
    found, pids = _people(20, 2)
    answers = find_nearest(found[:3], ["a", "b", "c"], _vectors(found, pids), 5)
    for row, answer in enumerate(answers):
        similarity = found @ found[row]
        assert [hit.id for hit in answer.hits] == [f"{at}.jpg" for at in np.argsort(-similarity)[:5]]
        np.testing.assert_allclose([hit.similarity for hit in answer.hits], np.sort(similarity)[::-1][:5], atol=1e-6)
        assert answer.hits[0].path == Path("/crops") / f"{row}.jpg" and answer.hits[0].pid == pids[row]
    assert len(find_nearest(found[:1], ["a"], _vectors(found), 99)[0].hits) == 40


def test_the_stated_chances_are_the_share_that_is_right(calibration: Calibration) -> None:
    people = 400
    found, pids = _people(people, 2)
    gallery = _vectors(found[1::2])  # one picture a person, nobody named
    answers = find_nearest(found[::2], [str(pid) for pid in pids[::2]], gallery, 20, calibration=calibration)
    stated = np.array([hit.probability for answer in answers for hit in answer.hits], np.float64)
    right = np.array([int(hit.id[:-4]) + 1 == int(answer.query) for answer in answers for hit in answer.hits])
    assert answers[0].prior == 1 / people
    assert stated.sum() == pytest.approx(right.sum(), rel=0.25)
    high = stated >= 0.5
    assert right[high].mean() == pytest.approx(stated[high].mean(), abs=0.1)
    even = find_nearest(found[::2], ["?"] * people, gallery, 20, calibration=calibration, prior=0.5)
    assert (
        sum(hit.probability or 0 for answer in even for hit in answer.hits) > 3 * right.sum()
    )  # as it used to mislead


def test_no_similarity_makes_certain(calibration: Calibration) -> None:
    assert calibration.probability(1.0) < 1 - 1e-6 and calibration.probability(-1.0) > 0
    assert calibration.probability(1.0, prior=1e-9) < 0.5


def test_the_prior_is_one_in_the_people_or_in_the_pictures() -> None:
    found, pids = _people(20, 5)
    assert default_prior(_vectors(found, pids)) == 1 / 20
    assert default_prior(_vectors(found)) == 1 / 100
    assert default_prior(_vectors(found, np.where(pids == 3, -2, pids))) == 1 / 100  # some nobody named
    assert default_prior(_vectors(found[:1])) == 1 / 2


def test_a_stranger_is_unknown_and_hits_are_marked(calibration: Calibration) -> None:
    found, pids = _people(50, 2, noise=0.3)
    here, stranger = find_nearest(
        np.stack([found[0], -found[0]]), ["here", "stranger"], _vectors(found[1:], pids[1:]), 3,
        calibration=calibration, fmr=0.001,
    )  # fmt: skip
    assert not here.unknown and here.hits[0].accepted and not here.hits[2].accepted
    assert stranger.unknown
    said = json.loads(json.dumps(stranger.to_dict()))
    assert (said["answer"], said["fmr"], said["prior"]) == ("unknown", 0.001, 0.02)
    assert [hit["accepted"] for hit in said["hits"]] == [False] * 3
    assert set(Answer("q", ()).to_dict()) == {"query", "hits"}


def test_pictures_in_a_folder_are_searched(tmp_path: Path) -> None:
    for number in range(5):
        Image.fromarray(RNG.integers(0, 256, (64, 32, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "torn.png").write_bytes(b"nothing")
    embed = Extractor(RawPixels(), device="cpu")
    heard: list[tuple[int, int]] = []
    gallery, lost = gallery_vectors(tmp_path, embed, lambda done, total: heard.append((done, total)))
    assert len(gallery) == 5 and [Path(item.name).name for item in lost] == ["torn.png"] and heard[-1] == (6, 6)
    (answer,) = search(embed, [Image.open(tmp_path / "3.png")], gallery, 2)
    assert answer.query == "picture 0" and answer.hits[0].path == tmp_path / "3.png"
    (answer,) = search(embed, str(tmp_path / "3.png"), gallery, 2)
    assert answer.query == str(tmp_path / "3.png") and answer.hits[0].path == tmp_path / "3.png"
    gallery.save(tmp_path / "g.npz")
    kept, _ = gallery_vectors(tmp_path / "g.npz", embed)
    np.testing.assert_array_equal(kept.vectors, gallery.vectors)
    with pytest.raises(CheckpointError, match="another model"):
        search(embed, [tmp_path / "3.png"], _vectors(kept.vectors))
    with pytest.raises(EvaluationError, match="needs a calibration"):
        search(embed, [tmp_path / "3.png"], gallery, fmr=0.01)
