"""Requests that are wrong, or cannot be written: refused before any work, with one exit code and the way on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resight.cli import VERBS, main
from resight.cli.common.output import JPEG_LIMIT, save_sheet
from resight.cli.common.params import packaged_weights
from resight.files import check_output, read_text
from resight.gallery import Gallery
from resight.models import load_model


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command in this process."""
    code: Any = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code or 0
    said = capsys.readouterr()
    return int(code), said.out, said.err


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    folder = tmp_path / "crops"
    folder.mkdir()
    draws = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(draws.integers(0, 256, (48, 24, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("RESIGHT_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


MODEL_VERBS = [
    ("evaluate", "{}"), ("evaluate", "{}", "--dataset", "sample"), ("embed", "{}", "crops", "--out", "x.npz"),
    ("search", "crops", "crops/0.png", "--model", "{}"), ("verify", "crops/0.png", "crops/1.png", "--model", "{}"),
    ("explain", "{}", "crops/0.png"), ("calibrate", "x.npz", "--model", "{}"),
    ("index", "{}", "crops", "--gallery", "mall"), ("cluster", "crops", "--model", "{}"), ("export", "{}"),
    ("adapt", "{}", "crops", "--out", "mine"),
]  # fmt: skip


@pytest.mark.parametrize("words", MODEL_VERBS, ids=lambda words: " ".join(words))
def test_a_model_that_is_not_there_is_asked_wrongly_in_every_verb(
    words: tuple[str, ...], crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = run(capsys, *(word.format("synth_smal") for word in words))
    assert code == 2 and "there is no model synth_smal. Did you mean 'synth_small'?" in said


@pytest.mark.parametrize("words", MODEL_VERBS, ids=lambda words: " ".join(words))
def test_every_verb_takes_a_hub_id(
    words: tuple[str, ...], crops: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(name: str, file: str) -> str:
        asked.append(name)
        raise OSError("no network here")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    if words[0] == "calibrate":
        vectors = {"vectors": np.eye(4, dtype=np.float32), "pids": np.array([1, 1, 2, 2])}
        np.savez("x.npz", **vectors)  # type: ignore[arg-type]
    dataset = ["--dataset", "sample"] if words == MODEL_VERBS[0] else []
    code, _, said = run(capsys, *(word.format("somebody/model") for word in words), *dataset)
    assert code == 1 and asked == ["somebody/model"] and "no network here" in said


OUTPUTS = [
    ("embed", "synth_small", "crops", "--out", "BAD.npz"),
    ("evaluate", "synth_small", "--dataset", "sample", "--out", "BAD"),
    ("evaluate", "synth_small", "--dataset", "sample", "--json", "BAD.json"),
    ("explain", "synth_small", "crops/0.png", "--out", "BAD"),
    ("train", "strong_baseline_sample", "--out", "BAD"),
    ("sweep", "lecture", "--out", "BAD"),
    ("demo", "--out", "BAD"),
    ("synth", "BAD"),
    ("report", "runs/a", "--out", "BAD.html"),
    ("calibrate", "x.npz", "--out", "BAD.json"),
    ("compare", "runs/a", "runs/b", "--sheet", "BAD.png"),
    ("data", "check", "crops", "--sheet", "BAD.png"),
    ("data", "convert", "crops", "--form", "csv", "--out", "BAD.csv"),
    ("data", "split", "crops", "--form", "market", "--out", "BAD"),
    ("models", "--json", "BAD.json"),
    ("search", "crops", "crops/0.png", "--sheet", "BAD.png"),
    ("search", "crops", "crops/0.png", "--table", "BAD.csv"),
    ("cluster", "crops", "--out", "BAD"),
    ("adapt", "synth_small", "crops", "--out", "BAD"),
    ("export", "synth_small", "--out", "BAD"),
    ("import", "x.pth", "--out", "BAD"),
    ("index", "synth_small", "crops", "--gallery", "BAD"),
    ("gallery", "backup", "mall", "BAD.backup"),
    ("gallery", "restore", "mall.backup", "BAD"),
    ("gallery", "export", "mall", "BAD.parquet"),
    ("gallery", "copy", "mall", "BAD"),
    ("gallery", "reembed", "mall", "BAD", "--model", "synth_small"),
    ("bench", "embed", "synth_small", "--json", "BAD.json"),
    ("verify", "crops/0.png", "crops/1.png", "--json", "BAD.json"),
    ("keys", "create", "desk", "--file", "BAD.json"),
]


@pytest.mark.parametrize("words", OUTPUTS, ids=lambda words: " ".join(words))
def test_what_cannot_be_written_is_refused_before_the_work(
    words: tuple[str, ...], crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("a file where a folder should be")
    code, _, said = run(capsys, *(word.replace("BAD", "file/x") for word in words))
    assert code == 2 and "cannot be written: file is a file" in said
    assert "embedding" not in said and "reading" not in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("embed", "synth_small", "crops", "--out", "x.csv"), "must end in .npz or .parquet"),
        (("data", "check", "crops", "--sheet", "hits"), "must end in .png or .jpg"),
        (("compare", "runs/a", "runs/b", "--sheet", "hits"), "must end in .png or .jpg"),
        (("embed", "synth_small", "crops", "--out", "crops"), "must end in"),
        (("search", "crops", "crops/0.png", "--sheet", "hits"), "must end in .png or .jpg"),
        (("search", "crops", "crops/0.png", "--table", "hits.txt"), "must end in .csv or .html"),
    ],
)
def test_an_ending_is_refused_before_the_work(
    words: tuple[str, ...], sentence: str, crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = run(capsys, *words)
    assert code == 2 and sentence in said and "embedding" not in said


def test_a_missing_extra_is_said_before_the_work(
    crops: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    code, _, said = run(capsys, "embed", "synth_small", "crops", "--out", "x.parquet")
    assert code == 2 and "pip install 'resight[parquet]'" in said


INPUTS = [
    ("embed", "synth_small", "x.csv", "--json", "x.json", "--out", "x.npz", "--images", "x.json"),
    ("search", "crops", "crops/0.png", "--sheet", "crops/0.png"),
    ("search", "crops", "crops/0.png", "--sheet", "crops/1.png"),
    ("search", "x.csv", "crops/0.png", "--table", "x.csv"),
    ("search", "crops", "crops/0.png", "--calibration", "x.json", "--json", "x.json"),
    ("verify", "crops/0.png", "crops/1.png", "--calibration", "x.json", "--json", "x.json"),
    ("calibrate", "x.npz", "--out", "x.npz"),
    ("evaluate", "--query-features", "query.npz", "--gallery-features", "x.npz", "--out", "."),
    ("evaluate", "--distances", "x.npz", "--labels", "query.npz", "--out", "."),
    ("cluster", "people/groups.csv", "--out", "people"),
    ("cluster", "crops", "--out", "crops/people"),
    ("cluster", "people/groups", "--out", "people"),
    ("adapt", "run", "crops", "--out", "run"),
    ("adapt", "run/model.safetensors", "crops", "--out", "run", "--fresh"),
    ("train", "strong_baseline_sample", "--set", "model.weights=run/model.safetensors", "--out", "run", "--fresh"),
    ("import", "run/model.safetensors", "--out", "run"),
    ("explain", "synth_small", "shown/explain.png", "--out", "shown"),
    ("data", "convert", "x.csv", "--form", "csv", "--out", "x.csv", "--replace"),
    ("data", "convert", "crops", "--form", "folder", "--out", "crops/folder"),
    ("data", "split", "x.csv", "--out", "x.csv", "--replace"),
    ("data", "split", "crops", "--form", "market", "--out", "crops/market"),
    ("gallery", "backup", "mall", "mall/gallery.sqlite"),
    ("gallery", "copy", "mall", "mall"),
    ("gallery", "reembed", "mall", "mall", "--model", "synth_small"),
]


@pytest.mark.parametrize("words", INPUTS, ids=lambda words: " ".join(words))
def test_an_output_that_is_an_input_is_refused_by_every_verb(
    words: tuple[str, ...], crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Gallery.open("mall", dim=3) as gallery:
        gallery.add(np.eye(3, dtype=np.float32))
    for name in ("x.csv", "x.json", "x.npz", "query.npz", "run/model.safetensors", "people/groups.csv"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("path,pid\n")
    for folder in ("shown", "people/groups"):
        Path(folder).mkdir()
    (crops / "3.png").rename("shown/explain.png")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and path.parts[0] != "mall"}
    code, _, said = run(capsys, *words)
    assert code == 2 and ("would be overwritten" in said or "another" in said), said
    assert {path: path.read_bytes() for path in before} == before
    with Gallery.open("mall") as gallery:
        assert len(gallery) == 3


def test_a_report_goes_into_a_folder_or_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("q.npz", vectors=np.eye(4, dtype=np.float32), pids=[1, 2, 3, 4], camids=[1, 1, 1, 1])
    np.savez("g.npz", vectors=np.eye(4, dtype=np.float32), pids=[1, 2, 3, 4], camids=[2, 2, 2, 2])
    judged = ("evaluate", "--query-features", "q.npz", "--gallery-features", "g.npz", "--out", "kept")
    assert run(capsys, *judged)[0] == 0
    for out in ("paper", "paper", "one.html", "one.html"):  # again: the folder is there
        assert run(capsys, "report", "kept", "--out", out)[0] == 0
    assert (tmp_path / "paper/index.html").is_file() and (tmp_path / "one.html").is_file()


def test_a_folder_for_a_file_and_a_file_for_a_folder(tmp_path: Path) -> None:
    from resight.errors import UsageError

    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a folder; name a file"):
        check_output(tmp_path)
    with pytest.raises(UsageError, match="is a file; name a folder"):
        check_output(tmp_path / "file", folder=True)
    check_output(tmp_path / "file")
    check_output(tmp_path / "new" / "deep" / "file.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that takes no files")
def test_a_folder_that_takes_no_files_is_noticed() -> None:
    from resight.errors import UsageError

    with pytest.raises(UsageError, match="is not writable"):
        check_output(Path("/proc/self/x.npz"))


# text of other programs and systems


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_with_a_mark_or_without(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("jürgen.jpg\n", encoding)
    assert read_text(tmp_path / "list.txt") == "jürgen.jpg\n"


@pytest.mark.parametrize("name", ["list.txt", "people.csv"])
def test_another_encoding_is_a_sentence(name: str, crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (crops / name).write_bytes("path\nj\xfcrgen.png\n".encode("latin-1"))
    code, _, said = run(capsys, "embed", "synth_small", crops / name, "--out", "x.npz")
    assert code == 1 and "is not UTF-8 text" in said and "Save it again as UTF-8" in said


@pytest.mark.parametrize(
    "verb",
    [
        ("embed", "synth_small", "{}", "--out", "x.npz"),
        ("index", "synth_small", "{}", "--gallery", "mall"),
        ("verify", "--pairs", "{}"),
        ("data", "check", "{}"),
        ("cluster", "{}"),
    ],
)
def test_a_table_with_a_nul_is_a_sentence(
    verb: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "people.csv").write_bytes(b"path,pid,a,b\na\0b.jpg,1,c\0.jpg,d.jpg\n")
    code, out, said = run(capsys, *(word.format("people.csv") for word in verb))
    assert code == 1 and "is not text: line 2 holds a NUL" in said + out


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_pictures_whose_names_are_no_utf8_are_embedded_indexed_searched_and_grouped(
    crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (crops / "0.png").rename(crops / os.fsdecode(b"\xe9.png"))
    assert run(capsys, "embed", "synth_small", crops, "--out", "x.npz")[0] == 0
    assert run(capsys, "index", "synth_small", crops, "--gallery", "mall")[0] == 0
    query = crops / os.fsdecode(b"\xe9.png")
    for where in (crops, "x.npz", "mall"):
        for table in ("hits.csv", "hits.html"):
            code, _, said = run(capsys, "search", where, query, "-k", "1", "--table", table)
            assert code == 0, said
            text = Path(table).read_text(encoding="utf-8")
            assert "\\udce9.png" in text or "\N{REPLACEMENT CHARACTER}.png" in text
    assert run(capsys, "cluster", crops, "--min-crops", "2", "--out", "people")[0] == 0
    assert "\\udce9.png" in Path("people/groups.csv").read_text(encoding="utf-8")


def test_index_says_what_it_did_not_read(crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (crops / "notes.txt").write_text("x")
    (crops / "gone.jpg").symlink_to("nowhere.jpg")
    (crops / "torn.jpg").write_bytes(b"no picture")
    with zipfile.ZipFile("crops.zip", "w") as archive:
        archive.write(crops / "0.png", "0.png")
        archive.writestr("notes.txt", "x")
        archive.writestr("__MACOSX/._0.png", "x")
    code, out, said = run(capsys, "index", "synth_small", crops, "--gallery", "mall")
    assert code == 0 and "4 pictures added, 0 were there, 1 left out" in out
    assert "crops: left out files that are not pictures (1): notes.txt" in said
    assert "crops: left out links that lead nowhere (1): gone.jpg" in said
    assert f"left out: {crops / 'torn.jpg'} cannot be decoded" in said
    code, out, said = run(capsys, "index", "synth_small", "crops.zip", "--gallery", "mall")
    assert code == 0 and "crops.zip: left out files that are not pictures (1): notes.txt" in said
    assert "1 pictures added, 0 were there, 0 left out" in out
    code, _, said = run(capsys, "index", "synth_small", crops / "torn.jpg", "--gallery", "other")
    assert code == 1 and "none of the 1 pictures can be read" in said
    Path("empty").mkdir()
    code, _, said = run(capsys, "index", "synth_small", "empty", "--gallery", "mall")
    assert code == 0 and "empty: no picture found" in said


def test_no_hit_is_said(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "index", "synth_small", crops, "--gallery", "mall", "--camera", "c1")[0] == 0
    code, out, _ = run(capsys, "search", "mall", crops / "0.png", "--exclude-camera", "c1")
    assert code == 0 and "no record meets the conditions" in out and "right %" not in out


def test_a_file_of_another_kind_is_named_and_nobody_advises_to_execute_it(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("weights.pth").write_bytes(b"no weights")
    Path("list.json").write_text("[1]")
    for words, sentence in (
        (("embed", "weights.pth", "crops", "--out", "x.npz"), "weights.pth cannot be read as weights"),
        (("verify", "crops/0.png", "crops/1.png", "--calibration", "list.json"), "list.json is not a file of resight"),
        (("gallery", "restore", "list.json", "mall"), "list.json is no backup of a gallery"),
    ):
        code, _, said = run(capsys, *words)
        assert code == 1 and sentence in said and "weights_only" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_a_terminal_cannot_show_are_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "crops"
    folder.mkdir()
    for name in (b"\xff.jpg", "jürgen→.jpg".encode()):
        (folder / os.fsdecode(name)).write_bytes(b"no picture")
    done = subprocess.run(
        [sys.executable, "-m", "resight", "data", "check", str(folder), "--json"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr and done.returncode == 1
    assert json.loads(done.stdout)["findings"]


def test_a_sheet_too_tall_for_jpeg_is_kept_as_png(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tall = Image.new("RGB", (2, JPEG_LIMIT + 10))
    assert save_sheet(tall, tmp_path / "sheet.jpg") == tmp_path / "sheet.png"
    assert "JPEG allows" in capsys.readouterr().err
    with Image.open(tmp_path / "sheet.png") as kept:
        assert kept.size == tall.size
    assert save_sheet(Image.new("RGB", (2, 3)), tmp_path / "small.jpg") == tmp_path / "small.jpg"


# names


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", "strong_baseline_market"), "Did you mean 'strong_baseline_market1501'? There are"),
        (("train",), "resight train --list"),
        (("sweep", "hacn"), "Did you mean 'hacnn'?"),
        (("losses", "triplt"), "Did you mean 'triplet'?"),
        (("models", "hacn"), "Did you mean 'hacnn'?"),
        (("backbones", "resnet50y"), "resight backbones '*'"),
        (("evaluate", "synth_small", "--dataset", "markt1501"), "Did you mean 'market1501'?"),
        (("evaluate", "synth_small", "--dataset", "market1501", "--root", "/nowhere"), "does not exist"),
        (("verify", "crops/0.png", "none.png"), "there is no picture none.png"),
        (("search", "crops", "none.png"), "there is no picture none.png"),
        (("explain", "synth_small", "none.png"), "there is no picture none.png"),
        (("explain", "synth_small", "crops/0.png", "--against", "none.png"), "there is no picture none.png"),
        (("embed", "synth_small", "none", "--out", "x.npz"), "there is no none"),
        (("data", "check", "/nowhere"), "does not exist"),
        (("verify", "crops", "crops/0.png"), "crops is a folder; name a picture"),
        (("verify", "crops/0.png", "crops/1.png", "--calibration", "none.json"), "there is no calibration none.json"),
        (("embed", "crops", "crops", "--out", "x.npz"), "there is no model at crops"),
        (("report", "none"), "is not a run folder"),
        (("evaluate", "synth_small", "--dataset", "market1501"), "no root given"),
        (("index", "synth_small", "none", "--gallery", "mall"), "there is no none"),
        (("gallery", "info", "none"), "there is no gallery in none"),
        (("gallery", "restore", "none", "mall"), "there is no backup none"),
        (("search", "made", "--record", "none"), "there is no record 'none'"),
        (("gallery", "import", "made", "none.parquet"), "there is no file none.parquet"),
        (("train", "strong_baseline_sample", "--seed", "-1"), "-1 is not in the range"),
        (("train", "strong_baseline_sample", "--set", "seed=-1"), "seed is -1; at least 0"),
        (("train", "latin.toml"), "is not UTF-8 text"),
        (("sweep", "latin.toml"), "is not UTF-8 text"),
        (("data", "split", "crops", "--out", "x.txt"), "must end in .csv"),
        (("gallery", "export", "made", "x.txt"), "must end in .parquet"),
    ],
)
def test_a_name_that_is_not_there_is_asked_wrongly(
    words: tuple[str, ...], sentence: str, crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("latin.toml").write_bytes("# é".encode("latin-1"))
    if "made" in words:
        with Gallery.open("made", model=load_model("synth_small")) as gallery:
            gallery.remember(model="synth_small")
    code, _, said = run(capsys, *words)
    assert code == 2 and sentence in said
    assert not Path("mall").exists(), "nothing is made for a question that is wrong"
    assert len(said) < 700, "a table of names that fills the screen"


def test_what_there_is_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(run(capsys, "losses", "--json")[1])
    assert {row["name"] for row in rows} >= {"trihard", "cross_entropy"} and all(row["about"] for row in rows)
    assert "margin" in run(capsys, "losses", "trihard")[1]
    assert "resnet50" in run(capsys, "backbones")[1]
    assert {row["source"] for row in json.loads(run(capsys, "backbones", "resnet18", "--json")[1])} == {
        "resight",
        "timm",
    }
    weights = json.loads(run(capsys, "models", "--weights", "--json")[1])
    assert [row["name"] for row in weights] == packaged_weights() and "synth_small" in packaged_weights()
    assert {"losses", "backbones"} <= {verb.name for verb in VERBS}
