"""The verbs as a user meets them: in a process of their own, with right and wrong input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resight import models
from resight.cli import VERBS, main
from tests.shell import resight
from tests.tiny import tiny


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, people: Path) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(tiny(people).to_toml())
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, recipe: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "tiny"
    done = resight("train", recipe, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_help_names_every_verb_and_imports_no_torch() -> None:
    code = (
        "import sys; from resight.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'numpy', 'pydantic', 'rich'} & set(sys.modules), 'heavy import'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(verb.name in done.stdout for verb in VERBS)


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "0"), ({"GOMP_SPINCOUNT": "1000"}, "1000"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_idle_threads_do_not_spin_unless_the_user_says_so(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str | None
) -> None:
    monkeypatch.setattr(os, "environ", given.copy())
    with pytest.raises(SystemExit):
        main(["models", "--no-such-option"])
    assert os.environ.get("GOMP_SPINCOUNT") == expected


HELPS = """
import contextlib, io, json, sys
from resight.cli import main
found = {}
for verb in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        main([verb, "--help"])
    found[verb] = said.getvalue(), "torch" in sys.modules
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def helps() -> dict[str, tuple[str, bool]]:
    """The help of every verb, in one process that has not imported torch, and whether it has then."""
    command = [sys.executable, "-c", HELPS, *(verb.name for verb in VERBS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_each_verb_explains_itself_without_torch_and_ends_with_an_example(
    verb: str, helps: dict[str, tuple[str, bool]]
) -> None:
    said, imported = helps[verb]
    assert not imported, "by this verb, or by one before it"
    assert f"resight {verb}" in said.split("Example:")[1]


def test_train_evaluate_embed_search_report(run: Path, people: Path, tmp_path: Path) -> None:
    evaluated = resight("evaluate", run, "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    record = json.loads(evaluated.stdout)
    assert record["context"]["seed"] == 0
    assert 0 < record["report"]["mAP"] <= 1
    assert "resight evaluate" in record["context"]["command"]

    made = resight("embed", run, people / "bounding_box_test", "--out", tmp_path / "g.npz", "--json")
    assert json.loads(made.stdout)["vectors"] == 16

    query = next((people / "query").iterdir())
    for where in (tmp_path / "g.npz", people / "bounding_box_test"):
        found = resight("search", where, query, "--model", run, "-k", 3, "--json", "--sheet", tmp_path / "hits.png")
        assert found.returncode == 0, found.stderr
        hits = json.loads(found.stdout)[0]["hits"]
        assert [hit["rank"] for hit in hits] == [1, 2, 3]
        assert hits[0]["similarity"] >= hits[1]["similarity"] >= hits[2]["similarity"]
        assert Path(hits[0]["path"]).is_file()
    assert (tmp_path / "hits.png").stat().st_size > 0

    page = resight("report", run)
    assert page.returncode == 0, page.stderr
    assert (run / "report" / "index.html").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


def test_results_of_other_rules_stand_beside_the_plain_one(run: Path) -> None:
    folder = run / "evaluation"
    assert resight("evaluate", run).returncode == 0
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    there = {path.name for path in folder.iterdir()}
    for rule in ("rerank", "flip"):
        done = resight("evaluate", run, f"--{rule}")
        assert done.returncode == 0, done.stderr
        (new,) = {path.name for path in folder.iterdir()} - there
        assert rule in new
        there.add(new)
    assert all(path.read_bytes() == content for path, content in kept.items())


def test_json_goes_to_a_file_where_one_is_named(tmp_path: Path) -> None:
    done = resight("models", "strong_baseline", "--json", tmp_path / "models.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert json.loads((tmp_path / "models.json").read_text())[0]["name"] == "strong_baseline"


def test_a_search_without_camera_means_says_so(run: Path, people: Path, tmp_path: Path) -> None:
    table, pictures = tmp_path / "people.csv", sorted((people / "bounding_box_train").iterdir())
    table.write_text("path,camid\n" + "".join(f"{path},{path.name[6]}\n" for path in pictures))
    assert resight("embed", run, table, "--out", tmp_path / "people.npz").returncode == 0
    asked = ["search", tmp_path / "people.npz", pictures[0], "--model", run, "--json"]
    plain, moved = resight(*asked), resight(*asked, "--center-cameras", "--query-camera", pictures[0].name[6])
    assert moved.returncode == 0, moved.stderr
    (before,), (after,) = json.loads(plain.stdout), json.loads(moved.stdout)
    assert "center_cameras" not in before
    assert after["center_cameras"] is True
    assert Path(after["hits"][0]["path"]).samefile(pictures[0])
    assert after["hits"][0]["similarity"] == pytest.approx(1, abs=1e-4)
    assert [hit["similarity"] for hit in before["hits"]] != [hit["similarity"] for hit in after["hits"]]
    assert "--center-cameras" in resight(*asked, "--query-camera", 1).stderr
    assert "no calibration" in resight(*asked, "--center-cameras", "--prior", 0.1).stderr
    assert "no camera is known" in resight(
        "search", people / "bounding_box_test", pictures[0], "--model", run, "--center-cameras"
    ).stderr  # fmt: skip


def test_a_calibrated_search_gives_chances_and_may_not_know(run: Path, people: Path, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    rows = [
        f"bounding_box_train/{p.name},{int(p.name[:4])},{p.name[6]}"
        for p in sorted((people / "bounding_box_train").iterdir())
    ]
    table.write_text("path,pid,camid\n" + "\n".join(rows))
    (tmp_path / "bounding_box_train").symlink_to(people / "bounding_box_train")
    assert resight("embed", run, table, "--out", tmp_path / "people.npz").returncode == 0
    kept = tmp_path / "calibration.json"
    made = resight("calibrate", tmp_path / "people.npz", "--out", kept, "--fmr", 0.01, "--folds", 3)
    assert made.returncode == 0, made.stderr
    query = next((people / "query").iterdir())
    arguments = ["search", people / "bounding_box_test", query, "--model", run, "--calibration", kept, "--json"]
    answer = json.loads(resight(*arguments, "--fmr", 0.01).stdout)[0]
    assert answer["answer"] in ("known", "unknown")
    chances = [hit["probability"] for hit in answer["hits"]]
    assert chances == sorted(chances, reverse=True)
    refused = resight(*arguments, "--fmr", 0.5)
    assert refused.returncode == 1
    assert "there are 0.01" in refused.stderr
    assert "resight calibrate" in resight("search", people / "query", query, "--model", run, "--fmr", 0.1).stderr


def test_two_runs_are_compared_on_the_same_queries(run: Path, recipe: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert resight("train", recipe, "--out", other, "--seed", 5, "--set", "train.epochs=1").returncode == 0
    for folder in (run, other):
        assert resight("evaluate", folder).returncode == 0
    done = resight("compare", run, other, "--json", "--draws", 200)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) >= {"difference", "p_value", "gained", "lost"}


def test_vectors_of_any_origin_are_evaluated(tmp_path: Path) -> None:
    import numpy as np

    for name, cameras in (("q", 1), ("g", 2)):
        np.savez(tmp_path / f"{name}.npz", vectors=np.eye(4), pids=np.arange(1, 5), camids=np.full(4, cameras))
    done = resight(
        "evaluate", "--query-features", tmp_path / "q.npz", "--gallery-features", tmp_path / "g.npz", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["report"]["mAP"] == 1.0


def test_models_are_listed_and_stand_beside_the_classical_networks() -> None:
    classical = ["alexnet", "vgg16", "googlenet", "resnet50"]
    rows = json.loads(resight("models", "--with", *classical, "--json").stdout)
    names = [row["name"] for row in rows]
    assert names[-4:] == classical
    assert names[:-4] == models.available()
    few = json.loads(resight("models", "hacnn", "--with", "resnet50", "vgg16", "--with", "vgg16", "--json").stdout)
    assert [row["name"] for row in few] == ["hacnn", "resnet50", "vgg16"]
    assert [row["name"] for row in json.loads(resight("models", "baseline", "--json").stdout)] == ["baseline"]


WRONG = [
    (["trian"], 2, "Did you mean 'train'"),
    (["train", "no_such_recipe"], 2, "no recipe named 'no_such_recipe'"),
    (["train", "none.toml"], 2, "there is no recipe file none.toml"),
    (["train", "strong_baseline_sample", "--set", "optim.lrr=1"], 2, "Did you mean 'lr'"),
    (
        ["train", "strong_baseline_sample", "--set", "model.name=strong_basline"],
        2,
        "Did you mean 'strong_baseline'",
    ),
    (
        ["train", "strong_baseline_sample", "--set", "data.name=market1501", "--set", "data.root=/nowhere"],
        2,
        "/nowhere",
    ),
    (["train", "strong_baseline_sample", "--device", "cuda:9"], 2, "device"),
    (["evaluate", "/nowhere"], 2, "there is no model /nowhere"),
    (["evaluate", "/nowhere", "--dataset", "sample"], 2, "/nowhere"),
    (["report", "/nowhere"], 2, "/nowhere is not a run folder"),
    (["search", "/nowhere", "x.jpg"], 2, "there is no picture x.jpg"),
    (["models", "mancss"], 2, "no model named"),
    (["models", "--with", "lenet"], 2, "no classical network named"),
    (["evaluate", "--json", "runs/a"], 2, "Put a bare --json last"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    WRONG,
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_is_a_sentence_and_its_exit_code(arguments: list[str], code: int, sentence: str) -> None:
    done = resight(*arguments)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr


def test_wrong_files_are_sentences(run: Path, people: Path, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero.jpg").write_bytes(b"")
    gallery = people / "bounding_box_test"
    for arguments, sentence in (
        (
            ["evaluate", tmp_path / "noise.safetensors", "--dataset", "market", "--root", people],
            "noise.safetensors",
        ),
        (["embed", run, tmp_path / "empty", "--out", tmp_path / "x.npz"], "holds no picture"),
        (["embed", run, gallery, "--out", tmp_path / "x.csv"], "must end in .npz or .parquet"),
        (["search", gallery, tmp_path / "zero.jpg", "--model", run], "zero bytes"),
        (["search", gallery, tmp_path / "none.jpg", "--model", run], "none.jpg"),
        (["evaluate", run, "--dataset", "market1501", "--root", tmp_path / "empty"], "bounding_box_test"),
    ):
        done = resight(*arguments)
        assert sentence in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        assert done.returncode in (1, 2)


def test_vectors_of_another_model_are_refused(run: Path, people: Path, recipe: Path, tmp_path: Path) -> None:
    resight("train", recipe, "--out", tmp_path / "other", "--seed", 7, "--set", "train.epochs=1")
    resight("embed", tmp_path / "other", people / "bounding_box_test", "--out", tmp_path / "other.npz")
    done = resight("search", tmp_path / "other.npz", next((people / "query").iterdir()), "--model", run)
    assert done.returncode == 1
    assert "made by another model" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 75), (signal.SIGTERM, 75), (signal.SIGKILL, -9)])
def test_a_stopped_run_goes_on_to_the_same_weights(
    recipe: Path, run: Path, tmp_path: Path, number: int, code: int
) -> None:
    out = tmp_path / "stopped"
    command = [sys.executable, "-m", "resight", "train", str(recipe), "--out", str(out)]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (out / "state.pt").exists() and started.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(started.pid, number)
    _, said = started.communicate(timeout=120)
    assert started.returncode in (code, 0), said  # 0: it had finished before the signal came
    assert "Traceback" not in said
    again = resight("train", recipe, "--out", out)
    assert again.returncode == 0, again.stderr
    assert (out / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
