"""Tables: the numbers of the evaluation, and names as plain text."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from resight.reporting import hits_table, models_table
from resight.reporting.provenance import intervals, scores
from resight.reporting.text import closeness, number, percent, printable

if TYPE_CHECKING:
    from resight.inference import Result


def shown(table: Any) -> str:
    text = io.StringIO()
    Console(file=text, width=160, color_system=None).print(table)
    return text.getvalue()


def test_scores_are_the_reports(result: Result) -> None:
    assert scores(result.report)["rank-5"] == result.report.rank(5)


def test_hits_are_text() -> None:
    name = "[bold red]a[/] \x1b[31m\udcff.jpg"
    hits = [{"rank": 1, "path": name, "id": "a", "similarity": 0.98765, "pid": 12}]
    text = shown(hits_table({"query": name, "hits": hits}))
    assert "[bold red]a[/]" in text and "\x1b" not in text and "0.988" in text and "12" in text
    assert "camera" not in text and "same person" not in text
    assert "97.5" in shown(hits_table({"query": "q", "hits": [hits[0] | {"probability": 0.975}]}))
    evaluated = [hits[0] | {"accepted": True}, hits[0] | {"accepted": False}]
    marked = shown(hits_table({"query": "q", "hits": evaluated, "fmr": 0.001}))
    assert "accepted at 0.001" in marked and "yes" in marked and "no" in marked
    assert "distance" in shown(hits_table({"query": "q", "hits": [{"rank": 1, "path": "a", "distance": 2.0}]}))
    assert "picture" in shown(hits_table({"query": "q", "hits": []}))


def test_intervals_are_shown_under_the_names_of_the_scores(result: Result) -> None:
    kept = {"mAP": [0.25, 0.5], "rank1": [0.5, 0.75], "mINP": "none"}
    shown_with = replace(result, context=result.context | {"intervals": kept})
    assert intervals(shown_with) == {"mAP": (0.25, 0.5), "rank-1": (0.5, 0.75)}
    assert intervals(result) == {}


def test_models_are_listed_with_their_cost() -> None:
    row = {
        "name": "tiny", "parameters": 2_345_678, "parameters_without_classifiers": 1_000_000,
        "macs": 1_234_567_890, "input_size": (256, 128), "embedding_dim": 512, "paper": "ours",
    }  # fmt: skip
    text = shown(models_table([row]))
    assert all(words in text for words in ("tiny", "2.35 M", "1.00 M", "1.23 G", "256 x 128", "512"))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (percent(0.12345), "12.3"), (percent(None), "–"), (percent(float("nan")), "–"),
        (number(1234567), "1,234,567"), (number(0.000123456), "0.000123"), (number(float("inf")), "–"),
        (closeness(0.25, "cosine"), "0.750"), (closeness(0.25, "euclidean"), "d 0.250"),
        (printable("a\nb\x1b\u202e"), "a\ufffdb\ufffd\ufffd"), (printable("x" * 500, 10), "x" * 9 + "…"),
    ],
)  # fmt: skip
def test_how_things_are_written(said: str, expected: str) -> None:
    assert said == expected
