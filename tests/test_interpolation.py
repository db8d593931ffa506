"""Pictures are resized by the method of the model they are for, whoever reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from resight import assembly, models
from resight.adapt import adapt, adaptation, crops
from resight.data import Dataset, decode, load_dataset, open_pixels
from resight.errors import UsageError
from resight.explain.explain import explain
from resight.explain.panels import plain
from resight.export.export import describe, without_heads
from resight.export.graph import trace
from resight.export.quantization import calibration_pictures
from resight.export.writers import write_onnx
from resight.inference import Extractor, evaluate
from resight.inference.verify import verify_pictures
from resight.models import ReIDModel
from resight.models.exported import Description, ExportedModel
from resight.models.files.model_file import SHELF
from resight.training.monitoring.progress import Silent
from resight.types import Interpolation
from tests.tiny import tiny

HOW: dict[str, Any] = {"device": "cpu", "precision": "fp32"}
SIZE = (80, 40)  # the pictures have 64 x 32


@pytest.fixture(scope="module")
def model() -> ReIDModel:
    torch.manual_seed(0)
    trunk = {"name": "resnet10", "width": 8}
    return models.build("baseline", 0, backbone=trunk, input_size=SIZE, interpolation="bicubic").eval()


@pytest.fixture(scope="module")
def dataset(people: Path) -> Dataset:
    return load_dataset("market", root=people)


@pytest.fixture(scope="module")
def paths(dataset: Dataset) -> list[Path]:
    return [sample.path for sample in dataset.query]


def prepared(path: Path, interpolation: Interpolation = "bicubic") -> Tensor:
    return torch.from_numpy(decode(path, SIZE, interpolation)).permute(2, 0, 1)[None]


@torch.no_grad()
def vectors(model: ReIDModel, paths: list[Path], interpolation: Interpolation = "bicubic") -> NDArray[np.float32]:
    found = model.embed(torch.cat([prepared(path, interpolation) for path in paths]))
    return torch.nn.functional.normalize(found, dim=1).numpy()


def recorded(monkeypatch: pytest.MonkeyPatch, module: Any) -> list[str]:
    """The interpolation of whatever a module opens from now on."""
    opened: list[str] = []

    def recording(*given: Any, interpolation: Interpolation = "bilinear", **options: Any) -> Any:
        opened.append(interpolation)
        return open_pixels(*given, interpolation=interpolation, **options)

    monkeypatch.setattr(module, "open_pixels", recording)
    return opened


def test_every_way_to_vectors(model: ReIDModel, dataset: Dataset, paths: list[Path]) -> None:
    expected = vectors(model, paths)
    assert abs(expected - vectors(model, paths, "bilinear")).max() > 1e-4
    embed, others = Extractor(model, **HOW), open_pixels(dataset.query, SIZE)  # a cache that is not for this model
    result = evaluate(model, dataset, **HOW)
    assert result.context["embedding"]["interpolation"] == "bicubic"
    held = open_pixels(dataset.query, SIZE, interpolation="bicubic")
    again = evaluate(model, dataset, **HOW)  # from the cache that this has left
    for found in (embed(paths), result.query.vectors, again.query.vectors, embed.stored(held)):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(UsageError, match=r"'bilinear'\), the model takes .*'bicubic'"):
        embed.stored(others)
    same = verify_pictures(model, [(paths[0], paths[1])], "cpu").similarity
    assert float(same) == pytest.approx(float(expected[0] @ expected[1]), abs=1e-6)


def test_it_is_part_of_the_model_and_of_its_name(model: ReIDModel, tmp_path: Path) -> None:
    again = models.read_model(models.save_model(model, tmp_path))
    assert (again.interpolation, again.fingerprint()) == ("bicubic", model.fingerprint())
    with safe_open(SHELF / "synth_small" / "model.safetensors", framework="pt") as file:  # of a version without it
        header = json.loads(file.metadata()["resight"])
    packaged = models.read_model("synth_small")
    assert "interpolation" not in header["spec"]["options"]
    assert (packaged.interpolation, packaged.fingerprint()) == ("bilinear", header["fingerprint"])
    packaged.interpolation = "bicubic"
    assert packaged.fingerprint() != header["fingerprint"]


def test_training_and_validation(
    dataset: Dataset, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, recipe = recorded(monkeypatch, assembly), tiny(people, "model.interpolation=bicubic", "validate.on=test")
    shown, validation = assembly.with_validation(recipe, dataset, "cpu")
    trainer = assembly.build_trainer(recipe, shown, validation, tmp_path, torch.device("cpu"), Silent())
    assert validation is not None
    validation.score(trainer.model)
    assert opened == ["bicubic"] * 3  # training, query, gallery


def test_statistics_of_an_adaptation(
    model: ReIDModel, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, start = recorded(monkeypatch, adaptation), models.save_model(model, tmp_path / "start")
    done = adapt(start, crops(people / "bounding_box_train"), tmp_path / "out", statistics_only=True, device="cpu")
    assert (opened, done.model.interpolation) == (["bicubic"], "bicubic")


def test_what_is_explained_and_what_int8_is_calibrated_on(
    model: ReIDModel, dataset: Dataset, paths: list[Path]
) -> None:
    (shown,) = explain(model, paths[:1], device="cpu")
    ours, others = plain(prepared(paths[0]), "").image, plain(prepared(paths[0], "bilinear"), "").image
    assert shown.panels[0].image == ours != others
    pictures = calibration_pictures(dataset, model, 0, raw=False)
    np.testing.assert_array_equal(next(iter(pictures)), prepared(pictures.samples[0].path).numpy())


def test_an_exported_file(model: ReIDModel, paths: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    description = describe(model, "fp32", raw=False, card={})
    write_onnx(trace(without_heads(model)), description, tmp_path / "model.onnx", None)
    file, expected = ExportedModel(tmp_path / "model.onnx"), vectors(model, paths)
    assert (file.interpolation, file.fingerprint()) == ("bicubic", model.fingerprint())
    np.testing.assert_allclose(Extractor(file, **HOW)(paths), expected, atol=1e-5)  # resized by the loader
    small = torch.from_numpy(np.stack([decode(path) for path in paths])).permute(0, 3, 1, 2)
    apart = abs(vectors(model, paths, "bilinear") - expected).max()
    assert abs(file.embed(small).numpy() - expected).max() < apart / 10  # resized by the graph


def test_an_exported_file_of_an_earlier_version(model: ReIDModel, tmp_path: Path) -> None:
    said = json.loads(describe(model, "fp32", raw=False, card={}).to_json())
    del said["interpolation"]
    assert Description.from_json(json.dumps(said), tmp_path).interpolation == "bilinear"
