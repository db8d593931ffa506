"""Pyramid against docs/methods/pyramid.md: runs of parts, pooling by hand, counts, branches on their own."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from resight import models
from resight.errors import UsageError
from resight.models.pyramid import Pyramid, Run, pool_runs, pyramid
from tests.models.flow import reached

TINY = {"name": "resnet10", "width": 4}
SMALL: dict[str, Any] = {"backbone": TINY, "input_size": (96, 32), "width": 8}


@pytest.mark.parametrize(("parts", "branches"), list(enumerate([1, 3, 6, 10, 15, 21, 28, 36], start=1)))
def test_branches_of_n_parts(parts: int, branches: int) -> None:
    assert len(pyramid(parts)) == branches == parts * (parts + 1) // 2


def test_the_row_ranges_of_six_parts() -> None:
    rows = {run.level: [] for run in pyramid(6)}  # type: dict[int, list[tuple[int, int]]]
    for run in pyramid(6):
        rows[run.level].append((4 * run.first, 4 * (run.first + run.level)))
    assert rows == {
        1: [(0, 4), (4, 8), (8, 12), (12, 16), (16, 20), (20, 24)],
        2: [(0, 8), (4, 12), (8, 16), (12, 20), (16, 24)],
        3: [(0, 12), (4, 16), (8, 20), (12, 24)],
        4: [(0, 16), (4, 20), (8, 24)],
        5: [(0, 20), (4, 24)],
        6: [(0, 24)],
    }
    assert [run.level for run in pyramid(6)] == sorted(run.level for run in pyramid(6))


def test_how_many_branches_hold_a_part() -> None:
    holding = [sum(r.first <= j < r.first + r.level for r in pyramid(6)) for j in range(6)]
    assert holding == [(j + 1) * (6 - j) for j in range(6)] == [6, 10, 12, 12, 10, 6]


def test_levels_can_be_left_out() -> None:
    runs = pyramid(6, [True, False, False, False, False, True])
    assert runs == [*(Run(1, i) for i in range(6)), Run(6, 0)]
    assert runs[-1].name == "part/0-5"
    for wrong in ([True] * 5, [False] * 6):
        with pytest.raises(UsageError, match="used_levels"):
            pyramid(6, wrong)


def test_pooling_by_hand() -> None:
    map = torch.arange(1.0, 13).view(1, 1, 6, 2)
    values = [pooled.item() for pooled in pool_runs(map, 6, pyramid(6))]
    expected = {
        1: [3.5, 7.5, 11.5, 15.5, 19.5, 23.5],
        2: [6.5, 10.5, 14.5, 18.5, 22.5],
        3: [9.5, 13.5, 17.5, 21.5],
        4: [12.5, 16.5, 20.5],
        5: [15.5, 19.5],
        6: [18.5],
    }
    assert values == pytest.approx([value for level in expected.values() for value in level])


def test_pooling_equals_the_slices() -> None:
    map, runs = torch.randn(2, 3, 24, 8), pyramid(6)
    for run, pooled in zip(runs, pool_runs(map, 6, runs), strict=True):
        rows = map[:, :, 4 * run.first : 4 * (run.first + run.level)]
        torch.testing.assert_close(pooled, rows.mean(dim=(2, 3)) + rows.amax(dim=(2, 3)))
    for one, two in zip(pool_runs(map, 6, runs), pool_runs(map.flip(3), 6, runs), strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize(("num_ids", "classifiers"), [(751, 2_034_459), (702, 1_901_718), (767, 2_077_803)])
def test_the_papers_counts(num_ids: int, classifiers: int) -> None:
    with torch.device("meta"):
        model = models.build("pyramid", num_ids)
    assert isinstance(model, Pyramid)

    def count(kind: type[nn.Module]) -> int:
        return sum(p.numel() for m in model.branches.modules() if isinstance(m, kind) for p in m.parameters())

    assert (count(nn.Linear), count(nn.BatchNorm1d)) == (5_507_712, 5_376)
    found = models.complexity_of(model)
    assert found.parameters_without_classifiers == 42_500_160 + 5_507_712 + 5_376
    assert found.parameters - found.parameters_without_classifiers == classifiers


def test_the_papers_shapes() -> None:
    output = models.probe("pyramid", 751)
    assert output.features["all"].shape == (2, 2688)
    assert len(output.logits) == 21
    assert all(z.shape == (2, 751) for z in output.logits.values())
    fewer = models.probe("pyramid", 751, parts=3)
    assert (len(fewer.logits), fewer.features["all"].shape) == (6, (2, 768))


def test_features_are_not_negative_and_in_order() -> None:
    model = models.build("pyramid", 3, **SMALL).eval()
    output = model(torch.rand(2, 3, 96, 32))
    parts = [feature for name, feature in output.features.items() if name != "all"]
    assert torch.equal(output.features["all"], torch.cat(parts, dim=1))
    assert output.features["all"].min() >= 0
    assert list(output.features)[:7] == [*(f"part/{i}-{i}" for i in range(6)), "part/0-1"]


def test_a_height_the_parts_do_not_divide_is_refused() -> None:
    with pytest.raises(UsageError, match=r"25 rows, which 6 parts do not divide.*multiple of 96"):
        models.build("pyramid", 3, **(SMALL | {"input_size": (400, 128)}))
    model = models.build("pyramid", 3, **SMALL).eval()
    with pytest.raises(UsageError, match="8 rows"):
        model.embed(torch.rand(1, 3, 128, 32))
    with pytest.raises(UsageError, match="parts: found 0; input should be greater than or equal to 1"):
        models.build("pyramid", 3, **SMALL, parts=0)


def test_branches_share_nothing_but_the_trunk() -> None:
    model = models.build("pyramid", 3, **SMALL).train()
    images = torch.rand(4, 3, 96, 32)
    for i, name in ((0, "part/0-0"), (20, "part/0-5")):
        found = reached(model, model(images).logits[name].square().sum())
        assert {n.split(".")[1] for n in found if n.startswith("branches.")} == {str(i)}
        assert any(n.startswith("backbone.") for n in found)


def test_the_metric_teaches_no_classifier() -> None:
    model = models.build("pyramid", 3, **SMALL).train()
    found = reached(model, model(torch.rand(4, 3, 96, 32)).features["all"].square().sum())
    assert not any("classifier" in n for n in found)
    assert sum(n.endswith("reduce.weight") for n in found) == 21


def test_dropout_is_for_the_classifiers_only() -> None:
    model = models.build("pyramid", 3, **SMALL, dropout=0.5).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 0.0
    images = torch.rand(4, 3, 96, 32)
    one, two = model(images), model(images)
    assert torch.equal(one.features["all"], two.features["all"])
    assert not torch.equal(one.logits["part/0-5"], two.logits["part/0-5"])


def test_the_classifiers_start_undecided() -> None:
    """The sum over 21 branches starts near 21 ln 751 = 139.0495."""
    model = models.build("pyramid", 751, **SMALL).train()
    logits = model(torch.rand(4, 3, 96, 32)).logits
    labels = torch.tensor([0, 1, 2, 3])
    loss = sum(nn.functional.cross_entropy(z, labels).item() for z in logits.values())
    assert loss == pytest.approx(21 * math.log(751), abs=0.05)
    assert 21 * math.log(751) == pytest.approx(139.0495, abs=1e-4)


def test_the_later_variant_compares_unit_branches() -> None:
    model = models.build("pyramid-youreid", 3, **SMALL).eval()
    output = model(torch.rand(2, 3, 96, 32))
    torch.testing.assert_close(output.features["part/2-4"].norm(dim=1), torch.ones(2))
    torch.testing.assert_close(output.features["all"].norm(dim=1), torch.ones(2))
    torch.testing.assert_close(output.features["all"][:, :8] * math.sqrt(21), output.features["part/0-0"])
