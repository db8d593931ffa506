"""HTML report of a run in one file, with its figures and numbers beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resight._version import __version__
from resight.reporting import provenance, text
from resight.reporting.contents import Gathered, gather
from resight.reporting.export import write_assets, write_text
from resight.reporting.thumbnails import Album

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from resight.data import Dataset
    from resight.evaluation import Calibration
    from resight.inference import Result
    from resight.reporting.figure import Figure


@dataclass(frozen=True)
class Section:
    """A part of the page: `page/NAME.html`, shown and linked to where there is something to show."""

    name: str
    title: str
    there: Callable[[Gathered], bool]


SECTIONS = (  # in the order of the page
    Section("result", "Result", lambda page: page.result is not None),
    Section("how", "How it was got", lambda page: page.result is not None),
    Section("against", "Against another run", lambda page: page.against is not None),
    Section("thresholds", "Thresholds", lambda page: page.thresholds is not None),
    Section("lists", "Ranked lists", lambda page: bool(page.lists)),
    Section("worst", "Worst queries", lambda page: bool(page.worst)),
    Section("who", "Cameras and people", lambda page: page.result is not None),
    Section("spaces", "Feature spaces", lambda page: "feature-spaces" in page.figures),
    Section("training", "Training", lambda page: bool(page.training)),
    Section("data", "Data", lambda page: page.data is not None),
    Section("recipe", "Recipe", lambda page: page.recipe is not None),
    Section("use", "Use and limits", lambda _: True),
)


def write_report(
    out: Path,
    result: Result | None,
    *,
    journal: Sequence[dict[str, Any]] | None = None,
    recipe_toml: str | None = None,
    title: str = "resight report",
    dataset: Dataset | None = None,
    calibration: Calibration | None = None,
    other: tuple[str, Result] | None = None,
    beside: Sequence[tuple[str, Result]] = (),
    queries: int = 12,
    seed: int = 0,
    assets: bool = False,
) -> Path:
    """Write the HTML report, one page that needs no network and runs no script.

    Args:
        out: the page, or a folder that gets `index.html`.
        result: an evaluation, if there is one.
        journal: of the training run.
        recipe_toml: of the training run.
        title: of the page.
        dataset: for the statistics of its pictures.
        calibration: of the model.
        other: name and result to compare with, on the same queries.
        beside: names and results, this one's first, whose feature maps are drawn side by side.
        queries: ranked lists to draw.
        seed: of their choice.
        assets: also write `figures/` (SVG, PNG, CSV, JSON), `tables/`, `report.json` and `summary.md`.

    Returns:
        The page.  A picture that no longer exists shows as a placeholder.
    """
    page = out if out.suffix.lower() in (".html", ".htm") else out / "index.html"
    gathered = gather(result, journal or (), recipe_toml, dataset, calibration, other, beside, queries, seed)
    page.parent.mkdir(parents=True, exist_ok=True)
    write_text(page, _render(gathered, title, seed))
    if assets:
        write_assets(page.parent, gathered)
    return page


def _render(gathered: Gathered, title: str, seed: int) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("resight.reporting", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        percent=text.percent, number=text.number, closeness=text.closeness, person=text.person,
        camera=text.camera, printable=text.printable, signs=text.FLAG_SIGNS, flag_words=text.FLAG_WORDS,
        measures=text.MEASURES, svg=_marked_up, version=__version__, seed=seed, gathered=gathered,
        album=Album(gathered.pictures()),
    )  # fmt: skip
    result = gathered.result
    return environment.get_template("report.html").render(
        title=text.printable(title),
        sections=[section for section in SECTIONS if section.there(gathered)],
        result=result,
        report=result.report if result else None,
        scores=provenance.scores(result.report) if result else {},
        intervals=provenance.intervals(result) if result else {},
        provenance=provenance.provenance(result) if result else [],
        warnings=provenance.warnings(gathered),
    )


def _marked_up(figure: Figure) -> Any:
    """The drawing as it is: matplotlib has escaped every text in it."""
    from markupsafe import Markup

    return Markup(figure.svg())
