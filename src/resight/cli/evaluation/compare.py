"""The verb `resight compare`: compare two runs on the same queries: paired test, which queries changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from resight.cli.common import output, params

if TYPE_CHECKING:
    from pathlib import Path

    from resight.evaluation import Comparison
    from resight.inference import Result


@click.command(
    epilog=output.example(
        "resight compare runs/a runs/b",
        "resight compare runs/a/evaluation/market1501 runs/b/evaluation/market1501 --unit query --json",
    )
)
@click.argument("first", type=params.FILE)
@click.argument("second", type=params.FILE)
@click.option("--unit", type=click.Choice(["person", "query"]), default="person", show_default=True,
              help="What is drawn: people with all their queries, or single queries.")  # fmt: skip
@click.option("--level", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True, help="Of the intervals.")
@click.option("--draws", type=click.IntRange(min=100), default=5000, show_default=True, help="Random draws.")
@click.option("--seed", type=params.SEED, default=0, show_default=True, help="Of the draws.")
@click.option("--show", type=click.IntRange(min=0), default=10, show_default=True, help="Flipped queries to name.")
@click.option("--sheet", type=params.SHEET, help="Write a picture of them: each query's list by FIRST, then by SECOND.")
@params.json_option
def command(
    first: Path, second: Path, unit: Any, level: float, draws: int, seed: int, show: int, sheet: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Test whether SECOND is better than FIRST: runs, or folders of one evaluation, on the same queries.

    A paired test.  Lists the queries that one of the two matches at rank 1 and the other does not.
    """
    from resight.cli.common.run_folder import result_of
    from resight.evaluation import compare
    from resight.reporting.run_comparison import as_record, different_rules, same_pictures

    a, b = result_of(first), result_of(second)
    same_pictures(first, a, second, b)
    differ = different_rules(a, b)
    if differ:
        click.echo(f"note: {differ}", err=True)
    change = compare(a.report, b.report, unit, level, draws, seed)
    if sheet is not None:
        click.echo(_sheet(sheet, a, b, change, show), err=True)
    if as_json:
        names = {"first": str(first), "second": str(second), "rules_differ": differ}
        output.print_json(as_record(change, a) | names)
        return
    click.echo(f"first:  {a}")
    click.echo(f"second: {b}")
    for score, interval in change.difference.items():
        low, high = 100 * interval.low, 100 * interval.high
        chance = change.p_value[score]
        click.echo(f"  {score:<6}{100 * interval.value:+7.2f} points  [{low:+.2f}, {high:+.2f}]  p = {chance:.4f}")
    for title, rows in (("gained at rank 1", change.gained), ("lost at rank 1", change.lost)):
        click.echo(f"{title}: {len(rows)} of {change.used} queries")
        for row in rows[:show]:
            click.echo(f"  {a.query.paths[row]}  AP {a.report.ap[row]:.3f} -> {b.report.ap[row]:.3f}")
    output.next_step(f"resight report {second} --against {first}")


MOST_FLIPS = 8  # queries on one sheet, two lines each: what a screen can show


def _sheet(file: Path, a: Result, b: Result, change: Comparison, show: int) -> str:
    """Write a sheet with every flipped query twice: its ranked list by FIRST and by SECOND."""
    from resight.reporting.contact_sheet import contact_sheet
    from resight.reporting.ranked_lists import ranked_rows

    flipped = [int(row) for rows in (change.gained, change.lost) for row in rows[:show]]
    if not flipped:
        return "no query flipped: no sheet written"
    left = len(flipped) - MOST_FLIPS
    flipped = flipped[:MOST_FLIPS]
    both = zip(ranked_rows(a, flipped), ranked_rows(b, flipped), strict=True)
    title = f"first: {a.name}; second: {b.name}"
    sheet = contact_sheet([row for pair in both for row in pair], columns=10, title=title)
    more = f" (the first {MOST_FLIPS} of {MOST_FLIPS + left} named queries)" if left > 0 else ""
    return f"sheet: {output.save_sheet(sheet, file)}{more}"
