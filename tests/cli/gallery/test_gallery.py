"""`resight index`, `resight search` and `resight gallery` on bundled people."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from resight.cli import group
from resight.errors import DatasetError, ResightError
from resight.gallery import Gallery

SAMPLE = Path(__file__).parents[3] / "src" / "resight" / "synth" / "sample" / "query"


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(group, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def asked(*arguments: object) -> Any:
    return json.loads(call(*arguments, "--json"))


@pytest.fixture(scope="module")
def mall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of 24 bundled people's pictures."""
    home = tmp_path_factory.mktemp("mall")
    (home / "crops").mkdir()
    for path in sorted(SAMPLE.glob("*.jpg"))[:24]:
        (home / "crops" / path.name).write_bytes(path.read_bytes())
    call("index", "synth_small", home / "crops", "--gallery", home / "g", "--pattern", "{pid}_{camera}s1_*",
         "--precision", "fp32", "--device", "cpu")  # fmt: skip
    return home / "g"


def test_the_same_command_again_adds_nothing(mall: Path) -> None:
    crops = mall.parent / "crops"
    found = asked("index", "synth_small", crops, "--gallery", mall, "--pattern", "{pid}_{camera}s1_*")
    assert (found["added"], found["known"], found["records"]) == (0, 24, 24)


def test_where_nothing_can_be_read_the_verb_fails_in_words_and_in_json(tmp_path: Path) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"nothing")
    for more in ([], ["--json"]):
        asking = ["index", "synth_small", str(tmp_path), "--gallery", str(tmp_path / "g"), "--device", "cpu", *more]
        result = CliRunner().invoke(group, asking)
        assert isinstance(result.exception, DatasetError)
        assert "none of the 1 pictures" in str(result.exception)
    assert json.loads(result.stdout)["unreadable"][0]["path"] == str(tmp_path / "torn.jpg")


def test_a_query_finds_its_own_person_in_other_cameras(mall: Path, tmp_path: Path) -> None:
    query = sorted((mall.parent / "crops").glob("*_c1*"))[1]
    camera = ["--exclude-camera", "c1", "--device", "cpu"]
    (answer,) = asked("search", mall, query, "-k", 3, "--sheet", tmp_path / "s.png", *camera)
    assert answer["query"] == str(query) and all(hit["camera"] != "c1" for hit in answer["hits"])
    assert answer["hits"][0]["pid"] == query.name.split("_")[0]
    assert (tmp_path / "s.png").stat().st_size > 1000
    assert "similarity" in call("search", mall, query, "-k", 3, *camera)


def test_persons_are_told_from_a_record_as_well(mall: Path) -> None:
    with Gallery.open(mall) as gallery:
        (record, *_) = gallery.list(limit=1)
        persons = len(gallery.facets("pid"))
    (answer,) = asked("search", mall, "--record", record.id, "--people", "-k", 24, "--device", "cpu")
    pids = [hit["pid"] for hit in answer["hits"]]
    assert len(pids) == len(set(pids)) >= persons - 1
    assert record.id not in {hit["id"] for hit in answer["hits"]}


def test_cameras_are_centered_where_asked(mall: Path) -> None:
    query = sorted((mall.parent / "crops").glob("*_c1*"))[1]
    how = ["search", mall, query, "-k", 3, "--exclude-camera", "c1", "--device", "cpu"]
    (plain,), (moved,) = asked(*how), asked(*how, "--center-cameras", "--query-camera", "c1")
    assert moved["center_cameras"] is True and "center_cameras" not in plain
    assert all("probability" not in hit for hit in moved["hits"]) and len(moved["hits"]) == 3
    (other,) = asked(*how, "--center-cameras")
    similar = [[hit["similarity"] for hit in answer["hits"]] for answer in (plain, moved, other)]
    assert similar[0] != similar[1] != similar[2]
    with Gallery.open(mall) as gallery:
        own = next(record.id for record in gallery.list(cameras="c1") if record.source == str(query))
    (same,) = asked("search", mall, "--record", own, "-k", 3, "--exclude-camera", "c1", "--center-cameras")
    assert [hit["id"] for hit in same["hits"]] == [hit["id"] for hit in moved["hits"]]


def test_hits_of_a_gallery_as_a_table_and_a_page(mall: Path, tmp_path: Path) -> None:
    """Full paths of the hits; the page shows pictures the gallery kept of files that are gone."""
    copy, crops = tmp_path / "g", tmp_path / "crops"
    crops.mkdir()
    for path in sorted((mall.parent / "crops").glob("*.jpg"))[:4]:
        (crops / path.name).write_bytes(path.read_bytes())
    call("index", "synth_small", crops, "--gallery", copy, "--device", "cpu")
    query = tmp_path / "query.jpg"
    query.write_bytes(sorted(crops.glob("*.jpg"))[0].read_bytes())
    call("search", copy, query, "-k", 3, "--table", tmp_path / "hits.csv")
    rows = list(csv.DictReader((tmp_path / "hits.csv").open()))
    assert [row["rank"] for row in rows] == ["1", "2", "3"] and {row["query"] for row in rows} == {str(query)}
    assert {Path(row["path"]).parent for row in rows} == {crops} and all(Path(row["path"]).is_file() for row in rows)
    for path in crops.iterdir():
        path.unlink()
    call("search", copy, query, "-k", 3, "--table", tmp_path / "hits.html")
    page = (tmp_path / "hits.html").read_text()
    assert page.count("data:image/jpeg") == 4, "a query and three hits"
    call("search", copy, query, "-k", 3, "--table", tmp_path / "again.csv")
    gone = [row["path"] for row in csv.DictReader((tmp_path / "again.csv").open())]
    assert gone == [row["path"] for row in rows] and all(path in page for path in gone), "their own paths still"


def test_search_from_a_record_for_persons_and_as_one_person(mall: Path) -> None:
    record = asked("gallery", "list", mall, "--limit", 1)["records"][0]
    (answer,) = asked("search", mall, "--record", record["id"], "-k", 2)
    assert record["id"] not in {hit["id"] for hit in answer["hits"]}
    pictures = sorted((mall.parent / "crops").glob("*.jpg"))[:2]
    (people,) = asked("search", mall, *pictures, "--one-person", "--people", "-k", 4)
    assert len({hit["pid"] for hit in people["hits"]}) == 4


def test_looking_after_it(mall: Path, tmp_path: Path) -> None:
    about = asked("gallery", "info", mall)
    assert (about["records"], about["model"]) == (24, "synth_small")
    call("gallery", "backup", mall, tmp_path / "b")
    call("gallery", "restore", tmp_path / "b", tmp_path / "g")
    assert asked("gallery", "export", tmp_path / "g", tmp_path / "g.parquet")["records"] == 24
    assert asked("gallery", "copy", tmp_path / "g", tmp_path / "copy")["records"] == 24
    assert asked("gallery", "import", tmp_path / "copy", tmp_path / "g.parquet")["records"] == 24
    person = asked("gallery", "list", mall)["records"][0]["pid"]
    gone = asked("gallery", "delete", tmp_path / "copy", "--pid", person, "--yes", "--compact")
    assert gone["deleted"] > 0 and gone["records"] == 24 - gone["deleted"]
    assert asked("gallery", "verify", tmp_path / "copy") == {"problems": []}
    assert asked("gallery", "log", tmp_path / "copy")[1]["action"] == "delete"
    assert asked("gallery", "recall", mall, "--queries", 5)[0]["recall"] == 1.0
    assert asked("gallery", "delete", tmp_path / "g", "--keep-days", 0, "--yes")["records"] == 0


def test_reembedding(mall: Path, tmp_path: Path) -> None:
    found = asked("gallery", "reembed", mall, tmp_path / "g", "--model", "synth_small", "--device", "cpu")
    assert (found["records"], found["left_out"]) == (24, 0)


def test_a_folder_is_searched_without_a_gallery_and_remembered(mall: Path) -> None:
    crops = mall.parent / "crops"
    query = sorted(crops.glob("*.jpg"))[0]
    results = [CliRunner().invoke(group, ["search", str(crops), str(query), "-k", "2", "--precision", "fp32", *more])
               for more in ([], ["--no-keep"], [])]  # fmt: skip
    assert [result.exit_code for result in results] == [0, 0, 0]
    assert len({result.stdout for result in results}) == 1
    assert ["taken from" in result.stderr for result in results] == [False, True, False]
    assert ["kept for the next search" in result.stderr for result in results] == [True, False, True]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["search", "G", "--k", "3"], "No such option"),
        (["search", "G"], "at least one picture"),
        (["search", "CROPS", "QUERY", "--camera", "c1"], "is no gallery"),
        (["gallery", "delete", "G"], "delete what"),
        (["gallery", "delete", "G", "--keep-days", "3", "--pid", "1"], "goes alone"),
        (["gallery", "info", "NOTHING"], "there is no gallery"),
        (["index", "synth_small", "CROPS", "--gallery", "G", "--pattern", "nothing"], "--pattern"),
        (["gallery", "list", "G", "--after", "yesterday"], "no time"),
    ],
)
def test_asked_wrongly(mall: Path, arguments: list[str], sentence: str) -> None:
    crops = mall.parent / "crops"
    names = {"G": mall, "CROPS": crops, "QUERY": next(crops.iterdir()), "NOTHING": mall.parent / "nothing"}
    result = CliRunner().invoke(group, [str(names.get(a, a)) for a in arguments], standalone_mode=False)
    assert isinstance(result.exception, Exception)
    said = str(getattr(result.exception, "message", result.exception))
    assert sentence in said and (not isinstance(result.exception, ResightError) or result.exception.exit_code in (1, 2))
