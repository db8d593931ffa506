"""resight report"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resight.cli import common

if TYPE_CHECKING:
    from resight.data import Dataset
    from resight.embedding import Result
    from resight.run import Run


@click.command(
    epilog=common.example("resight report runs/first", "resight report runs/first --out first.html --queries 20")
)
@click.argument("run", type=common.FILE)
@click.option("--out", type=common.FILE, help="File to write.  Default: RUN/report/index.html.")
@click.option("--evaluation", type=common.FILE, help="Folder of one evaluation.  Default: the newest of the run.")
@click.option("--queries", default=12, show_default=True, type=click.IntRange(min=0), help="Ranked lists to show.")
@click.option("--seed", default=0, show_default=True, help="Which queries are drawn.")
@click.option("--assets", is_flag=True, help="Also write figures (SVG), their data (JSON, CSV) and a Markdown summary.")
@common.json_option
def command(
    run: Path, out: Path | None, evaluation: Path | None, queries: int, seed: int, assets: bool, as_json: bool
) -> None:
    """Write one HTML page about RUN: scores, curves, ranked lists, the worst queries.

    The page holds small copies of the pictures.  Pictures of real people are personal data: mind where it goes.
    """
    from resight.embedding import Result
    from resight.reporting import write_report
    from resight.run import Run

    opened = Run.open(run)
    folder = evaluation or _newest(run)
    result = Result.load(folder) if folder else None
    page = write_report(
        out or run / "report" / "index.html",
        result,
        journal=opened.journal,
        recipe_toml=opened.recipe.to_toml(),
        title=opened.recipe.name,
        queries=queries,
        seed=seed,
        assets=assets,
        dataset=_dataset(opened, result),
    )
    if as_json:
        common.print_json({"report": str(page), "evaluation": str(folder) if folder else None})
    else:
        click.echo(f"report: {page}")
        if folder is None:
            click.echo(f"it has no scores yet; make them with: resight evaluate {run}", err=True)


def _dataset(run: Run, result: Result | None) -> Dataset | None:
    """The recipe's data set, if it is the one judged and still where it was: for the page's counts of training."""
    from resight.errors import ResightError
    from resight.run import load_data

    if result is not None and result.context.get("dataset") != run.recipe.data.name:
        return None
    with contextlib.suppress(ResightError):
        return load_data(run.recipe)
    return None


def _newest(run: Path) -> Path | None:
    found = sorted((run / "evaluation").glob("*/result.json"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent if found else None
