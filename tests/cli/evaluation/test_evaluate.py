"""`resight evaluate` and `resight report` on vectors and distances of any origin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from resight.cli.evaluation.compare import command as compare
from resight.cli.evaluation.evaluate import command as evaluate
from resight.cli.evaluation.report import command as report
from resight.errors import CheckpointError, EvaluationError, UsageError
from resight.evaluation import (
    EvaluationInput,
    Labels,
    Protocol,
    Reranking,
    evaluate_distances,
    evaluate_features,
    pool_queries,
    single_shot,
)
from resight.inference import Expansion, Result


def people() -> tuple[Any, Any, tuple[Any, ...]]:
    rng = np.random.default_rng(0)
    q_pids, g_pids = rng.integers(1, 9, 24), rng.integers(1, 9, 60)
    centers = rng.normal(size=(9, 8))
    q, g = (centers[pids] + rng.normal(size=(len(pids), 8)) for pids in (q_pids, g_pids))
    return q, g, (q_pids, g_pids, rng.integers(1, 4, 24), rng.integers(1, 4, 60))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    q, g, (q_pids, g_pids, q_camids, g_camids) = people()
    np.savez(tmp_path / "q.npz", vectors=q, pids=q_pids, camids=q_camids)
    np.savez(tmp_path / "g.npz", features=g, pids=g_pids, camids=g_camids)
    labels = {"query_pids": q_pids, "gallery_pids": g_pids, "query_camids": q_camids, "gallery_camids": g_camids}
    np.savez(tmp_path / "labels.npz", **labels)
    np.savez(tmp_path / "d.npz", distances=np.abs(q[:, None] - g).sum(axis=2), **labels)
    np.save(tmp_path / "d.npy", np.abs(q[:, None] - g).sum(axis=2))
    return tmp_path


def call(command: Any, *words: object) -> str:
    done = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def features(files: Path, *words: object) -> list[object]:
    return ["--query-features", files / "q.npz", "--gallery-features", files / "g.npz", *words]


@pytest.mark.parametrize("form", [["d.npz"], ["d.npy", "--labels", "labels.npz"]], ids=len)
def test_a_matrix_is_evaluated_kept_and_reported(files: Path, form: list[str]) -> None:
    words = [files / word if "." in word else word for word in form]
    out = files / "kept"
    record = json.loads(call(evaluate, "--distances", *words, "--ap-mode", "trapezoid", "--out", out, "--json"))
    q, g, labels = people()
    matrix = np.abs(q[:, None] - g).sum(axis=2)
    expected = evaluate_distances(matrix, *labels, protocol=Protocol(ap_mode="trapezoid"))
    assert record["report"]["mAP"] == expected.mAP
    assert record["report"]["metric"] == "given distances"
    back = Result.load(out)
    np.testing.assert_array_equal(back.distances, matrix)
    assert "report:" in call(report, out, "--queries", 1)
    assert "given distance (d)" in (out / "report" / "index.html").read_text()
    call(evaluate, *features(files), "--out", out)
    assert Result.load(out).distances is None


def test_a_budget_and_what_is_done_first(files: Path) -> None:
    q, g, labels = people()
    words = features(files, "--memory", 32, "--rerank", "--k1", 5, "--k2", 2, "--context", "gallery_only", "--json")
    found = json.loads(call(evaluate, *words))
    setting = Reranking(5, 2, context="gallery_only")
    assert found["report"]["mAP"] == pytest.approx(evaluate_features(q, g, *labels, rerank=setting).mAP, abs=1e-6)
    assert found["rerank"]["context"] == "gallery_only"
    both = json.loads(call(evaluate, *features(files, "--expand", "--expand-gallery", "--expand-k", 3, "--json")))
    assert both["report"]["rerank"] == str(Expansion(3, 3.0, queries=True, gallery=True))


def test_every_rule_can_be_chosen(files: Path) -> None:
    words = ["--camera-rule", "any", "--no-match", "zero", "--ties", "pessimistic", "--on-nan", "worst"]
    rules = json.loads(call(evaluate, *features(files, *words, "--json")))["report"]["protocol"]
    assert [rules[name] for name in ("camera_rule", "no_match", "ties", "on_nan")] == words[1::2]
    separate = json.loads(call(evaluate, *features(files, "--separate-camera", "--json")))
    assert separate["report"]["protocol"]["separate_camera"]


def test_several_values_are_a_sweep(files: Path) -> None:
    q, g, labels = people()
    words = ["--rerank", "--k1", 3, "--k1", 6, "--k2", 2, "--lam", 0, "--lam", 0.5, "--out", files / "kept"]
    text = call(evaluate, *features(files, *words))
    assert text.count("re-ranked k1") == 4
    kept = Result.load(files / "kept")
    assert kept.rerank is None and kept.report.rerank == "no re-ranking"
    line = kept.context["rerank_sweep"]["rows"][3]
    assert (line["k1"], line["k2"], line["lambda"]) == (6, 2, 0.5)
    alone = evaluate_features(q, g, *labels, rerank=Reranking(6, 2, 0.5))
    assert line["mAP"] == pytest.approx(alone.mAP, abs=1e-6)


def test_other_protocols(files: Path) -> None:
    q, g, labels = people()
    text = call(evaluate, *features(files, "--single-shot"))
    q_pids, g_pids, q_camids, g_camids = labels
    apart = Labels.of(q_pids, g_pids, q_camids, g_camids, Protocol(separate_camera=True))
    case = EvaluationInput.of_features(q, g, apart)
    assert str(single_shot(case)) in text
    record = json.loads(call(evaluate, *features(files, "--multi-query", "max", "--json")))
    pooled, pids, cams = pool_queries(q, labels[0], labels[2], "max")
    expected = evaluate_features(pooled, g, pids, labels[1], cams, labels[3])
    assert record["report"]["mAP"] == pytest.approx(expected.mAP, abs=1e-6)
    assert record["report"]["dataset"].endswith("multi-query max")


def test_what_makes_no_sense_is_a_sentence(files: Path) -> None:
    matrix = ["--distances", files / "d.npz"]
    for words, error, sentence in (
        ([], UsageError, "name one thing to evaluate"),
        ([files, *matrix], UsageError, "name one thing to evaluate"),
        (["--query-features", files / "q.npz"], UsageError, "add --gallery-features"),
        ([*matrix, "--rerank"], UsageError, "are for vectors"),
        ([*matrix, "--memory", 64], UsageError, "--memory are for vectors"),
        (features(files, "--k1", 3), UsageError, "add --rerank"),
        (features(files, "--variant", "torchreid"), UsageError, "add --rerank"),
        (features(files, "--alpha", 2), UsageError, "add --expand"),
        (features(files, "--flip"), UsageError, "--flip goes with RUN"),
        (features(files, "--set", "a=1"), UsageError, "--set goes with RUN"),
        (features(files, "--labels", files / "labels.npz"), UsageError, "--labels goes with --distances"),
        ([*matrix, "--metric", "euclidean"], UsageError, "--metric goes with --query-features"),
        ([files, "--gallery-features", files / "g.npz"], UsageError, "goes with --query-features"),
        ([files / "nowhere"], UsageError, "there is no model"),
        (["--distances", files / "d.npy"], UsageError, "--labels FILE"),
        (["--distances", files / "q.npz"], CheckpointError, "expected distances"),
        (features(files, "--expand-gallery", "--separate-camera", "--camera-rule", "any"), UsageError, "choose one"),
    ):
        with pytest.raises(error, match=sentence):
            call(evaluate, *words)
    np.savez(files / "short.npz", distances=np.zeros((2, 3)), query_pids=[1], gallery_pids=[1, 2, 3])
    with pytest.raises(EvaluationError, match="describe 1 queries"):
        call(evaluate, "--distances", files / "short.npz")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pids": np.arange(24) + 0.5}, "pids must hold whole numbers"),
        ({"pids": np.array(["p1"] * 24)}, "p1 for one"),
        ({"pids": np.arange(23)}, r"pids has shape \(23,\)"),
        ({"camids": np.arange(23)}, r"camids has shape \(23,\)"),
        ({"camids": np.full(24, np.nan)}, "camids must hold whole numbers"),
        ({"paths": np.array(["a.jpg"])}, r"paths has shape \(1,\)"),
        ({"vectors": np.ones(24)}, r"shape \(N, D\)"),
        ({"vectors": np.float32(1)}, r"shape \(N, D\)"),
        ({"vectors": np.ones((24, 8), complex)}, "real numbers"),
        ({"vectors": np.ones((24, 8)).astype(str)}, "real numbers"),
    ],
    ids=str,
)
def test_a_strange_file_is_a_sentence(files: Path, change: dict[str, Any], sentence: str) -> None:
    """Nothing is rounded, cut off or guessed."""
    q, _, labels = people()
    np.savez(files / "q.npz", **({"vectors": q, "pids": labels[0], "camids": labels[2]} | change))
    with pytest.raises(CheckpointError, match=sentence):
        call(evaluate, *features(files))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04"])
def test_what_is_no_file_of_arrays_is_a_sentence(files: Path, content: bytes) -> None:
    for name in ("q.npz", "d.npz", "d.npy"):
        (files / name).write_bytes(content)
    for words in (
        features(files),
        ["--distances", files / "d.npz"],
        ["--distances", files / "d.npy", "--labels", files / "labels.npz"],
    ):
        with pytest.raises(CheckpointError, match=r"\.np[yz] is not"):
            call(evaluate, *words)


def test_whole_numbers_written_as_floats_are_whole(files: Path) -> None:
    q, g, labels = people()
    np.savez(files / "q.npz", vectors=q, pids=labels[0].astype(float), camids=labels[2].astype(float))
    record = json.loads(call(evaluate, *features(files, "--json")))
    assert record["report"]["mAP"] == pytest.approx(evaluate_features(q, g, *labels).mAP, abs=1e-9)


def test_person_0_can_be_somebody(files: Path) -> None:
    q, g, labels = people()
    q_pids, g_pids = labels[0] - 1, labels[1] - 1
    np.savez(files / "q.npz", vectors=q, pids=q_pids, camids=labels[2])
    np.savez(files / "g.npz", vectors=g, pids=g_pids, camids=labels[3])
    with pytest.raises(EvaluationError, match="--no-distractors"):
        call(evaluate, *features(files))
    record = json.loads(call(evaluate, *features(files, "--no-distractors", "--json")))
    assert record["report"]["mAP"] == pytest.approx(evaluate_features(q, g, *labels).mAP, abs=1e-9)


def test_broken_vectors_cannot_be_put_last_by_a_search_among_all(files: Path) -> None:
    q, _, labels = people()
    q[3, 2] = np.nan
    np.savez(files / "q.npz", vectors=q, pids=labels[0], camids=labels[2])
    assert "queries 24/24" in call(evaluate, *features(files, "--on-nan", "worst"))
    with pytest.raises(EvaluationError, match="rows 3 .* leave them out"):
        call(evaluate, *features(files, "--on-nan", "worst", "--rerank"))


def test_a_models_own_vectors_keep_its_metric(files: Path) -> None:
    call(evaluate, *features(files), "--out", files / "kept")
    own = ["--query-features", files / "kept" / "query.npz", "--gallery-features", files / "kept" / "gallery.npz"]
    call(evaluate, *own)
    with pytest.raises(UsageError, match="compares by cosine"):
        call(evaluate, *own, "--metric", "euclidean")


def test_vectors_without_names_from_two_files_can_be_compared(files: Path) -> None:
    """Two models of anybody's: the queries are the same because people, cameras and order are."""
    q, _, labels = people()
    np.savez(files / "other.npz", vectors=q + 1, pids=labels[0], camids=labels[2])
    call(evaluate, *features(files), "--out", files / "a")
    other = ["--query-features", files / "other.npz", "--gallery-features", files / "g.npz"]
    call(evaluate, *other, "--out", files / "b")
    call(evaluate, "--distances", files / "d.npz", "--out", files / "c")
    for second in ("b", "c"):
        assert "of 24 queries" in call(compare, files / "a", files / second, "--draws", 100)
    g = np.load(files / "g.npz")
    np.savez(files / "g.npz", features=g["features"], pids=g["pids"][::-1], camids=g["camids"])
    call(evaluate, *other, "--out", files / "b")
    with pytest.raises(EvaluationError, match="not evaluated on the same pictures"):
        call(compare, files / "a", files / "b")
