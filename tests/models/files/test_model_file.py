"""One file holds a model; whatever does not fit is named, and nothing in it is trusted."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from resight import models
from resight.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from resight.models import ReIDModel

TINY = {"name": "resnet10", "width": 4}


def build(name: str = "strong_baseline", num_ids: int = 3, **options: Any) -> ReIDModel:
    return models.build(name, num_ids, backbone=TINY, input_size=(64, 32), **options)


def rewrite(path: Path, **changes: Any) -> None:
    """The same tensors under a changed specification."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["resight"])
    header["spec"] |= changes
    save_file(load_file(path), path, metadata={"resight": json.dumps(header)})


def test_a_folder_or_a_file(tmp_path: Path) -> None:
    model = build()
    assert models.save_model(model, tmp_path / "run") == tmp_path / "run" / "model.safetensors"
    assert models.save_model(model, tmp_path / "alone.safetensors") == tmp_path / "alone.safetensors"
    assert [p.name for p in sorted((tmp_path / "run").iterdir())] == ["model.safetensors"]  # no draft is left
    for where in (tmp_path / "run", str(tmp_path / "run"), tmp_path / "alone.safetensors"):
        found = models.read_model(where)
        assert found.fingerprint() == model.fingerprint()
        assert not found.training


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    models.save_model(build(), tmp_path)
    before = torch.get_rng_state()
    models.load_model(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_header_says_what_it_is(tmp_path: Path) -> None:
    model = build()
    with safe_open(models.save_model(model, tmp_path), framework="pt") as file:
        header = json.loads(file.metadata()["resight"])
    assert header["spec"]["name"] == "strong_baseline"
    assert header["fingerprint"] == model.fingerprint()


def test_other_identities_drop_the_classifier_and_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = build(attributes={"hat": 2})
    models.save_model(model, tmp_path)
    with caplog.at_level(logging.WARNING):
        other = models.load_model(tmp_path, num_ids=7)
    assert "classifiers dropped on purpose" in caplog.text
    assert "classifier.weight" in caplog.text
    assert other.state_dict()["classifier.weight"].shape == (7, 32)
    kept = "attribute_heads.of_hat.weight"  # attributes are the same whoever is trained on
    assert torch.equal(other.state_dict()[kept], model.state_dict()[kept])


def test_weights_for_another_task_fill_a_model_in_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, target = build(attributes={"hat": 2}), build(num_ids=9, attributes={"bag": 2})
    models.save_model(source, tmp_path)
    with caplog.at_level(logging.WARNING):
        assert models.load_weights(target, tmp_path) is target
    assert "dropped on purpose" in caplog.text
    shared = [k for k in source.state_dict() if k.startswith(("backbone.", "neck."))]
    assert all(torch.equal(source.state_dict()[k], target.state_dict()[k]) for k in shared)


def test_another_models_checkpoint_is_named(tmp_path: Path) -> None:
    models.save_model(build("baseline"), tmp_path)
    before = (target := build("strong_baseline")).fingerprint()
    with pytest.raises(CheckpointError, match=r"does not fit strong_baseline.*missing \(neck.bias"):
        models.load_weights(target, tmp_path)
    wide = models.build("baseline", 3, backbone={"name": "resnet10", "width": 8}, input_size=(64, 32))
    with pytest.raises(CheckpointError, match=r"of another shape \(backbone.bn1.bias \(4,\) for \(8,\)"):
        models.load_weights(wide, tmp_path)
    assert target.fingerprint() == before  # nothing was touched


def test_a_file_that_lies_costs_no_memory(tmp_path: Path) -> None:
    path = models.save_model(build("baseline"), tmp_path)
    rewrite(path, options=build("baseline").spec.as_dict()["options"] | {"backbone": {"width": 10**6}})
    with pytest.raises(CheckpointError, match="does not fit"):
        models.load_model(path)
    rewrite(path, num_ids=10**12)
    with pytest.raises(CheckpointError, match="cannot be built"):
        models.load_model(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "nobody"}, "no model named 'nobody'"),
        ({"options": {"strange": 1}}, "strange: there is no option of baseline named 'strange'"),
        ({"options": {"backbone": {"name": "hf-hub:x/y"}}}, "no backbone named"),
        ({"options": {"backbone": {"name": "resnet10", "width": -4}}}, "cannot be built|does not fit"),
        ({"num_ids": "many"}, "not a model file"),
        ({"options": None}, "not a model file"),
    ],
)
def test_a_broken_specification_is_a_sentence(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = models.save_model(build("baseline"), tmp_path)
    rewrite(path, **changes)
    with pytest.raises(CheckpointError, match=message):
        models.load_model(path)


def test_a_specification_cannot_make_us_read_other_files(tmp_path: Path) -> None:
    model = build("baseline")
    path = models.save_model(model, tmp_path)
    options = model.spec.as_dict()["options"]
    options["backbone"] |= {"weights": "/etc/hostname", "pretrained": True}
    rewrite(path, options=options)
    assert models.load_model(path).fingerprint() == model.fingerprint()


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 64])
def test_damaged_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a model file"):
        models.load_model(tmp_path)


def test_a_truncated_file(tmp_path: Path) -> None:
    path = models.save_model(build(), tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="not a model file"):
        models.load_model(tmp_path)


def test_tensors_of_other_programs(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="no description of a model"):
        models.load_model(tmp_path)


def test_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="there is no model at"):
        models.load_model(tmp_path)
    with pytest.raises(CheckpointError, match="there is no model at"):
        models.load_model(str(tmp_path / "absent.safetensors"))

    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("no route to the hub")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    with pytest.raises(CheckpointError, match=r"someone/model is no folder here.*no route to the hub"):
        models.load_model("someone/model")


def test_a_hub_id_is_a_file_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build()
    path = models.save_model(model, tmp_path)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_: str(path))
    assert models.load_model("someone/model").fingerprint() == model.fingerprint()


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = build()
    models.save_model(old, tmp_path)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("resight.models.files.model_file.save_file", full)
    with pytest.raises(CheckpointError, match="No space left"):
        models.save_model(build(), tmp_path)
    assert models.load_model(tmp_path).fingerprint() == old.fingerprint()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_fingerprint_names_the_space() -> None:
    torch.manual_seed(0)
    model = build()
    first = model.fingerprint()
    assert len(first) == 32
    twin = build(attributes={"hat": 2}, num_ids=8)
    twin.load_state_dict({k: v for k, v in model.state_dict().items() if k != "classifier.weight"}, strict=False)
    assert twin.fingerprint() == first  # heads are no part of it
    for changed in (
        build(mean=(0.5, 0.5, 0.5)),
        models.build("strong_baseline", 3, backbone=TINY, input_size=(128, 64)),
        build(retrieval=["global"]),
    ):
        changed.load_state_dict({k: v for k, v in model.state_dict().items() if k != "mean"}, strict=False)
        assert changed.fingerprint() != first
    model.neck.running_mean.add_(1)  # type: ignore[union-attr, operator]
    assert model.fingerprint() != first


@pytest.mark.parametrize(
    ("start", "kind"), [(b"PK\x03\x04", "torch.save"), (b"\x80\x02", "a pickle"), (b"\x89HDF\r\n\x1a\n", "HDF5")]
)
def test_a_sound_file_of_another_program_is_not_called_damaged(start: bytes, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(start + bytes(100))
    with pytest.raises(CheckpointError, match=kind) as caught:
        models.load_model(file)
    assert "damaged" not in str(caught.value)


def test_a_hub_id_may_be_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from pathlib import Path as SystemPath

    monkeypatch.chdir(tmp_path)
    asked: list[str] = []

    def fetch(name: str, file: str) -> str:
        asked.append(name)
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    for where in ("somebody/model", SystemPath("somebody/model")):
        with pytest.raises(CheckpointError, match="the hub did not give model.safetensors"):
            models.load_model(where)
    assert asked == ["somebody/model"] * 2
