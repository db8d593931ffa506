"""HA-CNN against docs/methods/hacnn.md: counts, attention by hand, exact windows, who teaches whom."""

from __future__ import annotations

import math
import zlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resight import models
from resight.errors import TrainingError, UsageError
from resight.models.hacnn import (
    HACNN,
    HardAttention,
    SoftAttention,
    SpatialAttention,
)
from tests.models.flow import reached, touches, wake

SMALL: dict[str, Any] = {"input_size": (64, 32), "widths": (16, 32, 48), "dim": 16}
MEAN_MAP = torch.tensor([[1.0, 2], [3, 4], [5, 6], [7, 8]])


def count(module: nn.Module | None) -> int:
    return sum(p.numel() for p in module.parameters()) if module is not None else 0


def build(num_ids: int = 751, **options: Any) -> HACNN:
    model = models.build("hacnn", num_ids, **options)
    assert isinstance(model, HACNN)
    return model


def test_parameters_part_by_part() -> None:
    with torch.device("meta"):
        model = build(bias=True)
    assert count(model.stem) == 960
    assert [count(stage) for stage in model.stages] == [77_120, 322_176, 747_456]
    assert [count(a.soft) for a in model.attention] == [19_240, 75_328, 168_280]  # type: ignore[arg-type]
    assert [count(a.hard) for a in model.attention] == [1_032, 2_056, 3_080]  # type: ignore[arg-type]
    assert [count(block) for block in model.local] == [32_416, 144_704, 349_152]
    assert (count(model.global_summary), count(model.local_summary)) == (198_144, 787_968)


@pytest.mark.parametrize(("num_ids", "total"), [(751, 3_699_638), (702, 3_649_364), (767, 3_716_054)])
def test_parameters_in_all(num_ids: int, total: int) -> None:
    with torch.device("meta"):
        found = models.complexity_of(models.build("hacnn-torchreid", num_ids))
    assert (found.parameters, found.parameters_without_classifiers) == (total, 2_929_112)


def test_operations_equal_the_papers() -> None:
    """543,994,538 multiply-adds, that is 1.088e9 operations: the 1.09e9 of table 8."""
    with torch.device("meta"):
        found = models.complexity_of(build())
    assert found.macs == 543_994_538
    assert found.parameters_without_classifiers == 2_923_458


def test_streams_share_their_weights() -> None:
    """A fifth region costs its share of the local summary and of the hard attention, nothing else."""
    with torch.device("meta"):
        four, five = count(build(0)), count(build(0, regions=5))
    assert five - four == 512 * 384 + 2 * (129 + 257 + 385)


def test_the_papers_shapes() -> None:
    output = models.probe("hacnn", 751)
    assert {n: tuple(t.shape[1:]) for n, t in output.maps.items()} == {
        "windows/1": (4, 2, 2),
        "soft/1": (128, 40, 16),
        "windows/2": (4, 2, 2),
        "soft/2": (256, 20, 8),
        "windows/3": (4, 2, 2),
        "soft/3": (384, 10, 4),
    }
    assert {n: tuple(t.shape) for n, t in output.features.items()} == {"global": (2, 512), "local": (2, 512)}
    assert {n: tuple(t.shape) for n, t in output.logits.items()} == {"global": (2, 751), "local": (2, 751)}


def test_the_streams_see_the_papers_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(0).eval()
    seen: list[tuple[int, ...]] = []
    whole = HACNN.stream

    def spy(self: HACNN, block: nn.Module, windows: Tensor) -> Tensor:
        out = whole(self, block, windows)
        seen.append((*windows.shape[1:], *out.shape[2:]))
        return out

    monkeypatch.setattr(HACNN, "stream", spy)
    model.embed(torch.rand(1, 3, 160, 64))
    assert seen == [(4, 32, 24, 28, 128, 12, 14), (4, 128, 12, 14, 256, 6, 7), (4, 256, 6, 7, 384, 3, 4)]


def without_norms(module: nn.Module) -> nn.Module:
    """Batch normalisation as the identity."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eps = 1e-12
    return module.eval()


def test_spatial_attention_by_hand() -> None:
    attention = without_norms(SpatialAttention(bias=False))
    with torch.no_grad():
        for name, parameter in attention.named_parameters():
            if parameter.ndim == 4:
                parameter.fill_(1 / 9 if name.startswith("look") else 1.0)
    looked = attention.look(MEAN_MAP[None, None])  # type: ignore[operator]
    assert looked.flatten().tolist() == pytest.approx([1.1111, 3.6667], abs=1e-4)
    rows = attention(MEAN_MAP[None, None])[0, 0]
    assert rows[:, 0].tolist() == pytest.approx([1.1111, 1.9630, 2.8148, 3.6667], abs=1e-4)
    assert torch.equal(rows[:, 0], rows[:, 1])


def test_soft_attention_by_hand() -> None:
    attention = SoftAttention(2, 2, "full", bias=False)
    without_norms(attention)
    x = torch.stack([MEAN_MAP - 1, MEAN_MAP + 1])[None]
    with torch.no_grad():
        assert attention.spatial is not None
        assert attention.channel is not None
        look, scale = attention.spatial.look[0], attention.spatial.scale[0]
        squeeze, excite = attention.channel[0][0], attention.channel[1][0]  # type: ignore[index]
        for conv, weight in (
            (look, torch.full((1, 1, 3, 3), 1 / 9)),
            (scale, torch.ones(1, 1, 1, 1)),
            (squeeze, torch.tensor([0.2, -0.1]).view(1, 2, 1, 1)),
            (excite, torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)),
            (attention.combine[0], torch.eye(2).view(2, 2, 1, 1)),
        ):
            conv.weight.copy_(weight)  # type: ignore[operator]
    mask = attention(x, x.mean(dim=(2, 3), keepdim=True))[0]
    assert mask[0, :, 0].tolist() == pytest.approx([0.5416, 0.5731, 0.6040, 0.6341], abs=1e-4)
    assert torch.equal(mask[1], torch.full((4, 2), 0.5))
    first, second = x[0] * mask
    expected = [[0, 0.5416], [1.1462, 1.7193], [2.4161, 3.0201], [3.8048, 4.4389]]
    assert first.tolist() == [pytest.approx(row, abs=1e-4) for row in expected]
    assert second.tolist() == [[1, 1.5], [2, 2.5], [3, 3.5], [4, 4.5]]


@pytest.mark.parametrize("factors", ["full", "spatial", "channel"])
def test_soft_attention_lies_between_one_half_and_one(factors: Any) -> None:
    attention = wake(SoftAttention(8, 2, factors, bias=True)).eval()
    x = torch.randn(3, 8, 6, 4)
    mask = attention(x, x.mean(dim=(2, 3), keepdim=True))
    assert mask.shape == x.shape
    assert ((mask >= 0.5) & (mask < 1)).all()


def test_windows_start_one_below_the_other() -> None:
    places = HardAttention(16, 4, learn=True, port=False)(torch.randn(3, 16, 1, 1))
    assert places.shape == (3, 4, 2)
    assert not places[..., 0].count_nonzero()
    expected = torch.tensor([-0.7, -0.7 / 3, 0.7 / 3, 0.7]).expand(3, 4)
    torch.testing.assert_close(places[..., 1], expected)
    port = HardAttention(16, 4, learn=True, port=True).place.bias
    assert port.tolist() == [0, -0.75, 0, -0.25, 0, 0.25, 0, 0.75]


def test_windows_are_reported_as_boxes() -> None:
    boxes = build(0).eval()(torch.rand(1, 3, 160, 64)).maps["windows/1"][0]
    assert boxes[0].flatten().tolist() == pytest.approx([0.0625, 0.0, 0.9375, 0.3], abs=1e-6)
    assert boxes[3].flatten().tolist() == pytest.approx([0.0625, 0.7, 0.9375, 1.0], abs=1e-6)


def test_interaction_adds_the_windows_before_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it levels 2 and 3 change and level 1 does not."""
    model, seen = build(0, **SMALL).eval(), []
    whole = HACNN.stream

    def spy(self: HACNN, block: nn.Module, windows: Tensor) -> Tensor:
        seen.append(windows)
        return whole(self, block, windows)

    monkeypatch.setattr(HACNN, "stream", spy)
    images = torch.rand(2, 3, 64, 32)
    model.embed(images)
    apart = build(0, **SMALL, cross=False).eval()
    apart.load_state_dict({k: v for k, v in model.state_dict().items() if k in apart.state_dict()})
    apart.embed(images)
    same = [torch.equal(a, b) for a, b in zip(seen[:3], seen[3:], strict=True)]
    assert same == [True, False, False]
    assert not any(name.startswith("attention.1.hard") for name, _ in apart.named_parameters())


PARTS = (
    *("stem", "stages.0", "stages.1", "stages.2"),
    *("attention.0.soft", "attention.1.soft", "attention.2.soft"),
    *("attention.0.hard", "attention.1.hard", "attention.2.hard"),
    *("local.0", "local.1", "local.2", "global_summary", "local_summary", "global_cl", "local_cl"),
)


@pytest.mark.parametrize(
    ("branch", "missing"),
    [
        ("global", [f"attention.{i}.hard" for i in range(3)] + ["local.0", "local.1", "local.2"]),
        ("local", ["attention.2.soft"]),
    ],
)
def test_which_branch_teaches_what(branch: str, missing: list[str]) -> None:
    model = build(5, **SMALL).train()
    wake(model)
    found = reached(model, model(torch.rand(4, 3, 64, 32)).logits[branch].square().sum())
    other = "local" if branch == "global" else "global"
    absent = {*missing, f"{other}_summary", f"{other}_cl"}
    assert dict(zip(PARTS, touches(found, *PARTS), strict=True)) == {part: part not in absent for part in PARTS}


def test_the_third_stage_learns_from_the_local_branch_through_its_windows_only() -> None:
    """At the start the windows do not depend on the map, so nothing flows back: exactly zero."""
    model = build(5, **SMALL).train()
    images = torch.rand(4, 3, 64, 32)
    assert touches(reached(model, model(images).logits["local"].square().sum()), "stages.2") == [False]
    for attention in model.attention:
        nn.init.normal_(attention.hard.place.weight, std=0.1)  # type: ignore[union-attr, arg-type]
    assert touches(reached(model, model(images).logits["local"].square().sum()), "stages.2") == [True]


def test_the_descriptor_is_two_unit_halves() -> None:
    model = build(0).eval()
    vectors = model.embed(torch.rand(2, 3, 160, 64))
    assert vectors.shape == (2, 1024)
    torch.testing.assert_close(vectors.norm(dim=1), torch.full((2,), math.sqrt(2)))
    torch.testing.assert_close(vectors[:, :512].norm(dim=1), torch.ones(2))
    query = model.descriptor({"global": torch.tensor([[3.0, 4]]), "local": torch.tensor([[1.0, 0]])})
    hit = model.descriptor({"global": torch.tensor([[4.0, 3]]), "local": torch.tensor([[0.0, 2]])})
    assert query[0].tolist() == pytest.approx([0.6, 0.8, 1, 0])
    assert (query - hit).norm().item() == pytest.approx(1.442221, abs=1e-6)
    assert (query - hit).square().sum().item() == pytest.approx(2.08)  # the joint vector's unit form would say 0.2519


def test_either_half_alone() -> None:
    both = build(0, **SMALL).eval()
    images = torch.rand(2, 3, 64, 32)
    for name, half in (("global", slice(0, 16)), ("local", slice(16, 32))):
        alone = build(0, **SMALL, retrieval=[name]).eval()
        alone.load_state_dict(both.state_dict())
        torch.testing.assert_close(alone.embed(images), both.embed(images)[:, half])


@pytest.mark.parametrize(
    "options", [{"soft": "none"}, {"hard": False}, {"soft": "none", "hard": False, "cross": False}]
)
def test_ablations_train(options: dict[str, Any]) -> None:
    model = build(5, **SMALL, **options).train()
    output = model(torch.rand(4, 3, 64, 32))
    assert any(name.startswith("soft/") for name in output.maps) is (options.get("soft") != "none")
    sum(z.square().sum() for z in output.logits.values()).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_sizes_and_batches_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="multiples of 16"):
        build(0, input_size=(150, 64))
    with pytest.raises(UsageError, match="multiple of 4"):
        build(0, widths=(30, 64, 64))
    with pytest.raises(TrainingError, match="batch of one"):
        build(5, **SMALL).train()(torch.rand(1, 3, 64, 32))
    assert build(0, **SMALL).eval().embed(torch.rand(1, 3, 64, 32)).shape == (1, 32)


def fill(model: nn.Module) -> None:
    """Every tensor by a formula of its own name: the same numbers on any machine."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point() or name in ("mean", "std"):
                continue
            steps = torch.arange(tensor.numel(), dtype=torch.float64)
            wave = (0.7 * steps + zlib.crc32(name.encode()) % 100).sin().reshape(tensor.shape)
            if name.endswith("running_var"):
                tensor.copy_(1 + 0.5 * wave)
            elif tensor.ndim > 1:
                tensor.copy_(wave * math.sqrt(2 / tensor[0].numel()))
            else:
                tensor.copy_((1 if name.endswith(".weight") else 0) + 0.1 * wave)


@pytest.mark.parametrize(
    ("name", "half", "answers"),
    [
        ("hacnn-torchreid", slice(0, 1024), [-0.1301689288242185, -0.12868154651578773]),
        ("hacnn", slice(0, 512), [0.07881680397279667, 0.07983441194102517]),  # the global half, without biases
    ],
)
def test_equal_weights_give_the_ports_numbers(name: str, half: slice, answers: list[float]) -> None:
    """What deep-person-reid's HACNN says with these weights for these pictures, computed by running it once.

    Its whole descriptor in the variant that crops as it does; of ours, which crops otherwise, the global half.
    """
    model = models.build(name, 5).double().eval()
    fill(model)
    images = 0.5 + 0.5 * (0.37 * torch.arange(2 * 3 * 160 * 64, dtype=torch.float64)).sin().reshape(2, 3, 160, 64)
    with torch.no_grad():
        descriptor = model.embed(images)[:, half]
    weights = (0.9 * torch.arange(1024, dtype=torch.float64)).cos()[half]
    assert (descriptor @ weights).tolist() == pytest.approx(answers, abs=1e-6)
