"""Tables of a comparison as Markdown, CSV, HTML and terminal text, all from the same cells."""

from __future__ import annotations

import csv
import html
import io
import json
from typing import TYPE_CHECKING, Any

from resight.files import write_text
from resight.reporting.text import NONE, printable, spreadsheet_text

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from resight.experiments.comparison import Line, SweepResults
    from resight.experiments.differences import Difference

READ = (
    "Scores in per cent: mean over seeds ± standard deviation over seeds. Parameters without classifiers; "
    "multiply-adds of one picture's descriptor; training time is the mean over seeds. Differences in mAP to the "
    "first row, mean over the seeds both have, with the 95 % interval from resampling identities; where it holds 0 "
    "the two are not distinguishable by these queries. The interval does not cover other seeds."
)
CHANGED = (
    " The last two columns: what becomes of mAP {between}, mean over seeds ± standard deviation; and how that differs "
    "from the first row's, with the interval from resampling identities. A row that is low on both sets has little to "
    "lose: read the change beside the scores."
)


def reading(comparison: SweepResults) -> str:
    """How to read the table."""
    between = " to ".join(comparison.sweep.change)
    return READ + (CHANGED.format(between=f"from {between}") if between else "")


def headings(comparison: SweepResults) -> list[str]:
    found = ["variant", "seeds", "parameters (M)", "GMACs", "training (min)"]
    for label in comparison.labels:
        where = f" on {label}" if len(comparison.labels) > 1 else ""
        found += [f"mAP{where}", f"rank-1{where}", f"difference in mAP{where}"]
    if comparison.sweep.change:
        between = " to ".join(comparison.sweep.change)
        found += [f"mAP, {between}", f"difference in mAP, {between}"]
    return found


def cells(comparison: SweepResults, line: Line) -> list[str]:
    """One row under `headings`."""
    row = [
        printable(line.name),
        str(line.seeds),
        NONE if line.parameters is None else f"{line.parameters / 1e6:.2f}",
        NONE if line.macs is None else f"{line.macs / 1e9:.3f}",
        NONE if line.seconds is None else f"{line.seconds / 60:.1f}",
    ]
    for label in comparison.labels:
        scores = line.scores.get(label, {})
        row += [str(scores.get(name, NONE)) for name in ("mAP", "rank1")]
        row.append(str(line.differences.get(label, NONE)))
    if comparison.sweep.change:
        change = line.change
        row += [NONE, NONE] if change is None else [str(change), str(change.difference or NONE)]
    return row


def markdown(comparison: SweepResults) -> str:
    rows = [headings(comparison), *(cells(comparison, line) for line in comparison.lines)]
    drawn = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    rule = "| --- |" + " ---: |" * (len(rows[0]) - 1)
    return "\n".join([f"# {_title(comparison)}", "", drawn[0], rule, *drawn[1:], "", reading(comparison), ""])


def comma_separated(comparison: SweepResults) -> str:
    """Plain numbers, one line a variant and data set; shares in [0, 1], seconds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([
        "variant", "dataset", "seeds", "parameters", "macs", "seconds", "mAP", "mAP_spread", "rank1", "rank1_spread",
        "difference", "low", "high", "conclusion",
    ])  # fmt: skip
    for line in comparison.lines:
        known, cost = [spreadsheet_text(line.name)], [line.seeds, line.parameters, line.macs, line.seconds]
        for label in comparison.labels:
            named, versus = line.scores.get(label, {}), line.differences.get(label)
            numbers = [number for s in named.values() for number in (s.mean, s.spread)] or [None] * 4
            writer.writerow([*known, label, *cost, *numbers, *_gap(versus)])
        if line.change is not None:
            score = line.change.score
            between = " to ".join(comparison.sweep.change)
            writer.writerow(
                [*known, between, *cost, score.mean, score.spread, None, None, *_gap(line.change.difference)]
            )
    return text.getvalue()


def _gap(difference: Difference | None) -> list[Any]:
    if difference is None:
        return [""] * 4
    held = difference.interval
    return [held.value, held.low, held.high, difference.conclusion]


def page(comparison: SweepResults) -> str:
    """One HTML page without script or link."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in headings(comparison))
    body = []
    for line in comparison.lines:
        first, *rest = cells(comparison, line)
        said = f"<br><small>{html.escape(printable(line.about))}</small>" if line.about else ""
        body.append(
            f"<tr><th>{html.escape(first)}{said}</th>" + "".join(f"<td>{html.escape(c)}</td>" for c in rest) + "</tr>"
        )
    title = html.escape(_title(comparison))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n<style>{_STYLE}</style>'
        f"</head>\n<body><h1>{title}</h1>\n<div><table><thead><tr>{head}</tr></thead>\n<tbody>"
        + "\n".join(body)
        + f"</tbody></table></div>\n<p>{html.escape(reading(comparison))}</p></body></html>\n"
    )


def terminal(comparison: SweepResults) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=Text(_title(comparison)), title_justify="left")
    for number, name in enumerate(headings(comparison)):
        table.add_column(name, justify="left" if number == 0 else "right", overflow="fold")
    for line in comparison.lines:
        table.add_row(*(Text(cell) for cell in cells(comparison, line)))
    return table


def write_tables(comparison: SweepResults, out: Path) -> None:
    """`table.md`, `table.csv`, `table.html` and `table.json` in `out`."""
    record = {"sweep": comparison.sweep.name, "asked": comparison.asked, "done": comparison.done}
    record["lines"] = [line.to_dict() for line in comparison.lines]
    texts = {
        "table.md": markdown(comparison), "table.csv": comma_separated(comparison),
        "table.html": page(comparison), "table.json": json.dumps(record, indent=1),
    }  # fmt: skip
    for name, text in texts.items():
        write_text(out / name, text)


def _title(comparison: SweepResults) -> str:
    said = f": {comparison.sweep.about}" if comparison.sweep.about else ""
    missing = comparison.asked - comparison.done
    left = f" ({missing} of {comparison.asked} runs to come)" if missing else ""
    return printable(f"{comparison.sweep.name}{said}{left}")


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1c2126}"
    "div{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}"
    "th,td{padding:.35rem .7rem;border-bottom:1px solid #d5dade;text-align:right;font-variant-numeric:tabular-nums}"
    "tbody th,thead th:first-child{text-align:left}tbody th{font-weight:600}small{font-weight:400;color:#5b6670}"
)
