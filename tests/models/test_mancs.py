"""Mancs against docs/methods/mancs.md: the block's arithmetic, the counts, and which task teaches what."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from resight import models
from resight.models.mancs import FullAttention, Mancs
from tests.models.flow import reached, touches

SIZE = (64, 32)
TINY = {"name": "resnet10", "width": 4}


def one_channel(activation: str) -> FullAttention:
    block = FullAttention(1, 1, activation)  # type: ignore[arg-type]
    with torch.no_grad():
        for conv, weight, bias in ((block.squeeze, 2.0, -1.0), (block.excite, 3.0, 0.5)):
            conv.weight.fill_(weight)
            assert conv.bias is not None
            conv.bias.fill_(bias)
    return block


@pytest.mark.parametrize(
    ("value", "activation", "mask", "out"),
    [
        (1.0, "relu", 0.970688, 1.970688),
        (1.0, "prelu", 0.970688, 1.970688),
        (0.25, "relu", 0.622459, 0.405615),
        (0.25, "prelu", 0.531209, 0.382802),
    ],
)
def test_the_block_by_hand(value: float, activation: str, mask: float, out: float) -> None:
    """squeeze 2 F - 1, excite 3 x + 0.5."""
    found_out, found_mask = one_channel(activation)(torch.full((1, 1, 1, 1), value))
    assert found_mask.item() == pytest.approx(mask, abs=1e-6)
    assert found_out.item() == pytest.approx(out, abs=1e-6)


def test_the_block_keeps_shape_sign_and_place() -> None:
    torch.manual_seed(0)
    block, features = FullAttention(6, 16), torch.randn(2, 6, 7, 5)
    nn.init.normal_(block.squeeze.weight, std=0.3)
    nn.init.normal_(block.excite.weight, std=0.3)
    out, mask = block(features)
    assert out.shape == mask.shape == features.shape
    assert ((mask > 0) & (mask < 1)).all()
    assert (out.abs() >= features.abs()).all()
    assert (out.abs() <= 2 * features.abs()).all()
    assert (out.sign() == features.sign()).all()
    order = torch.randperm(35)
    moved = features.flatten(2)[..., order].view(2, 6, 7, 5)
    torch.testing.assert_close(block(moved)[1], mask.flatten(2)[..., order].view(2, 6, 7, 5))


def test_masks_start_at_one_half() -> None:
    _, mask = FullAttention(256, 16)(torch.randn(2, 256, 8, 4))
    assert (mask - 0.5).abs().max() < 0.01


@pytest.mark.parametrize(("channels", "count"), [(256, 8_465), (512, 16_913), (1024, 33_809)])
def test_the_blocks_parameters(channels: int, count: int) -> None:
    assert sum(p.numel() for p in FullAttention(channels, 16, "prelu").parameters()) == count
    assert sum(p.numel() for p in FullAttention(channels, 16, "relu").parameters()) == count - 1


def test_the_papers_counts_and_shapes() -> None:
    with torch.device("meta"):
        model = models.build("mancs-release", 751).train()
        output = model(torch.empty(2, 3, 256, 128))
    assert isinstance(model, Mancs)
    assert model.attention_task is not None

    def count(module: nn.Module | None) -> int:
        return sum(p.numel() for p in module.parameters()) if module is not None else 0

    assert count(model.backbone) == 23_508_032 + 1  # the one PReLU of conv5's last block
    assert count(model.identity_task.linear) == 4_194_304
    assert count(model.identity_task.classifier) == 1_538_799
    assert count(model.attention_task.linear) == 3_211_264
    assert count(model.attention_task.classifier) == 1_346_543
    assert output.features["rank"].shape == (2, 2048)
    assert output.features["attention"].shape == (2, 1792)
    assert {n: tuple(m.shape[1:]) for n, m in output.maps.items()} == {
        "conv2": (256, 64, 32),
        "conv3": (512, 32, 16),
        "conv4": (1024, 16, 8),
    }
    assert output.logits["identity"].shape == output.logits["attention"].shape == (2, 751)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("features.rank", [True, True, True, False, False]),
        ("logits.identity", [True, True, True, True, False]),
        ("logits.attention", [True, False, True, False, True]),  # conv5 lies beyond the last block
    ],
)
def test_which_task_teaches_what(output: str, expected: list[bool]) -> None:
    model = models.build("mancs", 3, backbone=TINY, input_size=SIZE).train()
    kind, _, name = output.partition(".")
    found = reached(model, getattr(model(torch.rand(4, 3, *SIZE)), kind)[name].square().sum())
    parts = ("backbone.layer3", "backbone.layer4", "attention.0", "identity_task", "attention_task")
    assert touches(found, *parts) == expected
    assert touches(found, "backbone.conv1", "attention.1", "attention.2") == [True] * 3


def test_what_the_attention_task_pools() -> None:
    """M * F of each block, averaged over the map; the authors' code: M * (F + M * F); option: M alone."""
    torch.manual_seed(0)
    small = {"backbone": TINY, "input_size": SIZE}
    built = [models.build("mancs", 3, **small, attention_pools=kind).eval() for kind in ("input", "output", "mask")]
    for model in built:
        model.load_state_dict(built[0].state_dict())
    assert all(isinstance(model, Mancs) for model in built)
    x = built[0].normalize(torch.rand(2, 3, *SIZE))
    _, masks, plain = built[0].attend(x)  # type: ignore[operator]
    first, mask = built[0].backbone.stages()[0](x), masks[0]  # type: ignore[operator, union-attr]
    torch.testing.assert_close(plain[0], (mask * first).mean(dim=(2, 3)))
    sums, alone = (model.attend(x)[2][0] for model in built[1:])  # type: ignore[operator]
    torch.testing.assert_close(sums, (mask * (first + mask * first)).mean(dim=(2, 3)))
    torch.testing.assert_close(alone, mask.mean(dim=(2, 3)))
    assert models.options_of("mancs").attention_pools == "input"  # type: ignore[attr-defined]
    assert models.options_of("mancs-release").attention_pools == "output"  # type: ignore[attr-defined]


def test_the_authors_attention_feature() -> None:
    """Numbers of hustvl/mancs, its layer run on these values: x <- x + att x, then att x pooled."""
    block = FullAttention(4, 3, "prelu")
    with torch.no_grad():
        for number, conv in enumerate((block.squeeze, block.excite)):
            assert conv.bias is not None
            conv.weight.copy_(torch.arange(12.0).add(number).sin().view_as(conv.weight))
            conv.bias.copy_(torch.arange(float(len(conv.bias))).cos())
    features = torch.arange(4.0 * 3 * 2).mul(0.7).sin().view(1, 4, 3, 2)
    out, mask = block(features)
    torch.testing.assert_close(
        (mask * out).mean(dim=(2, 3))[0], torch.tensor([0.702946, 0.0272961, -0.2045412, 0.0465707]), atol=1e-6, rtol=0
    )


def test_a_model_saved_before_the_choice_was_named(tmp_path: Path) -> None:
    """Its header says `pool_mask_only`, and its weights were trained with M * F."""
    options = {"backbone": TINY, "input_size": SIZE}
    for earlier, now in ((True, "mask"), (False, "input")):
        model = models.build("mancs-release", 3, **options, attention_pools=now)
        header = {name: v for name, v in model.spec.options.items() if name != "attention_pools"}
        model.spec = dataclasses.replace(model.spec, options={**header, "pool_mask_only": earlier})
        models.save_model(model, tmp_path / "model.safetensors")
        found = models.read_model(tmp_path / "model.safetensors")
        assert found.attention_pools == now
        assert found.spec.options["attention_pools"] == now


def test_classes_start_at_their_prior() -> None:
    """One-vs-all heads: every class starts at probability 0.01, so 751 sums do not swamp the ranking."""
    model = models.build("mancs", 751, backbone=TINY, input_size=SIZE).train()
    logits = model(torch.rand(4, 3, *SIZE)).logits
    assert logits["identity"].sigmoid().mean().item() == pytest.approx(0.01, rel=0.02)
    assert logits["attention"].sigmoid().mean().item() == pytest.approx(0.01, rel=0.2)
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.full((1, 751), -math.log(99)), torch.eye(751)[:1], reduction="sum"
    )
    assert losses.item() == pytest.approx(12.143, abs=1e-3)
    release = models.build("mancs-release", 5, backbone=TINY, input_size=SIZE)
    assert isinstance(release, Mancs)
    assert release.identity_task.classifier is not None
    assert release.identity_task.classifier.bias is not None
    assert not release.identity_task.classifier.bias.count_nonzero()


def test_ablations() -> None:
    images = torch.rand(4, 3, *SIZE)
    bare = models.build("mancs", 3, backbone=TINY, input_size=SIZE, attention=False).train()(images)
    assert (set(bare.logits), bare.maps) == ({"identity"}, {})
    unsupervised = models.build("mancs", 3, backbone=TINY, input_size=SIZE, supervise=False).train()(images)
    assert (set(unsupervised.logits), set(unsupervised.maps)) == ({"identity"}, {"conv2", "conv3", "conv4"})
    ratio = models.build("mancs", 3, backbone=TINY, input_size=SIZE, ratio=4)
    assert isinstance(ratio, Mancs)
    assert [block.squeeze.out_channels for block in ratio.attention] == [1, 2, 4]  # type: ignore[union-attr]
    assert models.build("mancs", 3, backbone=TINY, input_size=SIZE, rank_dim=7).embedding_dim == 7


def test_only_the_authors_variant_answers_with_negative_values() -> None:
    images = torch.rand(4, 3, *SIZE)
    for name, negative in (("mancs", False), ("mancs-release", True)):
        torch.manual_seed(0)
        model = models.build(name, 3, backbone=TINY, input_size=SIZE).train()
        assert bool((model(images).features["rank"] < 0).any()) is negative
