"""MDPR against docs/methods/mdpr.md: counts, attention by hand, who teaches whom, what test features read."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resight import models
from resight.errors import TrainingError, UsageError
from resight.models.mdpr import MDPR, AttentionGenerator, AttentionPooling, cuts, foreground
from tests.models.flow import reached, touches, wake

TINY = {"name": "resnet10", "width": 4}
SMALL: dict[str, Any] = {"backbone": TINY, "input_size": (64, 32), "dim": 8}


def count(*modules: nn.Module | None) -> int:
    return sum(p.numel() for m in modules if m is not None for p in m.parameters())


def build(num_ids: int = 3, **options: Any) -> MDPR:
    model = models.build("mdpr", num_ids, **(SMALL | options))
    assert isinstance(model, MDPR)
    return model


def test_the_releases_counts_part_by_part() -> None:
    with torch.device("meta"):
        model = models.build("mdpr-release", 751)
    assert isinstance(model, MDPR)
    trunk: Any = model.backbone
    hard, soft, fusion = model.hard, model.soft, model.fusion
    assert hard is not None
    assert soft is not None
    assert fusion is not None
    assert count(trunk["shared"]) == 1_444_928
    for side in ("hard", "soft"):
        assert [count(stage) for stage in trunk[side]] == [26_090_496, 14_964_736]
    assert (count(hard.whole), count(hard.parts)) == (1_049_600, 2_099_200)
    assert (count(soft.res5), count(soft.pre_embed), count(soft.res4)) == (1_049_600, 1_050_624, 525_312)
    assert (count(soft.attend5), count(soft.guide), count(soft.attend4)) == (61_446, 9, 30_816)
    assert (count(soft.pool5), count(soft.pool4)) == (2_099_201, 1_050_625)
    assert count(fusion.stripes) == 2_622_464
    assert count(fusion.hard) == count(fusion.soft) == 10_487_808
    assert count(fusion.both) == 41_947_136
    assert count(model.heads) == 5_011_974
    assert sum(count(head) for _, head in model.classifiers()) == 4_998_656
    assert count(model.predict) == 2 * 525_824
    assert count(model) == 164_180_663
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert frozen == 6_656
    training_only = count(soft.attend5, soft.guide, soft.attend4, soft.pool5, soft.pool4, model.predict)
    training_only += count(model.head("attended/res5"), model.head("attended/res4"))
    training_only += sum(count(h) for n, h in model.classifiers() if "attended" not in n)
    assert count(model) - training_only == 154_884_166


@pytest.mark.parametrize("maps", [2, 4])
def test_separate_exponents_cost_two_scalars_a_map(maps: int) -> None:
    with torch.device("meta"):
        apart = count(models.build("mdpr", 5, attentions=maps, **SMALL))
        shared = count(models.build("mdpr-release", 5, attentions=maps, **SMALL))
    assert apart - shared == 2 * (maps - 1)


def test_the_papers_shapes() -> None:
    output = models.probe("mdpr", 751)
    widths = {name: tensor.shape[1] for name, tensor in output.features.items()}
    assert widths == {
        **dict.fromkeys(("hard", "hard/1", "hard/2", "soft/res5", "soft/res4"), 512),
        "fusion": 2048,
        **dict.fromkeys(("attended/res5", "attended/res4"), 1024),
        **dict.fromkeys((f"piece/{r}/{k}" for r in ("res5", "res4") for k in (1, 2)), 512),
        **dict.fromkeys(("predicted/hard", "predicted/soft"), 512),
    }
    assert list(output.logits) == list(widths)[:8]
    assert {n: tuple(m.shape[1:]) for n, m in output.maps.items()} == {
        "attention/res5": (2, 24, 12),
        "attention/res4": (2, 24, 12),
    }


@pytest.mark.parametrize(("dim", "total"), [(512, 4608), (256, 2304), (768, 6912)])
def test_the_descriptor_is_nine_embeddings_wide(dim: int, total: int) -> None:
    with torch.device("meta"):
        model = models.build("mdpr", 0, backbone=TINY, dim=dim)
    assert model.embedding_dim == total
    assert model.retrieval == ("hard", "hard/1", "hard/2", "soft/res5", "soft/res4", "fusion")


def test_the_background_is_thrown_away() -> None:
    raw = torch.tensor([1.2, 0.0, 0.4]).view(1, 3, 1, 1)
    assert foreground(raw).flatten().tolist() == pytest.approx([0.571258, 0.172060], abs=1e-6)


def generator_by_hand() -> AttentionGenerator:
    generator = AttentionGenerator(1, 3).eval()
    generator.norm.eps = 1e-12
    with torch.no_grad():
        generator.near.weight.copy_(torch.tensor([0.5, -1.0, 0.0]).view(3, 1, 1, 1))
        center = torch.zeros(3, 3)
        center[1, 1] = 1
        kernels = torch.stack([torch.full((3, 3), 0.1), center, torch.full((3, 3), 0.2)])
        generator.around.weight.copy_(kernels[:, None])
    return generator


def test_attention_by_hand() -> None:
    raw = generator_by_hand()(torch.tensor([[1.0, 2], [3, 4]])[None, None])[0]
    torch.testing.assert_close(raw[0], torch.tensor([[1.5, 2], [2.5, 3]]))
    torch.testing.assert_close(raw[1], torch.zeros(2, 2))
    torch.testing.assert_close(raw[2], torch.full((2, 2), 2.0))
    one, two = foreground(raw[None])[0]
    assert one.flatten().tolist() == pytest.approx([0.3482, 0.4683, 0.5922, 0.7054], abs=1e-4)
    assert two.flatten().tolist() == pytest.approx([0.0777, 0.0634, 0.0486, 0.0351], abs=1e-4)
    assert 0.001 * (one + two).sum().item() == pytest.approx(0.002339, abs=1e-6)


def test_attention_properties() -> None:
    raw = torch.rand(2, 3, 4, 5) * 3
    maps = foreground(raw)
    assert ((maps > 0) & (maps < 1)).all()
    assert (maps.sum(dim=1) < 1).all()
    torch.testing.assert_close(foreground(raw[:, [1, 0, 2]]), maps[:, [1, 0]])
    more_background = raw.clone()
    more_background[:, 2] += 1
    assert (foreground(more_background) < maps).all()
    assert (wake(AttentionGenerator(6, 3)).eval()(torch.randn(2, 6, 4, 5)) >= 0).all()


def test_attention_pooling_by_hand() -> None:
    pooling = AttentionPooling(2, 2, 2, shared_gem=False).double()
    for k in range(2):
        pooling.embed[k] = nn.Identity()
    features = torch.tensor([[[1.0, 2]], [[3, 0]]], dtype=torch.float64)[None]  # (1, 2, 1, 2)
    attention = torch.tensor([[[0.5, 0.25]], [[0.25, 0.5]]], dtype=torch.float64)[None]
    one, two = pooling(features, attention)
    assert one[0].tolist() == pytest.approx([0.5, 1.190551], abs=1e-6)
    assert two[0].tolist() == pytest.approx([0.797813, 0.595275], abs=1e-6)
    assert torch.cosine_similarity(one, two).item() == pytest.approx(0.861709, abs=1e-6)


@pytest.mark.parametrize(("rows", "parts", "heights"), [(24, 2, [12, 12]), (23, 2, [12, 11]), (7, 3, [3, 3, 1])])
def test_stripes_rejoin_to_the_map(rows: int, parts: int, heights: list[int]) -> None:
    map = torch.randn(1, 1, rows, 2)
    stripes = map.tensor_split(cuts(rows, parts), dim=2)
    assert [s.shape[2] for s in stripes] == heights == [s.shape[2] for s in map.chunk(parts, dim=2)]
    assert torch.equal(torch.cat(stripes, dim=2), map)


def test_odd_heights_pass_and_too_few_rows_do_not() -> None:
    model = build(input_size=(80, 32)).eval()  # five rows
    assert model(torch.rand(1, 3, 80, 32)).features["fusion"].shape == (1, 32)
    with pytest.raises(UsageError, match="4 rows, too few for 3 stripes"):
        build(parts=3)
    with pytest.raises(TrainingError, match="batch of one"):
        build().train()(torch.rand(1, 3, 64, 32))


TRUNK = ("backbone.hard.0", "backbone.hard.1", "backbone.soft.0", "backbone.soft.1")
ATTENTION = ("soft.attend5", "soft.guide", "soft.attend4", "soft.pool5", "soft.pool4")
EMBEDDINGS = ("hard.whole", "hard.parts.0", "hard.parts.1", "soft.res5", "soft.pre_embed", "soft.res4")
WATCHED = (*TRUNK, *ATTENTION, *EMBEDDINGS, "fusion", "predict.hard", "predict.soft")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("logits.hard", {*TRUNK[:2], "hard.whole"}),
        ("logits.hard/1", {*TRUNK[:2], "hard.parts.0"}),
        ("logits.soft/res5", {*TRUNK[2:], "soft.res5"}),
        ("logits.soft/res4", {TRUNK[2], "soft.pre_embed", "soft.res4"}),
        ("logits.attended/res5", {*TRUNK[2:], "soft.attend5", "soft.pool5"}),
        (
            "logits.attended/res4",
            {*TRUNK[2:], "soft.pre_embed", "soft.attend5", "soft.guide", "soft.attend4", "soft.pool4"},
        ),
        ("features.piece/res4/1", {*TRUNK[2:], "soft.pre_embed", *ATTENTION[:3], "soft.pool4"}),
        ("maps.attention/res5", {*TRUNK[2:], "soft.attend5"}),
        ("maps.attention/res4", {*TRUNK[2:], *ATTENTION[:3]}),
        ("logits.fusion", {*TRUNK, *EMBEDDINGS, "fusion"}),
        ("features.predicted/hard", {*TRUNK[:2], "hard.whole", "predict.hard"}),
        ("features.predicted/soft", {*TRUNK[2:], "soft.res5", "predict.soft"}),
    ],
)
def test_which_output_teaches_what(output: str, expected: set[str]) -> None:
    model = build().train()
    wake(model)
    kind, _, name = output.partition(".")
    tensor: Tensor = getattr(model(torch.rand(4, 3, 64, 32)), kind)[name]
    found = reached(model, tensor.square().sum())
    assert {part for part, hit in zip(WATCHED, touches(found, *WATCHED), strict=True) if hit} == expected
    assert touches(found, "backbone.shared") == [True]
    heads = {n.split(".")[1] for n in found if n.startswith("heads.")}
    assert heads <= {name, "hard", "soft/res5"}


def test_without_guidance_the_fine_map_has_no_say() -> None:
    model = build(guidance=False).train()
    wake(model)
    assert model.soft is not None
    assert model.soft.attend4.near.in_channels == model.backbone["soft"][0][-1].bn2.num_features  # type: ignore[index]
    found = reached(model, model(torch.rand(4, 3, 64, 32)).logits["attended/res4"].square().sum())
    assert touches(found, "soft.attend5", "backbone.soft.1", "soft.attend4") == [False, False, True]


def test_the_descriptor_reads_no_attention() -> None:
    model = build().eval()
    images = torch.rand(2, 3, 64, 32)
    before = model.embed(images)
    assert model.soft is not None
    for module in (model.soft.attend4, model.soft.attend5, model.soft.guide, model.soft.pool4, model.soft.pool5):
        assert module is not None
        wake(module)
    assert torch.equal(model.embed(images), before)


def test_both_copies_start_alike_and_part() -> None:
    model = build().train()
    trunk: Any = model.backbone
    twins = [(a, b) for a, b in zip(trunk["hard"].parameters(), trunk["soft"].parameters(), strict=True)]
    assert all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in twins)
    soft = [b.clone() for _, b in twins]
    shared = [p.clone() for p in trunk["shared"].parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.rand(4, 3, 64, 32)).logits["hard"].square().sum().backward()
    optimizer.step()
    assert all(torch.equal(b, old) for (_, b), old in zip(twins, soft, strict=True))
    assert any(not torch.equal(a, b) for a, b in twins)
    assert any(not torch.equal(p, old) for p, old in zip(trunk["shared"].parameters(), shared, strict=True))


@pytest.mark.parametrize(
    ("options", "features"),
    [
        ({"branches": "hard"}, ("hard", "hard/1", "hard/2")),
        ({"branches": "soft"}, ("soft/res5", "soft/res4")),
        ({"fusion": False}, ("hard", "hard/1", "hard/2", "soft/res5", "soft/res4")),
        ({"parts": 1, "distillation": False}, ("hard", "hard/1", "soft/res5", "soft/res4", "fusion")),
    ],
)
def test_single_branches_and_ablations(options: dict[str, Any], features: tuple[str, ...]) -> None:
    model = build(**options).train()
    assert model.retrieval == features
    output = model(torch.rand(4, 3, 64, 32))
    assert model.descriptor(output.features).shape == (4, model.embedding_dim)
    assert ("predicted/hard" in output.features) == (options == {"fusion": False})
    sum(t.sin().sum() for t in [*output.features.values(), *output.logits.values()]).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_logits_are_cosines() -> None:
    logits = build().train()(torch.rand(4, 3, 64, 32)).logits
    assert all(z.abs().max() <= 1 + 1e-5 for z in logits.values())


def test_a_trunk_that_halves_its_last_map_is_met_by_resizing() -> None:
    model = build(backbone=TINY | {"last_stride": 2}).train()
    output = model(torch.rand(4, 3, 64, 32))
    assert output.maps["attention/res4"].shape[2:] == (4, 2)
    assert output.maps["attention/res5"].shape[2:] == (2, 1)
    assert output.features["fusion"].isfinite().all()


@pytest.mark.parametrize("option", ["dim", "attentions", "parts"])
def test_counts_below_one_are_refused(option: str) -> None:
    with pytest.raises(UsageError, match=f"{option}: found 0; input should be greater"):
        build(**{option: 0})
