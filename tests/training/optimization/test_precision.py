"""`precision = "auto"`: the faster one of a trial, with nothing of the run touched."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from resight.errors import Interrupted
from resight.training.optimization import precision
from resight.training.optimization.precision import faster_precision
from resight.types import ReIDOutput
from tests.tiny import StopAt, train_tiny

CPU = torch.device("cpu")


class Paced(nn.Module):
    """A network whose time is decided here: seconds in fp32, seconds in bf16."""

    input_size = (8, 4)

    def __init__(self, fp32: float, bf16: float) -> None:
        super().__init__()
        self.layer, self.seconds = nn.Linear(96, 2), {False: fp32, True: bf16}

    def forward(self, images: Tensor) -> ReIDOutput:
        time.sleep(self.seconds[torch.is_autocast_enabled("cpu")])
        return ReIDOutput({"global": self.layer(images.flatten(1))})


@pytest.mark.parametrize(("fp32", "bf16", "expected"), [(0.02, 0.1, "fp32"), (0.1, 0.02, "bf16")])
def test_the_faster_one_is_taken(monkeypatch: pytest.MonkeyPatch, fp32: float, bf16: float, expected: str) -> None:
    monkeypatch.setattr(precision, "supports_bf16", lambda _: True)
    before = torch.get_rng_state()
    assert faster_precision(lambda: Paced(fp32, bf16), CPU, 4) == expected  # type: ignore[arg-type, return-value]
    assert torch.equal(torch.get_rng_state(), before)


def test_a_device_without_bf16_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "supports_bf16", lambda _: False)
    assert faster_precision(lambda: pytest.fail("tried"), CPU, 4) == "fp32"


@pytest.mark.parametrize("chosen", ["fp32", "bf16"])
def test_auto_trains_as_if_the_choice_were_written_down(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setattr(precision, "supports_bf16", lambda _: True)
    monkeypatch.setattr(precision, "_seconds", lambda _model, _images, half: float(half is not (chosen == "bf16")))
    auto = train_tiny(people, tmp_path / "auto", "train.precision=auto")
    written = train_tiny(people, tmp_path / "written", f"train.precision={chosen}")
    torch.testing.assert_close(auto.model.state_dict(), written.model.state_dict(), rtol=0, atol=0)
    assert auto.card["precision"] == chosen


def test_a_resumed_run_keeps_the_choice(people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another trial could end otherwise; half a run in each precision is no run anybody can repeat."""
    monkeypatch.setattr(precision, "supports_bf16", lambda _: True)
    monkeypatch.setattr(precision, "_seconds", lambda _model, _images, half: float(not half))
    with pytest.raises(Interrupted):
        train_tiny(people, tmp_path, "train.precision=auto", display=StopAt(4))
    monkeypatch.setattr(precision, "_seconds", lambda _model, _images, half: float(half))
    assert train_tiny(people, tmp_path, "train.precision=auto").card["precision"] == "bf16"
