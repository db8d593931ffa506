"""Groups on the disk: a table, and a folder of links for each group."""

from __future__ import annotations

import csv
import io
import shutil
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import DatasetError, printable
from resight.files import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from resight.clustering.cluster import Clusters

TABLE, LINKS, SHEETS = "groups.csv", "groups", "sheets"


def by_size(clusters: Clusters) -> list[NDArray[np.int64]]:
    """The rows of every group, the most typical first; larger groups first, equals in the order of their members."""
    rows = [np.flatnonzero(clusters.labels == label) for label in range(clusters.count)]
    ordered = [mine[np.argsort(-clusters.confidence[mine], kind="stable")] for mine in rows]
    return sorted(ordered, key=lambda mine: (-len(mine), int(mine.min())))


def write_table(folder: Path, names: Sequence[str], clusters: Clusters) -> Path:
    """`groups.csv`: path, group (from 1, empty where left out), confidence; a line a picture, in their order."""
    group = np.zeros(len(names), np.int64)
    for number, rows in enumerate(by_size(clusters), start=1):
        group[rows] = number
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "group", "confidence"))
    for name, number, sure in zip(names, group.tolist(), clusters.confidence.tolist(), strict=True):
        writer.writerow((printable(name), number or "", f"{sure:.3f}" if number else ""))
    write_text(folder / TABLE, text.getvalue())
    return folder / TABLE


def write_links(folder: Path, paths: Sequence[Path], clusters: Clusters) -> Path:
    """`groups/0001/` and so on with a link to every member; copies where the system has no links.

    Groups of an earlier call are replaced.  Raises DatasetError where the folder holds files of somebody else.
    """
    home = folder / LINKS
    marker = home / ".resight"
    if home.exists() and any(home.iterdir()) and not marker.exists():
        raise DatasetError(f"{home} holds files that no clustering wrote. Choose another --out, or empty that folder.")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    marker.touch()
    for number, rows in enumerate(by_size(clusters), start=1):
        group = home / f"{number:04d}"
        group.mkdir()
        for place, row in enumerate(rows.tolist(), start=1):
            _link(paths[row].resolve(), group / f"{place:03d}_{paths[row].name}")
    return home


def _link(target: Path, link: Path) -> None:
    try:
        link.symlink_to(target)
    except OSError:  # Windows lets only some users make links
        shutil.copyfile(target, link)
