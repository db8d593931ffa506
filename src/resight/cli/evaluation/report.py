"""The verb `resight report`: write one HTML page about a run: scores, curves, ranked lists."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resight.cli.common import output, params
from resight.errors import ResightError

if TYPE_CHECKING:
    from resight.data import Dataset
    from resight.evaluation import Calibration
    from resight.inference import Result
    from resight.run import Run


@click.command(
    epilog=output.example(
        "resight report runs/first",
        "resight report runs/first --out paper/ --assets",
        "resight report runs/second --against runs/first",
        "resight report runs/classification --beside runs/metric --beside runs/joint",
    )
)
@click.argument("run", type=params.FILE)
@click.option("--out", type=params.PAGE, help="Page to write (.html), or its folder.  Default: RUN/report.")
@click.option("--evaluation", type=params.FILE, help="Folder of one evaluation.  Default: the newest of the run.")
@click.option("--against", type=params.FILE, help="A run or evaluation to compare with: paired test, flipped queries.")
@click.option("--beside", type=params.FILE, multiple=True,
              help="A run whose feature space is drawn beside this one's; may be repeated.")  # fmt: skip
@click.option("--queries", default=12, show_default=True, type=click.IntRange(min=0), help="Ranked lists to show.")
@click.option("--seed", type=params.SEED, default=0, show_default=True, help="Which queries are drawn.")
@click.option("--assets", is_flag=True,
              help="Also write figures (SVG, PNG), tables, their data (CSV, JSON) and a Markdown summary.")  # fmt: skip
@params.json_option
def command(
    run: Path, out: Path | None, evaluation: Path | None, against: Path | None, beside: tuple[Path, ...], queries: int,
    seed: int, assets: bool, as_json: bool,
) -> None:  # fmt: skip
    """Write one HTML page about RUN: scores, thresholds, curves, ranked lists, the worst queries.

    RUN is a run folder, or that of one evaluation, of vectors from elsewhere for instance.  The page holds small
    copies of the pictures.  Pictures of real people are personal data: mind where it goes.
    """
    from resight.cli.common.run_folder import newest, result_of
    from resight.inference import Result
    from resight.reporting import write_report
    from resight.run import Run

    opened = None if (run / "result.json").is_file() else Run.open(run)
    folder = evaluation or newest(run)
    result = Result.load(folder) if folder else None
    page = write_report(
        out or run / "report" / "index.html",
        result,
        journal=opened.journal if opened else None,
        recipe_toml=opened.recipe.to_toml() if opened else None,
        title=opened.recipe.name if opened else f"{result.context.get('dataset', run.name)}" if result else run.name,
        queries=queries,
        seed=seed,
        assets=assets,
        dataset=_dataset(opened, result) if opened else None,
        calibration=_calibration(run, folder),
        other=(str(against), result_of(against)) if against else None,
        beside=[(str(run), result), *((str(path), result_of(path)) for path in beside)] if result and beside else (),
    )
    if as_json:
        output.print_json({"report": str(page), "evaluation": str(folder) if folder else None})
    else:
        click.echo(f"report: {page}")
        if folder is not None:
            output.next_step(f"resight compare {run} OTHER_RUN")
        if folder is None:
            click.echo(f"it has no scores yet; make them with: resight evaluate {run}", err=True)


def _dataset(run: Run, result: Result | None) -> Dataset | None:
    """The recipe's data set, if it is the one evaluated and still where it was: for the page's counts of training."""
    from resight.assembly import load_data

    if result is not None and result.context.get("dataset") != run.recipe.data.name:
        return None
    with contextlib.suppress(ResightError):
        return load_data(run.recipe)
    return None


def _calibration(run: Path, evaluation: Path | None) -> Calibration | None:
    """The calibration in the run folder, or in that of the run an evaluation belongs to."""
    from resight.cli.common.run_folder import kept_at
    from resight.evaluation import Calibration

    places = [run, evaluation.parent.parent] if evaluation is not None else [run]
    kept = next((file for file in map(kept_at, places) if file.is_file()), None)
    return None if kept is None else Calibration.load(kept)
