"""Feature spaces side by side: one choice of pictures, each space on its own axes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from resight.errors import EvaluationError
from resight.reporting import write_report
from resight.reporting.feature_map import map_features, map_together, side_by_side

if TYPE_CHECKING:
    from pathlib import Path

    from resight.inference import Result


def turned(result: Result, seed: int = 3) -> Result:
    """The same pictures in another space: rotated, and of twice as many dimensions."""
    rng = np.random.default_rng(seed)
    width = result.gallery.vectors.shape[1]
    rotation = np.linalg.qr(rng.normal(size=(2 * width, width)))[0].T.astype(np.float32)
    return replace(result, gallery=replace(result.gallery, vectors=result.gallery.vectors @ rotation))


def test_each_space_is_mapped_as_if_it_were_alone(result: Result) -> None:
    other = turned(result)
    ours, theirs = map_together([result.gallery, other.gallery], seed=1, nobody=[-1, 0])
    alone = map_features(result.gallery, seed=1, nobody=[-1, 0])
    assert alone is not None and np.array_equal(ours.places, alone.places) and ours.named == alone.named
    assert np.array_equal(ours.pids, theirs.pids) and ours.named == theirs.named
    np.testing.assert_allclose(np.abs(theirs.places), np.abs(ours.places), atol=1e-4)  # a rotation moves no point
    assert theirs.dimensions == 2 * ours.dimensions


def test_a_picture_that_one_space_lacks_is_on_no_map(result: Result) -> None:
    holed = result.gallery.vectors.copy()
    holed[4] = np.nan
    maps = map_together([result.gallery, replace(result.gallery, vectors=holed)], seed=0)
    assert [len(points.pids) for points in maps] == [len(result.gallery) - 1] * 2


def test_the_panels_are_named_and_show_the_same_persons(result: Result) -> None:
    figure = side_by_side([("metric", result), ("joint", turned(result))], seed=0, nobody=[-1, 0])
    assert figure is not None
    assert [axes.get_title() for axes in figure.canvas.axes] == [
        f"{name}: mAP {100 * result.report.mAP:.1f} %" for name in ("metric", "joint")
    ]
    assert {"x metric", "y metric", "x joint", "y joint", "pid", "camera"} == set(figure.columns)
    first, second = (len(axes.collections) for axes in figure.canvas.axes)
    assert first == second == 9  # the others, and eight persons


def test_runs_on_other_pictures_are_refused_by_name(result: Result) -> None:
    other = replace(result, gallery=replace(result.gallery, paths=tuple(f"x{path}" for path in result.gallery.paths)))
    with pytest.raises(EvaluationError, match="first and second were not evaluated on the same pictures"):
        side_by_side([("first", result), ("second", other)], seed=0)


def test_the_page_has_a_section_for_them_where_asked(result: Result, tmp_path: Path) -> None:
    plain = write_report(tmp_path / "plain", result, queries=0).read_text(encoding="utf-8")
    beside = [("classification", result), ("metric", turned(result)), ("joint", turned(result, 5))]
    page = write_report(tmp_path / "three", result, beside=beside, queries=0, assets=True).read_text(encoding="utf-8")
    assert 'id="spaces"' in page and 'id="spaces"' not in plain
    assert all(f"{name}: mAP" in page for name, _ in beside)
    assert (tmp_path / "three" / "figures" / "feature-spaces.png").stat().st_size > 10_000
