from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resight import evaluation
from resight.data import decode, load_dataset, open_pixels
from resight.errors import CheckpointError, DatasetError, UsageError
from resight.evaluation import Protocol, Reranking, evaluate_features
from resight.inference import Expansion, Extractor, RawPixels, Result, embed_samples, evaluate
from resight.inference.distance_file import load_distances
from resight.inference.embeddings import load_features
from resight.inference.evaluate import evaluate_vectors
from resight.inference.result import with_single_shot, with_sweep
from resight.models import load_model
from tests.people import write_people


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"))


def test_the_result_is_that_of_the_vectors_and_says_how_it_was_got(people: Path) -> None:
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


def test_names_are_made_once_a_picture(people: Path) -> None:
    class Counted(type(Path())):  # type: ignore[misc]  # the class of paths of this system
        asked = 0

        @property
        def stem(self) -> str:
            Counted.asked += 1
            return str(super().stem)

    dataset = load_dataset("market", root=people)
    samples = [replace(sample, path=Counted(sample.path)) for sample in dataset.gallery]
    vectors, _ = embed_samples(Extractor(RawPixels(), "cpu"), samples, dataset.root)
    assert vectors.ids == tuple(Path(sample.path).stem for sample in dataset.gallery)
    assert Counted.asked == len(samples), "the time grows with the square of the pictures"


@pytest.mark.parametrize("rerank", [None, Reranking(k1=4, k2=2, context="gallery_only")], ids=str)
@pytest.mark.parametrize("expansion", [None, Expansion(k=2, gallery=True)], ids=str)
def test_what_was_done_before_evaluating_is_named_and_kept(
    people: Path, tmp_path: Path, rerank: Reranking | None, expansion: Expansion | None
) -> None:
    data = load_dataset("market", root=people)
    result = evaluate(RawPixels(), data, device="cpu", rerank=rerank, expansion=expansion)
    for part in (rerank, expansion):
        assert part is None or str(part) in result.report.rerank
    result.save(tmp_path)
    back = Result.load(tmp_path)
    assert (back.rerank, back.expansion) == (rerank, expansion)
    again = evaluation.evaluate_input(back.evaluation_input(memory=2**25))  # the same distances, from the folder alone
    np.testing.assert_array_equal(again.first_match, result.report.first_match)
    np.testing.assert_allclose(again.ap, result.report.ap, atol=1e-12)
    plain = evaluate_vectors(result.query, result.gallery, Protocol())
    assert (plain.rerank == result.report.rerank) == (rerank is None and expansion is None)


def test_one_picture_a_person_stays_with_the_result(people: Path) -> None:
    result = evaluate(RawPixels(), load_dataset("market", root=people), device="cpu")
    kept = with_single_shot(result).context["single_shot"]
    q, g = result.query, result.gallery
    labels = (q.pids, g.pids, q.camids, g.camids)
    case = evaluation.EvaluationInput.of_features(
        q.vectors, g.vectors, evaluation.Labels.of(*labels, Protocol(separate_camera=True))
    )
    assert kept["cmc"] == evaluation.single_shot(case).cmc.tolist() and kept["draws"] is None


def test_queries_of_a_person_and_camera_speak_as_one(people: Path) -> None:
    data = load_dataset("market", root=people)
    more = replace(data, query=data.query + tuple(replace(s, split="query") for s in data.gallery[:6]))
    result = evaluate(RawPixels(), more, device="cpu", multi_query="mean")
    owners = {(sample.pid, sample.camid) for sample in more.query}
    assert len(result.query) == len(owners) < len(more.query)
    assert "multi-query mean" in str(result) and result.query.path(0).is_file()
    one = evaluate(RawPixels(), data, device="cpu", multi_query="mean").report  # one picture each already
    assert one.mAP == pytest.approx(evaluate(RawPixels(), data, device="cpu").report.mAP, abs=1e-6)


def test_a_query_that_lies_in_the_gallery_under_another_camera_is_reported(tmp_path: Path) -> None:
    root = write_people(tmp_path / "people")
    assert not evaluate(RawPixels(), load_dataset("market", root=root), device="cpu").context["findings"]
    query = sorted((root / "query").iterdir())[0]
    pid, camera = query.name[:4], query.name[6]
    other = next(p for p in sorted((root / "bounding_box_test").iterdir()) if p.name[:4] == pid and p.name[6] != camera)
    other.write_bytes(query.read_bytes())
    (finding,) = evaluate(RawPixels(), load_dataset("market", root=root), device="cpu").context["findings"]
    assert "1 gallery pictures are duplicates of queries" in finding
    assert query.name in finding and other.name in finding


def test_a_sweep_stays_with_the_result(people: Path) -> None:
    result = evaluate(RawPixels(), load_dataset("market", root=people), device="cpu")
    base = Reranking(variant="torchreid")
    swept = with_sweep(result, (3, 5), (1, 2), (0.0, 0.3), base).context["rerank_sweep"]
    assert swept["variant"] == "torchreid"
    assert [line["k1"] for line in swept["rows"]] == [3] * 4 + [5] * 4
    alone = evaluate_vectors(result.query, result.gallery, result.report.protocol, Reranking(5, 1, 0.3, "torchreid"))
    line = next(row for row in swept["rows"] if (row["k1"], row["k2"], row["lambda"]) == (5, 1, 0.3))
    assert line["mAP"] == pytest.approx(alone.mAP)
    assert "rerank_sweep" not in result.context


def test_vectors_of_any_origin_are_evaluated(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "q.npz", features=rng.normal(size=(4, 8)), pids=np.arange(4), camids=np.zeros(4, int))
    loaded = load_features(tmp_path / "q.npz")
    assert loaded.vectors.dtype == np.float32
    assert loaded.fingerprint == "unknown"
    np.savez(tmp_path / "bad.npz", x=np.zeros(3))
    with pytest.raises(CheckpointError, match="holds x; expected `vectors`"):
        load_features(tmp_path / "bad.npz")


def write_distances(folder: Path) -> tuple[Path, dict[str, Any]]:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "distances": rng.random((4, 12)).astype(np.float32),
        "query_pids": np.arange(1, 5), "gallery_pids": np.arange(12) % 4 + 1,
        "query_camids": np.zeros(4, int), "gallery_camids": np.arange(12) % 3,
    }  # fmt: skip
    np.savez(folder / "d.npz", **arrays)
    return folder / "d.npz", arrays


def test_a_matrix_of_distances_is_read_whole_or_with_its_labels_apart(tmp_path: Path) -> None:
    path, arrays = write_distances(tmp_path)
    matrix, q, g = load_distances(path)
    np.testing.assert_array_equal(matrix, arrays["distances"])
    np.testing.assert_array_equal(g.camids, arrays["gallery_camids"])
    assert (len(q), q.vectors.shape, q.paths[1]) == (4, (4, 0), "1")
    np.save(tmp_path / "d.npy", arrays.pop("distances"))
    np.savez(tmp_path / "labels.npz", **arrays)
    apart, q, _ = load_distances(tmp_path / "d.npy", tmp_path / "labels.npz")
    assert isinstance(apart, np.memmap)  # read as it is needed
    np.testing.assert_array_equal(apart, matrix)
    np.testing.assert_array_equal(q.pids, arrays["query_pids"])
    np.savez(tmp_path / "few.npz", distances=matrix, query_pids=q.pids, gallery_pids=g.pids)
    assert (load_distances(tmp_path / "few.npz")[1].camids == -1).all()


def test_what_is_no_matrix_is_a_sentence(tmp_path: Path) -> None:
    path, arrays = write_distances(tmp_path)
    with pytest.raises(UsageError, match="no file"):
        load_distances(tmp_path / "none.npz")
    np.save(tmp_path / "d.npy", arrays["distances"])
    with pytest.raises(UsageError, match="--labels FILE"):
        load_distances(tmp_path / "d.npy")
    with pytest.raises(CheckpointError, match="not an .npz file"):
        load_distances(path, tmp_path / "d.npy")
    np.savez(tmp_path / "x.npz", x=np.zeros(3))
    with pytest.raises(CheckpointError, match="holds x; expected distances"):
        load_distances(tmp_path / "x.npz")
    (tmp_path / "text.npz").write_text("distances")
    with pytest.raises(CheckpointError, match="plain arrays"):
        load_distances(tmp_path / "text.npz")


def test_pictures_decoded_before_give_the_same_vectors_to_the_bit(
    people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, model = load_dataset("market", root=people), load_model("synth_small")
    how: dict[str, Any] = {"device": "cpu", "precision": "fp32", "batch_size": 5}
    plain = evaluate(model, dataset, **how)
    images = np.stack([decode(sample.path, model.input_size) for sample in dataset.query])
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2)
    with torch.inference_mode():
        bare = torch.cat([model.embed(tensors[row : row + 5]) for row in range(0, len(images), 5)])
    np.testing.assert_array_equal(plain.query.vectors, torch.nn.functional.normalize(bare, dim=1).numpy())
    held = [open_pixels(part, model.input_size) for part in (dataset.query, dataset.gallery)]
    monkeypatch.setattr("resight.data.loading.decode.decode_bytes", _refuse)
    for stored in (
        evaluate(model, dataset, **how),  # the caches are found
        evaluate(model, dataset, **how, pixels=(held[0], held[1])),
    ):
        np.testing.assert_array_equal(stored.query.vectors, plain.query.vectors)
        np.testing.assert_array_equal(stored.gallery.vectors, plain.gallery.vectors)
        assert stored.query.paths == plain.query.paths


def _refuse(*_: object) -> Any:
    raise AssertionError("a picture was decoded again")


def test_the_precision_and_the_speed_stand_in_the_result(people: Path) -> None:
    made = evaluate(load_model("synth_small"), load_dataset("market", root=people), device="cpu").context["embedding"]
    assert made["precision"] in ("fp32", "bf16")
    assert made["precision_chosen"].startswith(f"{made['precision']} (auto")
    assert made["images_per_second"] > 0
