"""Plots of the clusterings of a run by epoch: number of groups, outliers, tightness, reliability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resight.reporting.figure import COLORS, Drawing, Figure, legend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NEEDED = ("epoch", "clusters", "left_out", "eps", "silhouette")


def cluster_figures(journal: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """Groups by epoch, and their radius and silhouette; none for a run with labels."""
    lines = [line for line in journal if line.get("event") == "clusters" and all(name in line for name in NEEDED)]
    if not lines:
        return []
    columns = {name: [float(line[name]) for line in lines] for name in NEEDED}
    first, last = lines[0], lines[-1]
    epochs = f"{len(lines)} clusterings"
    groups = (
        f"{first['clusters']} groups at first and {last['clusters']} at last; {first['left_out']:.0%} and then "
        f"{last['left_out']:.0%} of the pictures left out."
    )
    sure = (
        f"Radius {first['eps']:g} at first and {last['eps']:g} at last; mean silhouette {first['silhouette']:.2f} and "
        f"then {last['silhouette']:.2f}."
    )
    return [
        _two(columns, ("clusters", "groups"), ("left_out", "share left out"),
             ("groups", "Groups found without labels", f"{epochs}: {groups}", groups)),
        _two(columns, ("eps", "radius"), ("silhouette", "mean silhouette"),
             ("groups-sure", "How tight and how sure", f"{epochs}: {sure}", sure)),
    ]  # fmt: skip


def _two(
    columns: dict[str, list[float]], left: tuple[str, str], right: tuple[str, str], words: tuple[str, str, str, str]
) -> Figure:
    """Two columns over the epochs, the second on an axis of its own."""
    name, title, alt, caption = words
    drawing = Drawing()
    with drawing as axes:
        axes.plot(columns["epoch"], columns[left[0]], color=COLORS[0], marker=".")
        axes.plot([], [], color=COLORS[1], linestyle="--", marker=".")  # for the legend
        other = axes.twinx()
        other.plot(columns["epoch"], columns[right[0]], color=COLORS[1], linestyle="--", marker=".")
        other.set(ylabel=right[1])
        axes.set(xlabel="epoch", ylabel=left[1])
        legend(axes, [left[1], right[1]])
    numbers = {each: list(columns[each]) for each in ("epoch", left[0], right[0])}
    return Figure(name, title, alt, numbers, drawing.canvas, caption)
