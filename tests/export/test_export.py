"""A model on its way out: named when proved, rejected when broken."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import resight
from resight.errors import CheckpointError, UsageError
from resight.export import DEFAULT_GATES, Gates, export, export_model
from resight.export.quantization import Pictures, calibration_pictures
from resight.export.writers import write
from resight.inference import Extractor
from resight.models.exported import ExportedModel
from tests.export.examples import people, pictures, ready

if TYPE_CHECKING:
    from resight.data import Dataset
    from resight.models import ReIDModel

onnx = pytest.importorskip("onnx")
CARD = {"recipe": "mine", "licence": "Weights trained on nobody: free"}


@pytest.fixture(scope="module")
def model() -> ReIDModel:
    return ready()


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return people()


@pytest.fixture(scope="module")
def done(model: ReIDModel, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> export.Exported:
    return export_model(model, tmp_path_factory.mktemp("onnx"), proof=dataset, card=CARD)


def test_the_file_is_proved_and_has_its_name(done: export.Exported, model: ReIDModel, dataset: Dataset) -> None:
    assert sorted(path.name for path in done.path.parent.iterdir()) == ["model.onnx", "proof.json"]
    proof = json.loads((done.path.parent / "proof.json").read_text())
    assert proof["passed"] is True
    assert proof["fingerprint"] == model.fingerprint()
    assert list(proof["batches"]) == ["1", "2", "7", "32"]
    assert len(proof["picture_sizes"]) == 2
    assert proof["crops"]["pictures"] == len(dataset.query) + len(dataset.gallery)
    assert min([proof["crops"]["minimum"], *proof["batches"].values()]) >= 0.99999
    assert proof["scores"]["mAP"]["low"] <= proof["scores"]["mAP"]["difference"] <= proof["scores"]["mAP"]["high"]
    assert set(proof["gates"]) >= {"consistency", "every crop", "batch of 1", "batch of 7"}


def test_it_is_an_embedder_that_says_what_it_is(done: export.Exported, model: ReIDModel) -> None:
    for where in (done.path, str(done.path), done.path.parent):
        assert isinstance(resight.load_model(where), ExportedModel)
    again = ExportedModel(done.path)
    assert (again.fingerprint(), again.metric, again.embedding_dim) == (
        model.fingerprint(), model.metric, model.embedding_dim,
    )  # fmt: skip
    assert again.description.card == CARD
    assert again.description.model == "strong_baseline"
    images = [picture.permute(1, 2, 0).numpy() for size in ((64, 32), (90, 41)) for picture in pictures(size, 3)]
    ours, theirs = (Extractor(of, "cpu", 4, precision="fp32")(images) for of in (again, model))
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_a_gallery_takes_vectors_of_both(done: export.Exported, model: ReIDModel, tmp_path: Path) -> None:
    exported = resight.load_model(done.path)
    images = list(pictures((64, 32), 4))
    with resight.Gallery.open(tmp_path / "gallery", model=model) as gallery:
        ids = gallery.add(Extractor(model, "cpu", precision="fp32")(images), pids=["a", "b", "c", "d"])
    assert len(set(ids)) == 4
    with resight.Gallery.open(tmp_path / "gallery", model=exported) as gallery:
        found = gallery.search(Extractor(exported, "cpu")(images), k=1)
    assert [hits[0].pid for hits in found] == ["a", "b", "c", "d"]
    assert min(hits[0].similarity for hits in found) > 0.99999


def test_no_folder_of_this_machine_is_in_the_file(done: export.Exported) -> None:
    assert str(Path(resight.__file__).parent).encode() not in done.path.read_bytes()


def broken(*arguments: Any) -> Path:
    """What `write` does, and then a tenth of the largest weight is lost."""
    path = write(*arguments)
    loaded = onnx.load(path)
    largest = max(loaded.graph.initializer, key=lambda tensor: int(np.prod(tensor.dims)))
    weights = onnx.numpy_helper.to_array(largest).copy()
    weights.reshape(-1)[: weights.size // 10] = 0
    largest.CopyFrom(onnx.numpy_helper.from_array(weights, largest.name))
    onnx.save(loaded, path)
    return path


def test_a_broken_file_is_rejected_and_the_earlier_one_stays(
    done: export.Exported, model: ReIDModel, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(done.path.parent, tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "model.onnx").read_bytes()
    monkeypatch.setattr(export, "write", broken)
    found = export_model(model, tmp_path, proof=dataset)
    assert found.path == tmp_path / "model.onnx.rejected"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.onnx", "model.onnx.rejected", "proof.json", "proof.json.rejected",
    ]  # fmt: skip
    assert (tmp_path / "model.onnx").read_bytes() == before
    assert not found.proof.passed
    with pytest.raises(CheckpointError, match="every crop"):
        export.refuse(found)
    with pytest.raises(CheckpointError):
        resight.load_model(found.path)
    resight.load_model(tmp_path / "model.onnx")


def test_vectors_that_depend_on_their_neighbors_are_rejected(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ready()
    embed = type(model).embed
    monkeypatch.setattr(type(model), "embed", lambda self, x: embed(self, x) - embed(self, x).mean(0, keepdim=True) / 2)
    found = export_model(model, tmp_path, proof=dataset, to="pt2", gates=Gates(consistency=0.99999))
    assert not found.proof.gates["consistency"]["passed"]


def test_raw_files_take_floats_at_one_size(model: ReIDModel, dataset: Dataset, tmp_path: Path) -> None:
    found = export_model(model, tmp_path, proof=dataset, to="pt2", raw=True)
    again = resight.load_model(found.path)
    images = pictures(model.input_size, 3)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(model.embed(images), dim=1)
    for given in (images, images.float() / 255):
        torch.testing.assert_close(again.embed(given), expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(UsageError, match="64x32 alone"):
        again.embed(pictures((70, 32), 2))
    assert found.proof.picture_sizes == {}


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_int8_is_calibrated_on_training_pictures_alone(
    to: Any, done: export.Exported, model: ReIDModel, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nncf")
    used: list[Path] = []
    pixels = Pictures.__iter__

    def noted(self: Pictures) -> Any:
        used.extend(sample.path for sample in self.samples)
        return pixels(self)

    monkeypatch.setattr(Pictures, "__iter__", noted)
    full = done if to == "onnx" else export_model(model, tmp_path / "full", proof=dataset, to=to)
    found = export_model(model, tmp_path / "int8", proof=dataset, to=to, precision="int8", gates=Gates(consistency=0.9))
    evaluated = {sample.path for sample in (*dataset.query, *dataset.gallery)}
    assert used
    assert not evaluated & set(used)
    assert found.proof.calibration == {"dataset": "sample", "split": "train", "pictures": 24, "seed": 0}
    assert 0.9 < found.proof.crops["minimum"] < 0.99999 < full.proof.crops["minimum"]
    lengths = resight.load_model(found.path).embed(pictures((64, 32), 3)).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(3))  # what is not the network keeps full precision
    weights = [path.with_suffix(".bin") if to == "openvino" else path for path in (found.path, full.path)]
    assert weights[0].stat().st_size < 0.7 * weights[1].stat().st_size


@pytest.mark.parametrize("to", ["openvino", "pt2"])
def test_bf16_is_proved_by_its_own_gates(to: Any, model: ReIDModel, dataset: Dataset, tmp_path: Path) -> None:
    if to == "openvino":
        pytest.importorskip("openvino")
    found = export_model(model, tmp_path, proof=dataset, to=to, precision="bf16", gates=Gates(consistency=0.999))
    again = resight.load_model(found.path)
    assert isinstance(again, ExportedModel)
    assert again.precision == "bf16"
    assert 0.99 < found.proof.crops["minimum"] < 0.999999  # lower than fp32: it did compute in bf16
    assert DEFAULT_GATES["bf16"].mAP == 0.2


def test_what_cannot_be_exported_is_refused(
    done: export.Exported, model: ReIDModel, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="bf16"):
        export_model(model, tmp_path / "a", to="onnx", precision="bf16", proof=dataset)
    with pytest.raises(UsageError, match="no format"):
        export_model(model, tmp_path / "a", to="coreml", proof=dataset)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="exported already"):
        export_model(resight.load_model(done.path), tmp_path / "a", proof=dataset)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no training pictures"):
        calibration_pictures(replace(dataset, train=()), model, 0, raw=False)
    assert not (tmp_path / "a").exists()
