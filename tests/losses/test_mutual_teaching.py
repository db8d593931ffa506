"""Mutual mean-teaching against its equations, spelled out row by row."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resight.errors import UsageError
from resight.losses import MutualIdentity, MutualTriplet, build

WHO = 4  # network 1, network 2, and the average of each


def batch(seed: int = 0, clusters: int = 5, images: int = 3, dim: int = 8) -> tuple[Tensor, Tensor]:
    """Features (4 B, dim) and clusters (B,)."""
    draws = torch.Generator().manual_seed(seed)
    pids = torch.arange(clusters).repeat_interleave(images)[torch.randperm(clusters * images, generator=draws)]
    return torch.randn(WHO * len(pids), dim, generator=draws, dtype=torch.float64), pids


def begun(**options: Any) -> MutualIdentity:
    """With classifiers and averages that all differ."""
    loss = MutualIdentity(8, 0, **options).double()
    features, pids = batch(1)
    loss.begin(features[: len(pids)], pids, torch.zeros_like(pids))
    draws = torch.Generator().manual_seed(2)
    loss.classifiers.data += torch.randn(loss.classifiers.shape, generator=draws, dtype=torch.float64)
    loss.average += torch.randn(loss.average.shape, generator=draws, dtype=torch.float64)
    return loss


def chance(feature: Tensor, classifier: Tensor) -> Tensor:
    scores = classifier @ feature
    return scores.exp() / scores.exp().sum()


@pytest.mark.parametrize("soft", [0.0, 0.5, 1.0])
def test_identity_is_equations_2_and_6(soft: float) -> None:
    loss = begun(soft=soft, label_smoothing=0.1)
    features, pids = batch(3)
    one, two, mean_one, mean_two = features.chunk(WHO)
    expected = torch.zeros((), dtype=torch.float64)
    for learner, rows in enumerate([one, two]):
        teacher, said = (mean_two, loss.average[1]) if learner == 0 else (mean_one, loss.average[0])
        for row, y in enumerate(pids):
            p = chance(rows[row], loss.classifiers[learner])
            label = F.one_hot(y, 5).double() * 0.9 + 0.1 / 5
            hard = -(label * p.log()).sum()
            taught = -(chance(teacher[row], said) * p.log()).sum()
            expected = expected + ((1 - soft) * hard + soft * taught) / len(pids)
    assert torch.allclose(loss(features, pids), expected)


@pytest.mark.parametrize("soft", [0.0, 0.8, 1.0])
def test_triplet_is_equations_7_and_8(soft: float) -> None:
    features, pids = batch(4)
    one, two, mean_one, mean_two = features.chunk(WHO)
    expected = torch.zeros((), dtype=torch.float64)
    for rows, teacher in ((one, mean_two), (two, mean_one)):
        for a in range(len(pids)):
            others = [b for b in range(len(pids)) if b != a]
            p = max((b for b in others if pids[b] == pids[a]), key=lambda b: float((rows[a] - rows[b]).norm()))
            n = min((b for b in others if pids[b] != pids[a]), key=lambda b: float((rows[a] - rows[b]).norm()))

            def t(f: Any, a: int = a, p: int = p, n: int = n) -> Tensor:
                near, far = (f[a] - f[p]).norm().exp(), (f[a] - f[n]).norm().exp()
                return torch.as_tensor(far / (near + far))

            own, said = t(rows), t(teacher)
            taught = -said * own.log() - (1 - said) * (1 - own).log()
            expected = expected + ((1 - soft) * -own.log() + soft * taught) / len(pids)
    assert torch.allclose(MutualTriplet(soft=soft)(features, pids), expected)


@pytest.mark.parametrize("name", ["mutual_identity", "mutual_triplet"])
def test_the_averages_teach_and_do_not_learn(name: str) -> None:
    loss = begun() if name == "mutual_identity" else MutualTriplet()
    features, pids = batch(5)
    features.requires_grad_()
    loss(features, pids).backward()
    assert features.grad is not None
    one, two, *means = features.grad.chunk(WHO)
    assert one.abs().sum() > 0
    assert two.abs().sum() > 0
    assert all((mean == 0).all() for mean in means)


def test_a_network_learns_from_the_average_of_the_other() -> None:
    """What its own average says changes nothing for it."""
    loss = begun(soft=1.0)
    features, pids = batch(6)

    def slope(at: Tensor) -> Tensor:
        leaf = at.clone().requires_grad_()
        loss(leaf, pids).backward()
        assert leaf.grad is not None
        return leaf.grad.chunk(WHO)[0]

    before, rows = slope(features), len(pids)
    own, other = features.clone(), features.clone()
    own[2 * rows : 3 * rows] += 1
    other[3 * rows :] += 1
    assert torch.equal(slope(own), before)
    assert not torch.allclose(slope(other), before)


def test_begin_sets_all_classifiers_to_the_unit_means_of_the_clusters() -> None:
    loss = MutualIdentity(8, 3).double()
    parameter = loss.classifiers
    features, pids = batch(7)
    rows, labels = features[: len(pids)], torch.where(pids == 4, -1, pids)
    loss.begin(rows, labels, torch.zeros_like(pids))
    assert loss.classifiers is parameter  # the optimizer's
    assert loss.classifiers.shape == (2, 4, 8)
    for cluster in range(4):
        mean = F.normalize(rows[labels == cluster]).mean(dim=0)
        for classifier in (*loss.classifiers, *loss.average):
            assert torch.allclose(classifier[cluster], mean / mean.norm())
    assert loss.average.data_ptr() != loss.classifiers.data_ptr()


def test_the_average_follows_the_classifiers() -> None:
    loss = begun()
    before = loss.average.clone()
    loss.follow(0.9)
    assert torch.allclose(loss.average, 0.9 * before + 0.1 * loss.classifiers)


def test_a_state_of_any_number_of_clusters_is_taken_up() -> None:
    loss, fresh = begun(), MutualIdentity(8, 0).double()
    fresh.load_state_dict(loss.state_dict())
    features, pids = batch(8)
    assert torch.equal(fresh(features, pids), loss(features, pids))


@pytest.mark.parametrize(
    ("name", "options"), [("mutual_identity", {"soft": 1.5}), ("mutual_identity", {"label_smoothing": 1.0}),
                          ("mutual_triplet", {"soft": -0.1})]
)  # fmt: skip
def test_settings_that_make_no_sense(name: str, options: dict[str, Any]) -> None:
    known = {"dim": 4, "num_ids": 2} if name == "mutual_identity" else {}
    with pytest.raises(UsageError, match=next(iter(options))):
        build(name, **known, **options)
