"""Files beside a report: figures, tables as columns, everything as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from resight.reporting import provenance
from resight.reporting.figure import as_csv, as_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from resight.inference import Result
    from resight.reporting.contents import Gathered
    from resight.reporting.thresholds import Thresholds

Columns = dict[str, list[Any]]


def write_assets(folder: Path, gathered: Gathered) -> None:
    """`figures/NAME.svg, .png, .csv, .json`, `tables/NAME.csv, .json`, `report.json` and `summary.md`."""
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in gathered.figures.items():
        stem = folder / "figures" / name
        write_text(stem.with_suffix(".svg"), figure.svg())
        write_text(stem.with_suffix(".csv"), figure.csv())
        write_text(stem.with_suffix(".json"), figure.json())
        stem.with_suffix(".png").write_bytes(figure.png())
    for name, columns in tables(gathered).items():
        (folder / "tables").mkdir(exist_ok=True)
        write_text(folder / "tables" / f"{name}.csv", as_csv(columns))
        write_text(folder / "tables" / f"{name}.json", as_json(columns))
    if gathered.result is not None:
        write_text(folder / "report.json", json.dumps(_record(gathered, gathered.result), indent=1, default=str))
        write_text(folder / "summary.md", provenance.summary_row(gathered.result))


def write_text(path: Path, text: str) -> None:
    """A file name that is no text in any encoding loses its broken signs, not the report."""
    path.write_bytes(text.encode("utf-8", errors="replace"))


def tables(gathered: Gathered) -> dict[str, Columns]:
    """The tables of the page, whole, by name; empty ones are left out."""
    found: dict[str, Columns] = {"people": _columns([line.to_dict() for line in gathered.people])}
    if gathered.result is not None:
        found["queries"] = _queries(gathered.result)
        found["rerank-sweep"] = _columns(gathered.result.context.get("rerank_sweep", {}).get("rows", []))
    if gathered.cameras is not None:
        found["cameras"] = _columns(gathered.cameras.to_dicts())
    if gathered.thresholds is not None:
        found |= _of_thresholds(gathered.thresholds)
    if gathered.against is not None:
        found["flips"] = _flips(gathered)
    return {name: columns for name, columns in found.items() if columns}


def _record(gathered: Gathered, result: Result) -> dict[str, Any]:
    """`report.json`: the result without its pictures' paths, and everything the page shows of it."""
    return {
        **{name: value for name, value in result.record().items() if name != "query"},
        "camera_pairs": [] if gathered.cameras is None else gathered.cameras.to_dicts(),
        "people": [line.to_dict() for line in gathered.people],
        "thresholds": None if gathered.thresholds is None else gathered.thresholds.to_dict(),
        "ranked_lists": [row.to_dict() for row in gathered.lists],
        "worst_queries": [row.to_dict() for row in gathered.worst],
        "against": None if gathered.against is None else gathered.against.to_dict(),
    }


def _queries(result: Result) -> Columns:
    report = result.report
    return {
        "picture": list(result.query.paths),
        "pid": report.q_pids.tolist(),
        "camera": report.q_camids.tolist(),
        "ap": report.ap.tolist(),
        "inp": report.inp.tolist(),
        "first_match": report.first_match.tolist(),
        "right_answers": report.num_valid.tolist(),
    }


def _of_thresholds(found: Thresholds) -> dict[str, Columns]:
    made: dict[str, Columns] = {}
    if (roc := found.roc) is not None:
        made["roc-points"] = {
            "fpr": roc.fpr.tolist(), "fpr_reached": roc.reached.tolist(), "tpr": roc.tpr.tolist(),
            "distance": roc.threshold.tolist(),
        }  # fmt: skip
    if found.calibration is not None:
        points = [asdict(p.chosen) | {"fmr_here": p.fmr_here, "fnmr_here": p.fnmr_here} for p in found.points]
        made["operating-points"] = _columns(points)
        made["calibration-cameras"] = _columns(
            [asdict(line) | {"cameras": " ".join(map(str, line.cameras))} for line in found.calibration.cameras]
        )
    return made


def _flips(gathered: Gathered) -> Columns:
    against, result = gathered.against, gathered.result
    assert against is not None and result is not None
    change = against.change
    rows = [*((int(row), "gained") for row in change.gained), *((int(row), "lost") for row in change.lost)]
    return _columns([
        {"query": row, "picture": result.query.paths[row], "rank1": word,
         "ap_before": float(against.other.report.ap[row]), "ap_after": float(result.report.ap[row])}
        for row, word in rows
    ])  # fmt: skip


def _columns(lines: Sequence[Mapping[str, Any]]) -> Columns:
    """Lines with the same keys as columns."""
    return {name: [line[name] for line in lines] for name in lines[0]} if lines else {}
