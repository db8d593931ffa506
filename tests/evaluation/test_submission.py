"""SynergyReID submissions keep the order of the unrounded distances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from resight.data import protocol_of
from resight.errors import EvaluationError
from resight.evaluation import Protocol, evaluate_distances, read_submission, write_submission


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e6])
def test_the_round_trip_keeps_every_order(tmp_path: Path, scale: float) -> None:
    rng = np.random.default_rng(0)
    D = (rng.random((6, 300)) ** 3 * scale).astype(np.float32)
    D[:, :3] = np.float32(scale) * np.array([1e-7, 2e-7, 3e-7], np.float32)  # closer than five decimals can tell
    ids = rng.permutation(1000)
    back, queries, gallery = read_submission(write_submission(tmp_path / "s.csv", D, ids[:6], ids[6:306]))
    order = np.argsort(ids[:6])
    np.testing.assert_array_equal(queries, ids[:6][order])
    np.testing.assert_array_equal(gallery, ids[6:306])
    expected = np.argsort(D[order], axis=1, kind="stable")
    np.testing.assert_array_equal(np.argsort(back, axis=1, kind="stable"), expected)


def test_negative_and_hopelessly_close_distances(tmp_path: Path) -> None:
    D = np.array([[-1.0, 0.0, 1e-300, 1e6], [3.0, 1.0, 1.0, 2.0]])
    back, _, _ = read_submission(write_submission(tmp_path / "s.csv", D, [1, 2], [9, 8, 7, 6]))
    np.testing.assert_array_equal(np.argsort(back, axis=1, kind="stable"), np.argsort(D, axis=1, kind="stable"))
    assert back[1, 1] == back[1, 2]


def test_the_form(tmp_path: Path) -> None:
    path = write_submission(tmp_path / "s.csv", np.array([[0.5, 0.25], [0.125, 1.0]]), [7, 3], [70, 11])
    assert path.read_text() == "0,70,11\n3,   0.12500,   1.00000\n7,   0.50000,   0.25000\n"


def test_the_rules() -> None:
    """Cameras 0 and 1 by convention: nothing is left out, even for person 0."""
    D = np.array([[0.3, 0.1, 0.2], [0.5, 0.4, 0.4]])
    report = evaluate_distances(
        D, [0, 4], [0, 4, 0], [0, 0], [1, 1, 1], protocol=Protocol.from_dict(dict(protocol_of("synergyreid")))
    )
    np.testing.assert_allclose(report.ap, [(1 / 2 + 2 / 3) / 2, 1 / 2])  # a tie counts as one threshold
    assert report.counts.junk == 0


def test_wrong_submissions(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="NaN"):
        write_submission(tmp_path / "s.csv", np.array([[np.nan]]), [1], [1])
    with pytest.raises(EvaluationError, match="unique"):
        write_submission(tmp_path / "s.csv", np.zeros((1, 2)), [1], [1, 1])
    with pytest.raises(EvaluationError, match="shape"):
        write_submission(tmp_path / "s.csv", np.zeros((1, 2)), [1], [1])
    for text in ("", "hello\n", "1,2\n3,4\n", "0,1\n"):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(EvaluationError):
            read_submission(tmp_path / "bad.csv")
