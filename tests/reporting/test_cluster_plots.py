"""The figures of a run without labels."""

from __future__ import annotations

from resight.reporting.cluster_plots import cluster_figures

LINES = [
    {"event": "clusters", "step": 1, "epoch": 0, "clusters": 40, "left_out": 0.5, "eps": 0.5, "silhouette": 0.3},
    {"event": "train", "step": 5, "epoch": 0.5, "total": 1.0},
    {"event": "clusters", "step": 11, "epoch": 1, "clusters": 60, "left_out": 0.25, "eps": 0.55, "silhouette": 0.4},
]


def test_groups_and_radius_by_epoch() -> None:
    groups, sure = cluster_figures(LINES)
    assert groups.columns["clusters"] == [40, 60]
    assert groups.columns["epoch"] == [0, 1]
    assert "40 groups at first and 60 at last" in groups.alt
    assert sure.columns["silhouette"] == [0.3, 0.4]


def test_a_run_with_labels_or_a_line_of_another_version_draws_nothing() -> None:
    assert cluster_figures([LINES[1]]) == []
    assert cluster_figures([{"event": "clusters", "step": 1, "clusters": 3}]) == []
