"""Requests that are wrong, or cannot be written: refused before any work, with one exit code and the way on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resight.cli import VERBS, main
from resight.cli.common import JPEG_LIMIT, packaged_weights, save_sheet
from resight.files import check_output, read_text


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
    monkeypatch.chdir(tmp_path)


MODEL_VERBS = [
    ("evaluate", "{}"), ("evaluate", "{}", "--dataset", "sample"), ("embed", "{}", "crops", "--out", "x.npz"),
    ("search", "crops", "crops/0.png", "--model", "{}"), ("verify", "crops/0.png", "crops/1.png", "--model", "{}"),
    ("explain", "{}", "crops/0.png"), ("calibrate", "x.npz", "--model", "{}"),
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
    ],
)
def test_a_name_that_is_not_there_is_asked_wrongly(
    words: tuple[str, ...], sentence: str, crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = run(capsys, *words)
    assert code == 2 and sentence in said
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
