"""One HTML file about a run, readable anywhere, and beside it the figures and the numbers behind them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resight import __version__
from resight.reporting import facts, plots, words
from resight.reporting.cameras import CameraTable, Pair, camera_pairs
from resight.reporting.curves import Curves
from resight.reporting.lists import RankedRow, judged_rows, sample_queries, worst_queries
from resight.reporting.space import map_features
from resight.reporting.statistics import DataStatistics, data_statistics, nobody_of
from resight.reporting.thumbnails import Album

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from resight.data import Dataset
    from resight.embedding import Result
    from resight.reporting.drawing import Figure

DEPTH = 10  # judged pictures in a list
WORST = 8  # queries of lowest average precision


def write_report(
    out: Path,
    result: Result | None,
    *,
    journal: list[dict[str, Any]] | None = None,
    recipe_toml: str | None = None,
    title: str = "resight report",
    dataset: Dataset | None = None,
    queries: int = 12,
    seed: int = 0,
    assets: bool = False,
) -> Path:
    """Write the page to `out` (a folder gets `index.html`) and return where it is.

    It needs no network and runs no script.  A picture that has gone since shows as a placeholder.
    queries: ranked lists to draw, with `seed`.  assets: also write, beside the page, `figures/` (SVG, PNG,
    and their data as CSV and JSON), `report.json` and `summary.md`.
    """
    page = out if out.suffix.lower() in (".html", ".htm") else out / "index.html"
    gathered = _gather(result, journal or [], dataset, queries, seed)
    page.parent.mkdir(parents=True, exist_ok=True)
    _write(page, _render(gathered, title, recipe_toml, seed))
    if assets:
        _write_assets(page.parent, gathered)
    return page


@dataclass(frozen=True)
class Gathered:
    """Everything the page shows, before it is a page."""

    result: Result | None
    dataset: Dataset | None
    curves: Curves
    figures: dict[str, Figure]
    lists: list[RankedRow]
    worst: list[RankedRow]
    pairs: list[Pair]
    data: DataStatistics | None


def _gather(
    result: Result | None, journal: list[dict[str, Any]], dataset: Dataset | None, queries: int, seed: int
) -> Gathered:
    curves = Curves.of(journal)
    data = data_statistics(dataset, result, seed)
    figures = plots.training_figures(curves)
    lists: list[RankedRow] = []
    worst: list[RankedRow] = []
    pairs: list[Pair] = []
    if result is not None:
        figures += plots.verdict_figures(result.report)
        lists = judged_rows(result, sample_queries(result.report, queries, seed), DEPTH)
        worst = judged_rows(result, worst_queries(result.report, min(queries, WORST)), DEPTH)
        pairs = camera_pairs(result, seed)
        points = map_features(result.gallery, seed, nobody_of(result))
        figures += [plots.feature_map(points)] if points is not None else []
    if data is not None:
        histogram = plots.images_per_identity({split.split: split.per_identity for split in data.splits})
        figures += [histogram] if histogram is not None else []
    named = {figure.name: figure for figure in figures}
    return Gathered(result, dataset, curves, named, lists, worst, pairs, data)


def _render(gathered: Gathered, title: str, recipe_toml: str | None, seed: int) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    result = gathered.result
    environment = Environment(
        loader=PackageLoader("resight.reporting", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        percent=words.percent, number=words.number, closeness=words.closeness, person=words.person,
        camera=words.camera, printable=words.printable, signs=words.FLAG_SIGNS, flag_words=words.FLAG_WORDS,
    )  # fmt: skip
    album = Album(_pictures([*gathered.lists, *gathered.worst]))
    return environment.get_template("report.html").render(
        title=words.printable(title),
        version=__version__,
        seed=seed,
        gathered=gathered,
        result=result,
        report=result.report if result else None,
        scores=facts.scores(result.report) if result else {},
        provenance=facts.provenance(result) if result else [],
        warnings=facts.warnings(result, gathered.curves.warnings, gathered.dataset),
        people=facts.hardest_people(result.report) if result else [],
        intervals=facts.intervals(result) if result else {},
        cameras=CameraTable.of(gathered.pairs),
        training=[name for name in plots.TRAINING if name in gathered.figures],
        album=album,
        recipe=recipe_toml,
        svg=_marked_up,
    )


def _marked_up(figure: Figure) -> Any:
    """The drawing as it is: matplotlib has escaped every text in it."""
    from markupsafe import Markup

    return Markup(figure.svg())


def _pictures(rows: Sequence[RankedRow]) -> int:
    return sum(1 + len(row.hits) for row in rows)


def _write_assets(folder: Path, gathered: Gathered) -> None:
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in gathered.figures.items():
        stem = folder / "figures" / name
        _write(stem.with_suffix(".svg"), figure.svg())
        _write(stem.with_suffix(".csv"), figure.csv())
        _write(stem.with_suffix(".json"), figure.json())
        stem.with_suffix(".png").write_bytes(figure.png())
    if gathered.result is not None:
        record: dict[str, Any] = {
            "context": gathered.result.context,
            "report": gathered.result.report.to_dict(),
        }
        record["camera_pairs"] = [pair.to_dict() for pair in gathered.pairs]
        _write(folder / "report.json", json.dumps(record, indent=1, default=str))
        _write(folder / "summary.md", facts.summary_row(gathered.result))


def _write(path: Path, text: str) -> None:
    """A file name that is no text in any encoding loses its broken signs, not the report."""
    path.write_bytes(text.encode("utf-8", errors="replace"))
