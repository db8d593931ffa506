from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from resight.data import load_dataset
from resight.embedding import RawPixels, Result, evaluate
from resight.embedding.vectors import load_features
from resight.embedding.verdict import Expansion, judge
from resight.errors import CheckpointError, DatasetError
from resight.evaluation import Protocol, Reranking, evaluate_features
from tests.people import write_people


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"))


def test_the_verdict_is_that_of_the_vectors_and_says_how_it_was_got(people: Path) -> None:
    result = evaluate(RawPixels(), load_dataset("market", root=people), device="cpu", context={"seed": 3})
    q, g = result.query, result.gallery
    again = evaluate_features(q.vectors, g.vectors, q.pids, g.pids, q.camids, g.camids)
    assert result.report.mAP == again.mAP
    assert {
        "dataset",
        "version",
        "terms",
        "model",
        "fingerprint",
        "software",
        "seconds",
        "unreadable",
        "intervals",
        "seed",
    } <= set(result.context)
    low, high = result.context["intervals"]["mAP"]
    assert low <= result.report.mAP <= high
    assert "raw_pixels on market" in str(result)


def test_a_result_comes_back_from_its_folder(people: Path, tmp_path: Path) -> None:
    result = evaluate(RawPixels(), load_dataset("market", root=people), device="cpu")
    result.save(tmp_path / "result")
    back = Result.load(tmp_path / "result")
    assert back.report.to_dict() == result.report.to_dict()
    assert back.context == json.loads(json.dumps(result.context))
    np.testing.assert_array_equal(back.gallery.vectors, result.gallery.vectors)
    assert back.query.path(0).is_file()


def test_missing_and_foreign_results_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="resight evaluate"):
        Result.load(tmp_path)
    (tmp_path / "result.json").write_text('{"some": "thing"}')
    with pytest.raises(CheckpointError, match="not a result record"):
        Result.load(tmp_path)


def test_unreadable_pictures_are_counted_not_fatal(tmp_path: Path) -> None:
    root = write_people(tmp_path / "people")
    first, *rest = sorted((root / "query").iterdir())
    first.write_bytes(b"")
    result = evaluate(RawPixels(), load_dataset("market", root=root), device="cpu")
    assert result.report.counts.queries == len(rest)
    assert [Path(item["path"]).name for item in result.context["unreadable"]] == [first.name]
    for path in rest:
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match="no query picture could be read"):
        evaluate(RawPixels(), load_dataset("market", root=root), device="cpu")


def test_reranking_and_expansion_are_named_in_the_report(people: Path) -> None:
    result = evaluate(
        RawPixels(),
        load_dataset("market", root=people),
        device="cpu",
        rerank=Reranking(k1=4, k2=2),
        expansion=Expansion(k=2),
    )
    assert "k-reciprocal paper 4/2/0.3" in result.report.rerank
    assert "expansion of queries 2/3" in result.report.rerank
    plain = judge(result.query, result.gallery, Protocol())
    assert plain.rerank != result.report.rerank


def test_vectors_of_any_origin_are_judged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "q.npz", features=rng.normal(size=(4, 8)), pids=np.arange(4), camids=np.zeros(4, int))
    loaded = load_features(tmp_path / "q.npz")
    assert loaded.vectors.dtype == np.float32
    assert loaded.fingerprint == "unknown"
    np.savez(tmp_path / "bad.npz", x=np.zeros(3))
    with pytest.raises(CheckpointError, match="holds x; expected `vectors`"):
        load_features(tmp_path / "bad.npz")
