"""By pair of cameras and by person: the same numbers as evaluating the parts alone."""

from __future__ import annotations

import numpy as np
import pytest

from resight.errors import EvaluationError
from resight.evaluation import EvaluationInput, Labels, Protocol, by_person, camera_pairs, evaluate_distances
from tests.evaluation.examples import D1, LABELS1


def test_camera_pairs_equal_the_parts() -> None:
    rng = np.random.default_rng(0)
    D = rng.integers(0, 50, (40, 150)) / 50
    labels = (rng.integers(1, 7, 40), rng.integers(-1, 7, 150), rng.integers(1, 4, 40), rng.integers(1, 4, 150))
    table = camera_pairs(EvaluationInput.of_distances(D, Labels.of(*labels)))
    np.testing.assert_array_equal(table.q_camids, [1, 2, 3])
    for a, b in np.ndindex(3, 3):
        rows, cols = labels[2] == a + 1, labels[3] == b + 1
        part = (D[np.ix_(rows, cols)], labels[0][rows], labels[1][cols], labels[2][rows], labels[3][cols])
        if a == b:
            assert table.queries[a, b] == 0
            assert np.isnan(table.mAP[a, b])
            continue
        alone = evaluate_distances(*part)
        assert table.mAP[a, b] == pytest.approx(alone.mAP, abs=1e-12)
        assert table.rank1[a, b] == pytest.approx(alone.rank(1), abs=1e-12)
        assert table.queries[a, b] == alone.counts.used


def test_camera_pairs_need_an_order_of_ties() -> None:
    with pytest.raises(EvaluationError, match="order of ties"):
        camera_pairs(EvaluationInput.of_distances(D1, Labels.of(*LABELS1, protocol=Protocol(ties="expected"))))


def test_by_person_puts_the_worst_first() -> None:
    lines = by_person(evaluate_distances(D1, *LABELS1))
    assert [line.pid for line in lines] == [1, 2, 3, 4]
    assert lines[0].mAP == pytest.approx(0.325)
    assert (lines[0].rank1, lines[0].worst) == (0, 0)
    assert np.isnan(lines[3].mAP)
    assert (lines[3].queries, lines[3].used) == (1, 0)


def test_by_person_averages_a_persons_queries() -> None:
    rng = np.random.default_rng(1)
    labels = (rng.integers(1, 7, 40), rng.integers(1, 7, 150), rng.integers(1, 4, 40), rng.integers(1, 4, 150))
    report = evaluate_distances(rng.random((40, 150)), *labels)
    lines = by_person(report)
    assert sum(line.used for line in lines) == report.counts.used
    assert np.average([line.mAP for line in lines], weights=[line.used for line in lines]) == pytest.approx(report.mAP)
    for line in lines:
        assert report.ap[line.worst] == np.nanmin(report.ap[report.q_pids == line.pid])
