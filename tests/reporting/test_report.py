"""The page stands alone, takes nothing from outside at its word, and shows what there is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from resight.data import Dataset
from resight.reporting import write_report
from resight.types import Sample
from tests.reporting.people import make_journal, make_result

if TYPE_CHECKING:
    from resight.embedding import Result

HOSTILE = '"><script>alert(1)</script><img src=http://evil.example/x.png onerror=alert(2)>'
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Every element opened is closed again, in order; ids are given once; every attribute is kept."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []
        ids = [value for _, name, value in self.attributes if name == "id"]
        assert len(ids) == len(set(ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(path: Path) -> tuple[str, Page]:
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def written(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report(
        folder, result, journal=make_journal(), recipe_toml='name = "by hand"\n', title="Colours", assets=True
    )


def test_the_page_asks_the_network_for_nothing(written: Path) -> None:
    text, page = read(written)
    for _, name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "data", "action", "poster", "srcset"):
            assert value.startswith(("data:image/jpeg;base64,", "#")), value
    assert set(re.findall(r"https?://[^\s\"'<)]+", text)) <= {"http://www.w3.org/2000/svg"}  # a name, not a link
    assert not re.search(r"@import|url\((?!#)", text)
    assert "script" not in page.tags and "iframe" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_the_page_says_what_was_found_and_how(written: Path, result: Result) -> None:
    _, page = read(written)
    report = result.report
    assert str(report) in " ".join(page.words) and "0123456789ab" in page.text
    for words in (
        f"mAP {100 * report.mAP:.1f} %", f"rank-1 {100 * report.rank(1):.1f} %",
        "12 of the 27 judged queries, drawn with seed 0", "resight evaluate runs/colours",
        "Worst queries", "personal data", "rectangle",
    ):  # fmt: skip
        assert words in page.text, words


def test_every_picture_has_words(written: Path) -> None:
    _, page = read(written)
    images = [value for tag, name, value in page.attributes if tag == "img" and name == "alt"]
    assert len(images) == page.tags.count("img") > 200 and all(images)
    drawings = [value for tag, name, value in page.attributes if tag == "svg" and name == "aria-label"]
    assert len(drawings) == page.tags.count("svg") == 10 and all(drawings)


def test_a_report_stays_small_enough_to_send(tmp_path: Path) -> None:
    noisy = make_result(tmp_path / "data")
    rng = np.random.default_rng(0)
    for part in (noisy.query, noisy.gallery):
        for row in range(len(part)):
            pixels = rng.integers(0, 256, (256, 128, 3), dtype=np.uint8)  # the hardest thing to compress
            Image.fromarray(pixels).save(part.path(row), quality=95)
    page = write_report(tmp_path / "a.html", noisy, journal=make_journal(3000), queries=27)
    assert page.stat().st_size < 3_000_000


def test_equal_input_gives_equal_bytes(result: Result, tmp_path: Path) -> None:
    first = write_report(tmp_path / "a.html", result, journal=make_journal(), queries=2)
    second = write_report(tmp_path / "b.html", result, journal=make_journal(), queries=2)
    assert first.read_bytes() == second.read_bytes()
    assert write_report(tmp_path / "c.html", result, queries=2, seed=1).read_bytes() != first.read_bytes()


def hostile(result: Result) -> Result:
    names = tuple(HOSTILE.replace("/", "\\") + f"{row}.jpg" for row in range(len(result.gallery)))
    gallery = replace(result.gallery, paths=names, ids=names)
    context: dict[str, Any] = {HOSTILE: HOSTILE, **dict.fromkeys(result.context, HOSTILE)}
    context["unreadable"] = [{"path": HOSTILE + "\udcff", "reason": "broken\x1b[31m\x00"}, "what?"]
    return replace(result, gallery=gallery, context=context, report=result.report.described(rerank=HOSTILE))


def test_names_are_text_whatever_they_hold(result: Result, tmp_path: Path) -> None:
    journal: list[dict[str, Any]] = [
        {
            "event": "train",
            "step": 1,
            "epoch": 1.0,
            "total": 1.0,
            "parts": {HOSTILE: 1.0, "$\\frac$ _": 2.0, "_": 1},
        },
        {"event": "validation", "step": 1, "epoch": 1, "mAP": 0.5, HOSTILE: 0.5},
        {"event": "warning", "step": 1, "warning": HOSTILE, HOSTILE: HOSTILE},
    ]
    page = write_report(
        tmp_path,
        hostile(result),
        journal=journal,
        recipe_toml=f"# {HOSTILE}\n",
        title=HOSTILE,
        queries=3,
        assets=True,
    )
    text, parsed = read(page)
    assert "<script" not in text and "script" not in parsed.tags
    assert not [
        value for _, name, value in parsed.attributes if name.startswith("on") or ("evil" in value and name == "src")
    ]
    assert HOSTILE in " ".join(parsed.words)
    assert "\x1b" not in text and "\x00" not in text
    for drawing in (tmp_path / "figures").glob("*.svg"):
        assert not [node for node in ElementTree.parse(drawing).iter() if node.tag.endswith(("script", "image"))]
    assert "<script" not in (tmp_path / "summary.md").read_text().replace("\\<", "")


def test_a_picture_that_has_gone_is_a_placeholder(tmp_path: Path) -> None:
    result = make_result(tmp_path)
    for number, path in enumerate(sorted((tmp_path / "gallery").iterdir())):
        if number % 3 == 0:
            path.unlink()
        elif number % 3 == 1:
            path.write_bytes(b"no picture at all")
    text, page = read(write_report(tmp_path / "report", result, queries=4))
    assert "no picture" in page.text and "could not be read any more" in page.text
    assert text.count('<i role="img"') > 20


@pytest.mark.parametrize("journal", [None, [], [{"event": "train"}], [{"event": "?", "step": "x"}]], ids=str)
def test_a_page_is_written_of_whatever_there_is(journal: list[dict[str, Any]] | None, tmp_path: Path) -> None:
    _, page = read(write_report(tmp_path / "deep" / "page.HTML", None, journal=journal))
    assert "No verdict yet" in page.text and "Training" not in page.text
    assert "svg" not in page.tags and "img" not in page.tags


def test_curves_alone_make_a_page(tmp_path: Path) -> None:
    collapse = {"event": "warning", "step": 40, "warning": "collapse", "spread": 4e-4}
    holes = {
        "event": "train",
        "epoch": 2,
        "total": float("nan"),
        "parts": {"identity": None},
        "lr": float("inf"),
    }
    _, page = read(write_report(tmp_path, None, journal=[*make_journal(), collapse, holes]))
    assert "nearly the same descriptor (spread 4.0e-04)" in page.text
    assert page.tags.count("svg") == 6


def test_no_query_shown_is_a_report_too(result: Result, tmp_path: Path) -> None:
    _, page = read(write_report(tmp_path, result, queries=0))
    assert "img" not in page.tags and "Cumulative match curve" in page.text


def test_the_data_set_is_described(result: Result, tmp_path: Path) -> None:
    samples = [
        Sample(
            result.gallery.path(row),
            int(result.gallery.pids[row]),
            int(result.gallery.camids[row]),
            "train",
            "x",
        )
        for row in range(len(result.gallery))
    ]
    note = "two files <were> left out"
    dataset = Dataset("colours", "1", Path(result.gallery.root), train=tuple(samples), notes=(note,))
    text, page = read(write_report(tmp_path, None, dataset=dataset))
    assert note in page.text and note not in text
    assert "train 9 93 9 3 27 39 27" not in page.text
    assert "train 9 93 9 3 33 33 27" in page.text  # persons, pictures, of a person, cameras, pictures of each camera
    assert "height 128, width 64 pixels" in page.text


def test_beside_the_page_lie_the_figures_and_their_numbers(written: Path, result: Result) -> None:
    folder = written.parent / "figures"
    cmc = json.loads((folder / "cmc.json").read_text())["columns"]
    assert cmc == {"rank": list(range(1, 51)), "cmc": result.report.cmc.tolist()}
    lines = (folder / "losses.csv").read_text().splitlines()
    assert lines[0] == "epoch,total,identity,triplet" and len(lines) == 61
    assert (folder / "cmc.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((written.parent / "report.json").read_text())
    assert record["report"] == result.report.to_dict() and len(record["camera_pairs"]) == 9
    table = (written.parent / "summary.md").read_text().splitlines()
    assert table[0] == "| model | data set | mAP | rank-1 | rank-5 | rank-10 | rank-20 | mINP |"
    assert table[2].split(" | ")[2] == f"{100 * result.report.mAP:.1f}"
