"""The clock: what it measures with, what it makes of it, and that it leaves nothing behind."""

from __future__ import annotations

import importlib.util
import json
import sys
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import resight
from resight import bench
from resight.bench import (
    MadeUpPixels,
    Speed,
    made_up,
    measure,
    measure_alone,
    peak_memory,
    peak_of,
    prepared,
    table,
)
from resight.bench.synthetic_data import BANK
from resight.bench.tables import about
from resight.cli import group, main
from resight.errors import TrainingError, UsageError
from resight.recipe import Recipe
from resight.types import ReIDOutput
from tests.tiny import TINY

SPEED = Speed(
    recipe="tiny", device="cpu", threads=2, precision="fp32", compiled=False, channels_last=True, batch=8,
    size=(64, 32), steps=20, images_per_s=80.0, step_s=0.1, step_s_low=0.09, step_s_high=0.12, waiting=0.025,
    first_step_s=0.3, compile_s=None, peak_memory_gib=0.5, tflops=0.02, utilisation=None,
)  # fmt: skip


def tiny_sample() -> Recipe:
    return Recipe.from_toml(TINY).override("data.name=sample", "feed.main.ids=4")


# Made-up pictures


def test_a_made_up_set_has_the_size_of_the_real_one() -> None:
    market = made_up("market1501")
    assert (market.num_ids, len(market.train), len({s.camid for s in market.train})) == (751, 12_936, 6)
    both = made_up("market1501+dukemtmcreid")
    assert (both.num_ids, len(both.train)) == (751 + 702, 12_936 + 16_522)
    bundled = resight.load_dataset("sample").train
    assert (len({s.pid for s in bundled}), len(bundled), len({s.camid for s in bundled})) == (40, 516, 4)
    assert len(made_up("sample").train) == 516


def test_made_up_attributes_take_all_their_values() -> None:
    seen = {s.attributes["third"] for s in made_up("sample", attributes=True).train}
    assert seen == {0, 1, 2, 3}


def test_made_up_pixels_repeat_and_lie_channels_last() -> None:
    pixels = MadeUpPixels(made_up("sample").train, (8, 4))
    assert len(pixels) == 516
    images = pixels.take(np.array([3, 3 + BANK, 4]))
    assert images.shape == (3, 3, 8, 4)
    assert images.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])
    assert torch.equal(MadeUpPixels(pixels.samples, (8, 4)).bank, pixels.bank)


# Work and what the device could


class Two(nn.Module):
    """A convolution and a linear layer: work that can be counted by hand."""

    input_size = (8, 4)

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 5, 3, padding=1), nn.Linear(5 * 8 * 4, 7)

    def forward(self, images: Tensor) -> ReIDOutput:
        return ReIDOutput({"global": self.linear(self.conv(images).flatten(1))}, {})


def test_operations_are_those_counted_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and the weight's gradient for both layers; pictures need no gradient, what lies between does."""

    def empty(*_: Any) -> Two:
        with torch.device("meta"):
            return Two()

    monkeypatch.setattr("resight.bench.flops.empty_model", empty)
    conv, linear = 2 * (5 * 3 * 3 * 3) * (8 * 4), 2 * (5 * 8 * 4) * 7
    assert bench.training_flops(tiny_sample(), made_up("sample")) == 2 * conv + 3 * linear


@pytest.mark.parametrize(
    ("name", "precision", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989),
        ("NVIDIA H100 PCIe", "bf16", 756),
        ("NVIDIA A100-SXM4-40GB", "fp32", 156),
        ("NVIDIA GeForce GTX 970", "bf16", None),
    ],
)
def test_peaks_of_known_devices(name: str, precision: str, peak: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: name)
    assert peak_of(torch.device("cuda"), precision) == peak
    assert peak_of(torch.device("cpu"), precision) is None


def test_memory_is_told_where_the_system_keeps_no_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "status").write_text("Name:\tpython\nVmRSS:\t1 kB\n")
    monkeypatch.setattr("resight.bench.isolated.STATUS", tmp_path / "status")
    assert peak_memory(torch.device("cpu")) > 0.01


def test_memory_is_the_peak_and_not_what_is_left() -> None:
    device = torch.device("cpu")
    before = peak_memory(device)
    held = torch.ones(int((before + 0.1) * 2**30), dtype=torch.uint8)  # more than there ever was
    del held
    assert peak_memory(device) >= before + 0.05


# Measuring


def test_switches_reach_the_recipe() -> None:
    changed = prepared("strong_baseline_market1501", precision="bf16", compiled=True, channels_last=False, batch=8)
    assert (changed.train.precision, changed.train.compile, changed.train.channels_last) == ("bf16", True, False)
    assert changed.feed["main"].size == 8
    assert "pretrained" not in changed.model.options["backbone"]  # nothing is fetched to measure
    assert prepared("hacnn_market1501", batch=6).feed["main"].batch_size == 6
    assert prepared(tiny_sample(), settings=("train.precision=bf16",)).train.precision == "bf16"
    with pytest.raises(UsageError, match=r"--batch 9: feed\.main draws 2 pictures of each person"):
        prepared(tiny_sample(), batch=9)


def test_a_measurement_hangs_together_and_leaves_nothing(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, state = tmp_path_factory.mktemp("temporary"), torch.random.get_rng_state()
    monkeypatch.setattr("tempfile.tempdir", str(empty))
    speed = measure(tiny_sample(), steps=3, device="cpu", peak_tflops=0.5)
    assert (speed.recipe, speed.device, speed.precision, speed.batch, speed.steps) == ("tiny", "cpu", "fp32", 8, 3)
    assert speed.size == (64, 32)
    assert 0 < speed.step_s_low <= speed.step_s <= speed.step_s_high
    assert speed.images_per_s == pytest.approx(8 / speed.step_s)
    assert 0 < speed.waiting < 1
    expected = bench.training_flops(tiny_sample(), made_up("sample")) * 8 / speed.step_s / 1e12
    assert speed.tflops == pytest.approx(expected)
    assert speed.utilisation == pytest.approx(expected / 0.5)
    assert speed.compile_s is None
    assert torch.equal(torch.random.get_rng_state(), state)
    assert list(empty.iterdir()) == []


def test_a_process_ended_by_the_system_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, *_: Any, **__: Any) -> None: ...
        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *_: object) -> None: ...
        def submit(self, *_: Any, **__: Any) -> Any:
            def result() -> None:
                raise BrokenProcessPool

            return SimpleNamespace(result=result)

    monkeypatch.setattr("resight.bench.isolated.ProcessPoolExecutor", Broken)
    with pytest.raises(TrainingError, match="tiny: the measuring process was ended.*smaller --batch"):
        measure_alone(tiny_sample())


# Tables and the verb


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_a_table_holds_ratios_to_its_first_row() -> None:
    head, _, first, second = cells(table([SPEED, replace(SPEED, images_per_s=200.0, channels_last=False)]))
    assert head[:5] == ["recipe", "batch", "precision", "images/s", "ratio"]
    assert first == ["tiny", "8 x 64 x 32", "fp32", "80.0", "1.00", "100.0", "90.0 to 120.0", "2.5 %", "0.50 GiB",
                     "0.02"]  # fmt: skip
    assert (second[2], second[4]) == ("fp32, channels first", "2.50")
    assert about(SPEED) == "20 steps each on cpu, 2 threads; made-up pictures, decoded beforehand"


def test_columns_appear_where_one_row_has_them() -> None:
    head, _, first, second = cells(table([SPEED, replace(SPEED, compiled=True, compile_s=31.25, utilisation=0.4)]))
    assert head[-2:] == ["of peak", "compile s"]
    assert first[-2:] == ["-", "-"]
    assert second[-2:] == ["40.0 %", "31.2"]
    assert second[2] == "fp32, compiled"


def test_the_verb_measures_every_combination_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def fake(recipe: Recipe, **options: Any) -> Speed:
        asked.append((recipe.name, recipe.train.precision, recipe.train.compile, options["steps"]))
        return SPEED

    monkeypatch.setattr(bench, "measure_alone", fake)
    names = ["hacnn_sample", "baseline_sample"]
    main(["bench", "train", *names, "--precision", "fp32", "--precision", "bf16", "--compile", "both", "--steps", "2"])
    ways = [("fp32", False), ("fp32", True), ("bf16", False), ("bf16", True)]
    assert asked == [(name, *way, 2) for name in names for way in ways]
    said = capsys.readouterr()
    assert said.out.startswith("| recipe")
    assert "measuring hacnn_sample, bf16, compiled ..." in said.err
    main(["bench", "train", "baseline_sample", "--json"])
    assert json.loads(capsys.readouterr().out) == [SPEED.to_dict() | {"size": [64, 32]}]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["strong_baseline_sample", "--batch", "9"], "--batch 9: feed.main draws 4 pictures"),
        (["strong_baseline_sampel"], "strong_baseline_sample"),
        (["strong_baseline_sample", "--set", "train.epoch=3"], "epochs"),
        ([], "Missing argument"),
    ],
)
def test_wrong_questions_are_answered(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "train", *arguments])
    assert sentence in capsys.readouterr().err


def test_one_that_does_not_fit_does_not_lose_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fake(recipe: Recipe, **_: Any) -> Speed:
        if recipe.name == "hacnn_sample":
            raise TrainingError("hacnn_sample does not fit")
        return SPEED

    monkeypatch.setattr(bench, "measure_alone", fake)
    with pytest.raises(SystemExit, match="1"):
        main(["bench", "train", "hacnn_sample", "baseline_sample"])
    said = capsys.readouterr()
    assert said.out.startswith("| recipe") and "left out: hacnn_sample does not fit" in said.err
    assert "1 of 2 were not measured" in said.err


def test_all_that_wants_a_gpu_asks_for_what_there_is() -> None:
    """Every command of benchmarks/gpu.py is one the console knows, every setting one the recipe takes."""
    place = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
    spec = importlib.util.spec_from_file_location("gpu_benchmark", place)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = script  # dataclasses look their module up
    spec.loader.exec_module(script)
    files = ["resnet50=r50.pth", "resnet101=r101.pth", "lup=lup.pth"]
    given = SimpleNamespace(root=Path("data"), out=Path("out"), weights=files, device="cuda", only=[])
    commands = [command[3:] for step in script.steps(given) for command in step.commands if command[1] == "-m"]
    trained = [words for words in commands if words[0] == "train"]
    assert len(commands) > 10 and len(trained) >= 6
    for words in commands:
        _, command, rest = group.resolve_command(click.Context(group), words)
        while isinstance(command, click.Group):
            _, command, rest = command.resolve_command(click.Context(command), rest)
        assert command is not None
        command.make_context(words[0], list(rest))  # raises UsageError where an option is unknown
    for words in trained:
        changes = [change for option, change in pairwise(words) if option == "--set"]
        options = Recipe.load(words[1]).override(*changes).model.options
        trunk = options.get("backbone", {})
        if trunk.get("weights") in ("r50.pth", "r101.pth"):
            assert trunk["name"].replace("resnet", "r") == Path(trunk["weights"]).stem
        else:
            assert not trunk.get("pretrained") or trunk.get("weights") == "lup.pth"
