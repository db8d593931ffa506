"""A figure shows its numbers, and its drawing can be put on any page."""

from __future__ import annotations

import csv
import io
import math
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from resight.reporting import plots
from resight.reporting.feature_map import map_features, principal_axes
from resight.reporting.figure import INK
from resight.reporting.training_log import Curves, thin
from tests.reporting.people import make_journal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.inference import Result
    from resight.reporting.figure import Figure


def heights(figure: Figure) -> NDArray[np.float64]:
    """Of the first line, as it is drawn."""
    return np.asarray(figure.canvas.axes[0].lines[0].get_ydata(), dtype=np.float64)


def test_the_curve_is_the_reports(result: Result) -> None:
    figure = plots.cmc(result.report)
    np.testing.assert_allclose(heights(figure), 100 * result.report.cmc)
    assert figure.columns["cmc"] == result.report.cmc.tolist()


def test_the_histogram_counts_every_evaluated_query_once(result: Result) -> None:
    figure = plots.ap_histogram(result.report)
    assert sum(figure.columns["queries"]) == result.report.counts.used
    bars: list[Any] = list(figure.canvas.axes[0].patches)
    assert [bar.get_height() for bar in bars] == figure.columns["queries"]
    assert figure.columns["queries"][-1] == (result.report.ap >= 0.95).sum()


def test_the_losses_are_the_journals() -> None:
    journal = make_journal()
    curves = Curves.of(journal)
    figures = {figure.name: figure for figure in plots.training_figures(curves)}
    assert tuple(figures) == ("losses", "validation", "learning-rate", "throughput", "waiting", "spread")
    trained = [line for line in journal if line["event"] == "train"]
    assert figures["losses"].columns["total"] == [line["total"] for line in trained]
    assert len(figures["losses"].canvas.axes[0].lines) == 3
    assert heights(figures["losses"]).tolist() == figures["losses"].columns["total"]


def test_what_is_no_number_is_a_gap() -> None:
    curves = Curves.of(
        [{"event": "train", "epoch": 1, "total": "much", "lr": float("inf")}, {"event": "train", "total": 2}]
    )
    assert math.isnan(curves.total[0]) and curves.total[1] == 2 and math.isnan(curves.rate[0])
    (figure,) = plots.training_figures(curves)
    assert figure.csv() == "epoch,total\n1.0,\n,2.0\n"


def test_a_long_run_is_thinned_by_means() -> None:
    x, y = thin(np.arange(1000.0), np.arange(1000.0) % 2, limit=100)
    assert len(x) == 100
    np.testing.assert_allclose(y, 0.5)
    np.testing.assert_allclose(x, 4.5 + 10 * np.arange(100))


def test_a_drawing_is_one_element_with_ids_of_its_own(result: Result) -> None:
    drawings = [figure.svg() for figure in plots.result_figures(result.report)]
    ids = [re.findall(r'\bid="([^"]+)"', drawing) for drawing in drawings]
    assert not set(ids[0]) & set(ids[1])
    for drawing, mine in zip(drawings, ids, strict=True):
        root = ElementTree.fromstring(drawing)
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.get("role") == "img" and root.get("aria-label")
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', drawing)) <= set(mine)
        assert INK not in drawing and "currentColor" in drawing


def test_a_drawing_depends_on_the_numbers_only(result: Result) -> None:
    assert plots.cmc(result.report).svg() == plots.cmc(result.report).svg()


def test_a_spreadsheet_takes_no_name_for_a_formula() -> None:
    journal = [{"event": "train", "epoch": 1, "total": 1.0, "parts": {"=1+1": -0.5, 'b,"c': 1.0}}]
    (losses,) = plots.training_figures(Curves.of(journal))
    rows = list(csv.reader(io.StringIO(losses.csv())))
    assert rows == [["epoch", "total", "'=1+1", 'b,"c'], ["1.0", "1.0", "-0.5", "1.0"]]


def pairwise(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(points[:, None] - points[None], axis=2))


def test_principal_axes_keep_a_plane() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(50, 2)) * [3, 1]
    features = plane @ np.linalg.qr(rng.normal(size=(8, 2)))[0].T + 5  # a plane somewhere in eight dimensions
    places, explained = principal_axes(features)
    np.testing.assert_allclose(pairwise(places), pairwise(plane), atol=1e-9)
    spread = np.linalg.eigvalsh(np.cov(features.T))[::-1]
    np.testing.assert_allclose(explained, spread[:2] / spread.sum())


def test_a_map_names_persons_only(result: Result) -> None:
    points = map_features(result.gallery, seed=0, nobody=[-1, 0])
    assert points is not None
    assert set(points.named) <= set(range(1, 10)) and len(points.named) == 8
    assert len(points.places) == len(result.gallery) and np.isfinite(points.places).all()
    again = map_features(result.gallery, seed=0, nobody=[-1, 0])
    assert again is not None and np.array_equal(points.places, again.places)


def test_one_descriptor_for_all_is_one_place() -> None:
    places, explained = principal_axes(np.ones((5, 4)))
    assert not places.any() and explained == (0.0, 0.0)
