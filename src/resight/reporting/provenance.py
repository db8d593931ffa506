"""Scores of a result, how they were made, and warnings, as rows of text."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from resight.reporting.text import number, percent, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resight.evaluation import Report
    from resight.inference import Result
    from resight.reporting.contents import Gathered

RANKS = (1, 5, 10, 20)
UNREADABLE_SHOWN = 20
_SHOWN_APART = {"unreadable", "software", "embedding", "intervals", "rerank_sweep", "single_shot", "findings"}
_LABELS = {
    "dataset": "data set", "version": "version", "terms": "terms of the data", "run": "run",
    "recipe": "recipe", "recipe_hash": "recipe hash", "seed": "seed", "model": "model",
    "fingerprint": "fingerprint of the weights",
    "command": "command", "platform": "machine", "seconds": "seconds to evaluate",
}  # fmt: skip


def scores(report: Report) -> dict[str, float]:
    """The numbers of a results table, shares in [0, 1]."""
    ranks = {f"rank-{k}": report.rank(k) for k in RANKS if k <= len(report.cmc)}
    return {"mAP": report.mAP, **ranks, "mINP": report.mINP}


def provenance(result: Result) -> list[tuple[str, str]]:
    """Label and value of everything one has to know to get the figure again."""
    context, report = result.context, result.report
    rows = [(label, _said(context[key])) for key, label in _LABELS.items() if context.get(key) not in (None, "")]
    apart = {*_LABELS, *_SHOWN_APART}
    rows += [(key, _said(value)) for key, value in context.items() if key not in apart and value not in (None, "", [])]
    if isinstance(context.get("embedding"), dict):
        rows.append(("descriptor", _pairs(context["embedding"])))
    rows += [
        ("metric", report.metric),
        ("re-ranking", report.rerank),
        ("average precision", report.protocol.ap_mode),
    ]
    if isinstance(single := context.get("single_shot"), dict):
        rows.append(("one gallery picture a person", printable(single.get("said", ""))))
    rows.append(("protocol", _pairs({k: v for k, v in asdict(report.protocol).items() if k != "ap_mode"})))
    rows.append(("counts", _pairs(asdict(report.counts))))
    if isinstance(context.get("software"), dict):
        rows.append(("software", _pairs(context["software"])))
    return rows


def warnings(gathered: Gathered) -> list[str]:
    """Sentences a reader should not miss."""
    said = [_of_journal(line) for line in gathered.curves.warnings]
    if gathered.result is not None:
        said += [str(finding) for finding in gathered.result.context.get("findings") or []]
        said += _of_counts(gathered.result.report)
        lost = gathered.result.context.get("unreadable") or []
        said += [f"Left out, unreadable: {_unreadable(item)}" for item in lost[:UNREADABLE_SHOWN]]
        if len(lost) > UNREADABLE_SHOWN:
            said.append(f"and {len(lost) - UNREADABLE_SHOWN} more unreadable pictures.")
    if gathered.thresholds is not None and gathered.thresholds.refused is not None:
        said.append(gathered.thresholds.refused)
    if gathered.dataset is not None:
        said += [f"{gathered.dataset.name}: {note}" for note in gathered.dataset.notes]
    return [printable(text) for text in said]


def intervals(result: Result) -> dict[str, tuple[float, float]]:
    """The 95 % intervals the result was kept with, under the names of `scores`."""
    kept = result.context.get("intervals")
    return {
        "rank-1" if name == "rank1" else str(name): (float(ends[0]), float(ends[1]))
        for name, ends in (kept.items() if isinstance(kept, dict) else ())
        if isinstance(ends, list | tuple) and len(ends) == 2 and all(isinstance(end, int | float) for end in ends)
    }


def summary_row(result: Result) -> str:
    """A Markdown table for a paper or a README, intervals in its second line, the conditions below it."""
    named, ranges = scores(result.report), intervals(result)
    cells = [_cell(result.context.get(key, "")) for key in ("model", "dataset")]
    lines = [
        ["model", "data set", *named],
        ["---"] * 2 + ["---:"] * len(named),
        [*cells, *(percent(value) for value in named.values())],
    ]
    if ranges:
        said = {name: f"{percent(low)} to {percent(high)}" for name, (low, high) in ranges.items()}
        lines.append(["95 % interval", "", *(said.get(name, "") for name in named)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    conditions = "\n".join(f"- {_cell(label)}: {_cell(value)}" for label, value in provenance(result))
    return f"{table}\n\nIn per cent. {_cell(result.report)}\n\n{conditions}\n"


def _of_journal(line: Mapping[str, Any]) -> str:
    if line.get("warning") == "collapse":
        spread = line.get("spread")
        known = f" (spread {spread:.1e})" if isinstance(spread, float) else ""
        said = f"At step {line.get('step')} of training every picture had nearly the same descriptor"
        return f"{said}{known}: the features had collapsed."
    rest = {key: value for key, value in line.items() if key not in ("event", "warning", "step")}
    return f"At step {line.get('step')} of training: {line.get('warning', '')} {_pairs(rest)}".strip()


def _of_counts(report: Report) -> list[str]:
    counts = report.counts
    said = [
        (counts.skipped, "queries have no right answer in the gallery; protocol: {}.".format(
            "they are left out" if report.protocol.no_match == "skip" else "they count as zero")),
        (counts.zero_vectors, "descriptors have length zero: as far from everything as can be."),
        (counts.not_finite, "descriptors or distances were no number and were put last."),
    ]  # fmt: skip
    return [f"{count} {text}" for count, text in said if count]


def _unreadable(item: Any) -> str:
    return f"{item.get('path')}: {item.get('reason')}" if isinstance(item, dict) else str(item)


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return _pairs(value)
    if isinstance(value, float):
        return number(value, 6)
    return printable(value if isinstance(value, str) else json.dumps(value, default=str), 2000)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{printable(key)} {_value(value)}" for key, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " x ".join(map(_value, value))
    return (
        "none" if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else printable(value)
    )


def _cell(text: object) -> str:
    """Text that ends neither a Markdown cell nor starts anything else."""
    return "".join(f"\\{sign}" if sign in "\\|`*_[]<>" else sign for sign in printable(text, 2000))
