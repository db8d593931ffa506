"""Runtimes side by side: what is timed, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from resight import models
from resight.bench import embedding
from resight.bench.embedding import RUNTIMES, EmbeddingSpeed, compare_runtimes, load, runtimes_named, runtimes_table
from resight.cli import main
from resight.errors import UsageError
from tests.export.examples import people, ready

if TYPE_CHECKING:
    from pathlib import Path

SPEED = EmbeddingSpeed(
    model="tiny", runtime="eager fp32", threads=2, batch_size=32, size=(64, 32), steps=20, images_per_s=100.0,
    batch_s=0.32, batch_s_low=0.3, batch_s_high=0.35, first_s=0.5, peak_memory_gib=0.7, mAP=0.5,
)  # fmt: skip


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: the fresh ones are tested with `measure_alone`."""
    monkeypatch.setattr(embedding, "alone", lambda _, function, *a, **options: function(*a, **options))


def test_a_table_has_ratios_to_its_first_row() -> None:
    quick = replace(SPEED, runtime="openvino int8", images_per_s=450.0, minimum_cosine=0.99, mAP=0.49)
    lines = runtimes_table([SPEED, quick]).splitlines()
    assert [cell.strip() for cell in lines[3].split("|")][1:4] == ["openvino int8", "450.0", "4.50"]
    assert "0.990000" in lines[3]
    assert lines[-1] == "tiny, batches of 32 x 64 x 32, 20 each, 2 threads of the CPU"


def test_runtimes_are_known_by_name() -> None:
    assert [str(runtime) for runtime in runtimes_named(["openvino-bf16", "eager fp32"])] == [
        "openvino bf16", "eager fp32",
    ]  # fmt: skip
    assert runtimes_named([]) == list(RUNTIMES)
    with pytest.raises(UsageError, match="openvino-int8"):
        runtimes_named(["tensorrt"])


@pytest.mark.usefixtures("here")
def test_each_runtime_is_measured_and_compared_with_the_first() -> None:
    pytest.importorskip("onnxscript")
    chosen = runtimes_named(["eager-fp32", "eager-bf16", "onnx-fp32"])
    full, half, exported = compare_runtimes(ready(), people(), chosen, batch_size=4, steps=2)
    assert full.minimum_cosine == pytest.approx(1, abs=1e-9)
    assert exported.minimum_cosine > 0.99999 > half.minimum_cosine > 0.99
    assert exported.mAP == pytest.approx(full.mAP, abs=1e-6)
    for speed in (full, half, exported):
        assert (speed.batch_size, speed.steps, speed.size) == (4, 2, (64, 32))
        assert speed.images_per_s == pytest.approx(4 / speed.batch_s)
        assert 0 < speed.batch_s_low <= speed.batch_s <= speed.batch_s_high
        assert speed.peak_memory_gib > 0.05


@pytest.mark.usefixtures("here")
def test_a_compiled_model_computes_in_its_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.compile", lambda function: function)  # as slow as it is, it changes no number
    chosen = runtimes_named(["eager-fp32", "compiled-fp32", "compiled-bf16"])
    _, full, half = compare_runtimes(ready(), people(4), chosen, batch_size=2, steps=1)
    assert full.minimum_cosine == pytest.approx(1, abs=1e-9)
    assert 0.99 < half.minimum_cosine < 0.99999


def test_an_architecture_is_drawn_the_same_each_time(tmp_path: Path) -> None:
    assert load("hacnn").fingerprint() == load("hacnn").fingerprint()
    models.save_model(ready(), tmp_path / "run")
    assert load(str(tmp_path / "run")).fingerprint() == ready().fingerprint()


@pytest.mark.usefixtures("here")
def test_the_verb_gives_a_record_for_each_runtime(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    models.save_model(ready(), tmp_path)
    monkeypatch.setattr("resight.data.load_dataset", lambda *_, **__: people(4))
    main(["bench", "embed", str(tmp_path), "--runtime", "eager-fp32", "--steps", "1", "--batch-size", "2", "--json"])
    record: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [row["runtime"] for row in record] == ["eager fp32"]
    assert record[0]["minimum_cosine"] == pytest.approx(1)
