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
from resight.errors import EvaluationError
from resight.evaluation import Reranking, calibrate, compare, evaluate_features, labeled_pairs, open_set, roc
from resight.inference.evaluate import evaluate_vectors
from resight.inference.result import with_sweep
from resight.reporting import write_report
from resight.types import Sample
from tests.reporting.people import make_journal, make_result

if TYPE_CHECKING:
    from resight.evaluation import Calibration
    from resight.inference import Result

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
        "12 of the 27 evaluated queries, drawn with seed 0", "resight evaluate runs/colours",
        "Worst queries", "personal data", "rectangle",
    ):  # fmt: skip
        assert words in page.text, words


def test_every_picture_has_words(written: Path) -> None:
    _, page = read(written)
    images = [value for tag, name, value in page.attributes if tag == "img" and name == "alt"]
    assert len(images) == page.tags.count("img") > 200 and all(images)
    drawings = [value for tag, name, value in page.attributes if tag == "svg" and name == "aria-label"]
    assert len(drawings) == page.tags.count("svg") == 11 and all(drawings)


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
    assert "Not evaluated yet" in page.text and "Training" not in page.text
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
    # persons, pictures, of nobody, of a person, cameras, pictures of each camera
    assert "train 9 93 12 9 3 33 33 27" in page.text
    assert "height 128, width 64 pixels" in page.text


def test_beside_the_page_lie_the_figures_and_their_numbers(written: Path, result: Result) -> None:
    folder = written.parent / "figures"
    for name in ("cmc", "ap-histogram", "roc", "losses", "feature-map"):
        assert {path.suffix for path in folder.glob(f"{name}.*")} == {".svg", ".png", ".csv", ".json"}
    cmc = json.loads((folder / "cmc.json").read_text())["columns"]
    assert cmc == {"rank": list(range(1, 51)), "cmc": result.report.cmc.tolist()}
    lines = (folder / "losses.csv").read_text().splitlines()
    assert lines[0] == "epoch,total,identity,triplet" and len(lines) == 61
    assert (folder / "cmc.png").read_bytes().startswith(b"\x89PNG")
    people = json.loads((written.parent / "tables" / "people.json").read_text())["columns"]
    assert sorted(people["pid"]) == list(range(1, 10)) and people["mAP"] == sorted(people["mAP"])
    queries = (written.parent / "tables" / "queries.csv").read_text().splitlines()
    assert len(queries) == 28 and queries[0].startswith("picture,pid,camera,ap")
    table = (written.parent / "summary.md").read_text().splitlines()
    assert table[0] == "| model | data set | mAP | rank-1 | rank-5 | rank-10 | rank-20 | mINP |"
    assert table[2].split(" | ")[2] == f"{100 * result.report.mAP:.1f}"


def record_of(page: Path) -> dict[str, Any]:
    """`report.json` beside a page, read as strictly as JSON is meant."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    read: dict[str, Any] = json.loads((page.parent / "report.json").read_text(), parse_constant=refuse)
    return read


@pytest.mark.parametrize("setting", [None, Reranking(k1=6, k2=3)], ids=str)
def test_scores_are_written_by_hand_from_the_ranked_pictures(
    result: Result, tmp_path: Path, setting: Reranking | None
) -> None:
    """From the pictures' own names, persons and cameras, as a reader with a pencil would."""
    report = evaluate_vectors(result.query, result.gallery, result.report.protocol, setting)
    page = write_report(tmp_path, replace(result, report=report, rerank=setting), queries=27, assets=True)
    record = record_of(page)
    precision, first = [], []
    for row in record["ranked_lists"]:
        query, hits = row["query"], row["hits"]
        counted = [hit for hit in hits if hit["rank"]]
        assert [hit["rank"] for hit in counted] == list(range(1, 11))
        assert [hit["distance"] for hit in hits] == sorted(hit["distance"] for hit in hits)
        right = [hit["rank"] for hit in counted if hit["pid"] == query["pid"] and hit["camera"] != query["camera"]]
        assert right == [rank for rank in row["ranks_of_right_answers"] if rank <= 10]
        ranks = row["ranks_of_right_answers"]
        precision.append(sum(found / rank for found, rank in enumerate(ranks, start=1)) / len(ranks))
        first.append(1 in right)
        assert query["ap"] == pytest.approx(precision[-1], abs=1e-12)
    for number in (0, 11, 26):  # three of them, where the record holds every query's own
        assert record["report"]["ap"][number] == pytest.approx(precision[number], abs=1e-12)
        assert (record["report"]["first_match"][number] == 1) == first[number]
    assert record["report"]["mAP"] == pytest.approx(np.mean(precision), abs=1e-12)
    assert record["report"]["cmc"][0] == pytest.approx(np.mean(first), abs=1e-12)
    _, text = read(page)
    assert ("the order of the evaluation, after k-reciprocal" in text.text) == (setting is not None)


def test_a_camera_pair_is_the_result_on_two_cameras(written: Path, result: Result) -> None:
    pairs = {(pair["query_camera"], pair["gallery_camera"]): pair for pair in record_of(written)["camera_pairs"]}
    assert len(pairs) == 9
    query, gallery = result.query.camids == 0, result.gallery.camids == 1
    alone = evaluate_features(
        result.query.vectors[query], result.gallery.vectors[gallery], result.query.pids[query],
        result.gallery.pids[gallery], result.query.camids[query], result.gallery.camids[gallery],
    )  # fmt: skip
    assert pairs[0, 1]["mAP"] == pytest.approx(alone.mAP) and pairs[0, 1]["rank1"] == pytest.approx(alone.rank(1))
    assert pairs[0, 1]["queries"] == alone.counts.used == 9
    assert pairs[1, 1]["queries"] == 0 and pairs[1, 1]["mAP"] is None
    assert f"{100 * alone.mAP:.1f} R1 {100 * alone.rank(1):.1f} 9 queries" in read(written)[1].text


def test_one_camera_makes_no_table(result: Result, tmp_path: Path) -> None:
    single = replace(result, gallery=replace(result.gallery, camids=np.full(len(result.gallery), 5)))
    assert "Camera to camera" not in read(write_report(tmp_path, single, queries=0))[1].text


def test_the_roc_is_the_evaluations(written: Path, result: Result) -> None:
    found, shown = roc(result.evaluation_input()), record_of(written)["thresholds"]["roc"]
    assert shown["tpr"] == found.tpr.tolist() and shown["negatives"] == found.negatives
    _, page = read(written)
    at = 1 - found.threshold[2]
    assert f"0.01 {found.reached[2]:.2g} {100 * found.tpr[2]:.1f} {at:.4f}" in page.text
    assert "No calibration is kept" in page.text and "Strangers" not in page.text


def test_strangers_are_shown_where_there_are_any(result: Result, tmp_path: Path) -> None:
    gone = replace(result, query=replace(result.query, pids=np.where(result.query.pids > 6, 99, result.query.pids)))
    shown = replace(gone, report=evaluate_vectors(gone.query, gone.gallery, result.report.protocol))
    found, page = open_set(shown.evaluation_input()), read(write_report(tmp_path, shown, queries=0))[1]
    assert "9 queries have no match" in page.text
    assert f"0.2 {found.reached[2]:.2g} {100 * found.dir[2, 0]:.1f}" in page.text


def calibrated(result: Result, fingerprint: str, method: Any = "isotonic") -> Calibration:
    g = result.gallery
    return calibrate(labeled_pairs(g.vectors, g.pids, g.camids), method, (0.01, 0.1), folds=3, model=fingerprint)


@pytest.mark.parametrize("method", ["isotonic", "logistic"])
def test_a_calibration_is_shown_with_what_it_costs_here(result: Result, tmp_path: Path, method: Any) -> None:
    known = calibrated(result, result.query.fingerprint, method)
    page = write_report(tmp_path, result, calibration=known, queries=0, assets=True)
    _, read_back = read(page)
    point = known.operating[1]
    said = f"0.1 {point.threshold:.4f} {point.fmr_found:.2g} {100 * point.fnmr:.1f} {100 * point.fnmr_low:.1f} to"
    assert said in read_back.text
    assert "between each two cameras" in read_back.text and read_back.tags.count("svg") == 7
    assert (tmp_path / "figures" / "reliability.svg").is_file()
    record = record_of(page)["thresholds"]["calibration"]
    distance = 1 - result.query.vectors @ result.gallery.vectors.T
    same = result.query.pids[:, None] == result.gallery.pids
    evaluated = (result.gallery.pids != -1) & ~(same & (result.query.camids[:, None] == result.gallery.camids))
    for at, line in enumerate(record["measured_here"]):
        accepted = distance <= 1 - known.operating[at].threshold
        assert line["fmr_here"] == pytest.approx(accepted[evaluated & ~same].mean())
        assert line["fnmr_here"] == pytest.approx((~accepted[evaluated & same]).mean())
    tables = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {"operating-points.csv", "calibration-cameras.json", "roc-points.csv", "cameras.csv"} <= tables


def test_a_calibration_of_other_weights_is_not_shown(result: Result, tmp_path: Path) -> None:
    _, page = read(write_report(tmp_path, result, calibration=calibrated(result, "others"), queries=0))
    assert "made for other weights than the evaluated ones" in page.text and "FNMR" not in page.text


def test_thresholds_of_first_distances_are_not_applied_to_reranked_ones(result: Result, tmp_path: Path) -> None:
    setting = Reranking(k1=6, k2=3)
    report = evaluate_vectors(result.query, result.gallery, result.report.protocol, setting)
    known, shown = calibrated(result, "fingerprint"), replace(result, report=report, rerank=setting)
    _, page = read(write_report(tmp_path, shown, calibration=known, queries=0))
    assert "FMR asked" in page.text and "FMR here" not in page.text


def test_another_run_is_compared_and_its_flips_are_shown(result: Result, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    worse = result.query.vectors + 0.5 * rng.normal(size=result.query.vectors.shape).astype(np.float32)
    query = replace(result.query, vectors=worse)
    other = replace(result, query=query, report=evaluate_vectors(query, result.gallery, result.report.protocol))
    page = write_report(tmp_path, result, other=("runs/worse", other), queries=0, assets=True)
    change = compare(other.report, result.report)
    record = record_of(page)["against"]
    assert record["difference"]["mAP"]["value"] == change.difference["mAP"].value > 0
    assert [line["query"] for line in record["gained"]] == change.gained.tolist()
    _, text = read(page)
    assert f"{len(change.gained)} queries are right at rank 1 only in the second" in text.text
    for query_row in change.gained[:6]:
        assert f"Query {query_row}, gained: as the second answers" in text.text
    with pytest.raises(EvaluationError, match="not evaluated on the same pictures"):
        write_report(tmp_path, result, other=("x", replace(other, gallery=replace(other.gallery, paths=()))))


def test_a_matrix_of_distances_makes_a_report_too(result: Result, tmp_path: Path) -> None:
    query, gallery = (
        replace(part, vectors=np.empty((len(part), 0), np.float32)) for part in (result.query, result.gallery)
    )
    matrix = 1 - result.query.vectors @ result.gallery.vectors.T
    shown = replace(result, query=query, gallery=gallery, distances=matrix)
    _, page = read(write_report(tmp_path, shown, queries=2))
    assert "given distance (d)" in page.text and "feature space" not in page.text


def test_the_re_rankings_tried_are_a_table(result: Result, tmp_path: Path) -> None:
    swept = with_sweep(result, (4, 8), (2,), (0.3,), Reranking())
    page = write_report(tmp_path, swept, queries=0, assets=True)
    lines = (tmp_path / "tables" / "rerank-sweep.csv").read_text().splitlines()
    assert lines[0] == "k1,k2,lambda,mAP,rank1,mINP" and len(lines) == 3
    best = swept.context["rerank_sweep"]["rows"][1]
    assert f"8 2 0.3 {100 * best['mAP']:.1f} {100 * best['rank1']:.1f}" in read(page)[1].text
