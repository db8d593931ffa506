"""Loading an exported file: only with its proof, and never by surprise."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from resight import models
from resight.errors import CheckpointError, MissingExtraError, UsageError
from resight.models.exported import Description, ExportedModel, Proof, digest
from resight.models.exported.description import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

DESCRIPTION = Description(model="mean", fingerprint="f" * 32, input_size=(8, 4), dimension=3, metric="cosine")
PASSED = {"consistency": {"value": 1.0, "bound": 0.9, "passed": True}}


def onnx_file(path: Path, description: str | None) -> Path:
    """The mean color of a picture, as an ONNX model made by hand."""
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=types.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["vectors"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes, "mean", [helper.make_tensor_value_info("images", types.UINT8, ["b", 3, "h", "w"])],
        [helper.make_tensor_value_info("vectors", types.FLOAT, ["b", 3])],
        [helper.make_tensor("axes", types.INT64, [2], [2, 3])],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if description is not None:
        helper.set_model_props(made, {KEY: description})
    onnx.save(made, path)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = onnx_file(tmp_path / "model.onnx", DESCRIPTION.to_json())
    prove(path)
    return path


def prove(path: Path, **changes: Any) -> None:
    fields = {"fingerprint": DESCRIPTION.fingerprint, "format": "onnx", "precision": "fp32", "gates": PASSED}
    Proof(**fields | {"files": {path.name: digest(path)}} | changes).save(path.with_name("proof.json"))


def test_it_embeds_bytes_and_floats_of_any_size(file: Path) -> None:
    model = models.load_model(file)
    assert isinstance(model, ExportedModel)
    for size in ((8, 4), (20, 9)):
        images = torch.randint(0, 256, (3, 3, *size), dtype=torch.uint8)
        torch.testing.assert_close(model.embed(images), images.float().mean(dim=(2, 3)))
        torch.testing.assert_close(model.embed(images.float() / 255), model.embed(images))
        torch.testing.assert_close(model.embed(images.flip(3)), model.embed(images))  # also what is not contiguous
    for wrong in (torch.zeros(3, 8, 4), torch.zeros(1, 1, 8, 4), torch.zeros(1, 3, 8, 4, dtype=torch.int64)):
        with pytest.raises(UsageError, match="expected"):
            model.embed(wrong)


def test_two_pictures_are_compared_by_the_metric(file: Path) -> None:
    model = models.load_model(file)
    one, two = (torch.randint(0, 256, (2, 3, 8, 4), dtype=torch.uint8) for _ in range(2))
    expected = torch.cosine_similarity(one.float().mean(dim=(2, 3)), two.float().mean(dim=(2, 3)))
    torch.testing.assert_close(model.verify(one, two).similarity, expected)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no proof": (lambda file: file.with_name("proof.json").unlink(), "loaded with the proof"),
    "a proof that failed": (lambda file: prove(file, gates={"x": PASSED["consistency"] | {"passed": False}}), "gates"),
    "a proof without gates": (lambda file: prove(file, gates={}), "gates"),
    "a proof of another file": (lambda file: prove(file, files={"other.onnx": "0"}), "is no proof of"),
    "a proof of another model": (lambda file: prove(file, fingerprint="e" * 32), "two models"),
    "a changed file": (lambda file: onnx_file(file, DESCRIPTION.to_json() + " "), "is missing, or not the file"),
    "a missing part": (lambda file: prove(file, files={file.name: digest(file), "model.bin": "0"}), "model.bin"),
    "a proof that is no JSON": (lambda file: file.with_name("proof.json").write_text("{"), "not a proof"),
    "a proof of another form": (lambda file: file.with_name("proof.json").write_text("[1]"), "not a proof"),
    "no file": (lambda file: file.unlink(), "no exported model"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_file_without_its_proof_is_not_loaded(what: str, file: Path) -> None:
    change, sentence = BAD[what]
    change(file)
    with pytest.raises(CheckpointError, match=sentence):
        models.load_model(file)


DESCRIPTIONS = {
    "none": None,
    "no JSON": "{",
    "another metric": DESCRIPTION.to_json().replace("cosine", "manhattan"),
    "a field less": json.dumps({k: v for k, v in json.loads(DESCRIPTION.to_json()).items() if k != "dimension"}),
    "three sizes": DESCRIPTION.to_json().replace("[8, 4]", "[8, 4, 2]"),
}


@pytest.mark.parametrize("what", DESCRIPTIONS)
def test_a_file_of_somebody_else_is_refused(what: str, tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "model.onnx", DESCRIPTIONS[what])
    prove(path)
    with pytest.raises(CheckpointError, match="not written by resight export"):
        models.load_model(path)


@pytest.mark.parametrize("ending", [".onnx", ".xml", ".pt2"])
def test_a_damaged_file_is_a_sentence(ending: str, tmp_path: Path) -> None:
    if ending == ".xml":
        pytest.importorskip("openvino")
    path = tmp_path / f"model{ending}"
    path.write_bytes(b"<net>garbage")
    prove(path)
    with pytest.raises(CheckpointError):
        models.load_model(path)


def test_a_folder_is_the_file_its_proof_names(file: Path, tmp_path: Path) -> None:
    assert models.load_model(file.parent).fingerprint() == DESCRIPTION.fingerprint
    prove(file, files={"../model.onnx": digest(file)})
    with pytest.raises(CheckpointError, match="names no exported model"):
        models.load_model(file.parent)
    shutil.copy(file.with_name("proof.json"), tmp_path / "proof.json.rejected")


def test_weights_are_not_to_be_had_from_it(file: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no weights"):
        models.read_model(file)
    with pytest.raises(CheckpointError, match="holds no weights"):
        models.load_model(file, num_ids=5)


@pytest.mark.parametrize(("ending", "package", "extra"), [(".onnx", "onnxruntime", "onnx"),
                                                           (".xml", "openvino", "openvino")])  # fmt: skip
def test_a_missing_runtime_is_named(
    ending: str, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    path = tmp_path / f"model{ending}"
    path.write_bytes(b"x")
    prove(path)
    with pytest.raises(MissingExtraError, match=rf"resight\[{extra}\]"):
        models.load_model(path)
