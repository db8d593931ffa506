"""From descriptors to groups, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from resight.clustering import (
    LEFT_OUT,
    ClusterConfig,
    Corrections,
    agreement,
    cluster,
    distance_graph,
    one_frame,
    silhouettes,
)
from resight.errors import CheckpointError, EvaluationError, RecipeError, UsageError
from tests.clustering.crowds import crowd


def test_people_far_apart_are_found_exactly() -> None:
    vectors, truth = crowd(people=12, shots=24, spread=0.3)
    found = cluster(vectors)
    assert found.count == 12
    assert agreement(found.labels, truth).f1 == 1
    assert found.left_out == 0
    assert found.facts()["clusters"] == 12
    assert found.stability is not None


def test_order_does_not_matter() -> None:
    vectors, _ = crowd(people=20, shots=12, spread=0.9)
    order = np.random.default_rng(0).permutation(len(vectors))
    plain, shuffled = cluster(vectors), cluster(vectors[order])
    assert plain.eps == shuffled.eps
    together = plain.labels[order][:, None] == plain.labels[order][None]
    both = (plain.labels[order] >= 0) & (shuffled.labels >= 0)
    same = (together == (shuffled.labels[:, None] == shuffled.labels[None]))[np.ix_(both, both)]
    assert same.mean() > 0.999  # a border item may fall to either of two clusters


def test_agglomeration_at_a_threshold_needs_no_four_pictures() -> None:
    vectors, truth = crowd(people=10, shots=2, spread=0.2)
    found = cluster(vectors, ClusterConfig(method="agglomerative", distance="plain", eps=0.3))
    assert agreement(found.labels, truth).f1 == 1
    assert cluster(vectors).count < 10


def test_frames_keep_people_apart() -> None:
    vectors, truth = crowd(people=12, shots=24, spread=0.3)
    vectors[truth == 1] = vectors[truth == 0]  # person 1 looks like person 0
    rows = {person: np.flatnonzero(truth == person) for person in (0, 1)}
    frames: list[int | None] = [None] * len(truth)
    for number, pair in enumerate(zip(rows[0], rows[1], strict=True)):
        for row in pair:
            frames[row] = number
    apart = one_frame([1] * len(truth), frames)
    assert len(apart) == 24
    joined = cluster(vectors).labels
    assert any(joined[a] == joined[b] for a, b in apart)
    labels = cluster(vectors, apart=apart).labels
    assert all(labels[a] != labels[b] or labels[a] < 0 for a, b in apart)


def test_equal_frames_of_two_cameras_are_two_frames() -> None:
    assert one_frame([1, 2, 1, 1], [5, 5, 5, None]) == [(0, 2)]


def test_silhouettes_as_scikit_learn_has_them() -> None:
    vectors, truth = crowd(people=5, shots=9, spread=0.8)
    whole = 1 - vectors @ vectors.T
    np.fill_diagonal(whole, 0)
    graph = distance_graph(vectors, reach=1.99)
    assert np.allclose(silhouettes(graph, truth), silhouette_samples(whole, truth, metric="precomputed"), atol=1e-5)
    some = np.where(truth == 2, LEFT_OUT, truth)
    assert (silhouettes(graph, some)[truth == 2] == 0).all()


def test_agreement_by_hand() -> None:
    truth, labels = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, LEFT_OUT])
    found = agreement(labels, truth)
    assert found.precision == pytest.approx(1 / 2)  # 01 right, 23 wrong
    assert found.recall == pytest.approx(1 / 4)  # of 01, 02, 12, 34
    assert found.f1 == pytest.approx(1 / 3)
    assert agreement(truth, truth).ami == pytest.approx(1)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_compare_are_all_left_out(count: int) -> None:
    found = cluster(np.ones((count, 8), np.float32))
    assert found.labels.tolist() == [LEFT_OUT] * count
    assert found.count == 0


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_handful_is_no_error(count: int) -> None:
    assert len(cluster(crowd(people=count, shots=1)[0]).labels) == count


def test_equal_pictures_are_one_group() -> None:
    assert cluster(np.ones((30, 8), np.float32)).labels.tolist() == [0] * 30


def test_broken_vectors_are_refused() -> None:
    vectors, _ = crowd()
    vectors[3, 2] = np.nan
    with pytest.raises(EvaluationError, match="descriptors: rows 3"):
        cluster(vectors)


@pytest.mark.parametrize(
    "options", [{"k1": 0}, {"eps": 0.0}, {"min_samples": 0}, {"method": "agglomerative"}, {"distance": "plain"}]
)
def test_settings_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        ClusterConfig(**options)  # type: ignore[arg-type]


def test_corrections_are_kept_and_the_newest_holds(tmp_path: object) -> None:
    from pathlib import Path

    file = Path(str(tmp_path)) / "corrections.json"
    held = Corrections.load(file)
    held.add(merge=[("b", "a")], split=[("c", "d")])
    held.save(file)
    again = Corrections.load(file)
    again.add(merge=[("d", "c")], split=[])
    assert again.merge == [("a", "b"), ("c", "d")]
    assert again.split == []
    assert again.rows({"a": 0, "b": 5, "c": 1}) == ([(0, 5)], [])
    with pytest.raises(UsageError, match="twice"):
        again.add(merge=[("a", "a")], split=[])
    file.write_text("[]")
    with pytest.raises(CheckpointError, match="corrections"):
        Corrections.load(file)
