"""Camera-aware proxies against their equations, spelled out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resight.errors import UsageError
from resight.losses import CameraProxies, build

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, -1])
CAMERAS = torch.tensor([1, 1, 2, 1, 3, 2, 2, 1])
PROXIES = [(0, 1), (0, 2), (1, 1), (1, 3), (2, 2)]  # (cluster, camera)
OF = [0, 0, 1, 2, 3, 4, 4]


def begun(**options: float) -> tuple[CameraProxies, Tensor]:
    loss = CameraProxies(6, 0, temperature=0.1, **options).double()  # type: ignore[arg-type]
    features = torch.randn(8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss.begin(features, LABELS, CAMERAS)
    loss.set_clock(0, 9.0)
    return loss.eval(), features


def batch() -> tuple[Tensor, Tensor]:
    return torch.randn(7, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64), torch.arange(7)


def test_a_cluster_has_a_proxy_for_each_of_its_cameras() -> None:
    loss, features = begun()
    assert list(zip(loss.cluster.tolist(), loss.camera.tolist(), strict=True)) == PROXIES
    assert loss.proxy_of.tolist() == [*OF, -1]
    mean = F.normalize(features[:2]).mean(dim=0)
    assert torch.allclose(loss.memory[0], mean / mean.norm())


@pytest.mark.parametrize("negatives", [1, 2, 50])
def test_the_equations(negatives: int) -> None:
    loss, _ = begun(across=0.7, negatives=negatives)
    features, index = batch()
    scores = F.normalize(features) @ loss.memory.T / 0.1
    expected = torch.zeros((), dtype=torch.float64)
    for row, own in enumerate(OF):
        cluster, camera = PROXIES[own]
        rivals = [k for k, (_, seen) in enumerate(PROXIES) if seen == camera]
        expected -= scores[row, own] - scores[row, rivals].logsumexp(0)
        positive = [k for k, (who, _) in enumerate(PROXIES) if who == cluster and k != own]
        others = [k for k, (who, _) in enumerate(PROXIES) if who != cluster]
        hard = sorted(others, key=lambda k: -float(scores[row, k]))[:negatives]
        if positive:
            normalizer = scores[row, positive + hard].logsumexp(0)
            expected -= 0.7 * sum(scores[row, k] - normalizer for k in positive) / len(positive)
    assert torch.allclose(loss(features, LABELS[:7], index), expected / 7)


def test_other_cameras_count_from_an_epoch_on() -> None:
    loss, _ = begun(across=0.7, start=5.0)
    features, index = batch()
    with_others = loss(features, LABELS[:7], index)
    loss.set_clock(0, 4.9)
    assert loss(features, LABELS[:7], index) < with_others


def test_one_camera_has_nothing_between() -> None:
    loss, features = begun(across=0.7)
    loss.begin(features, LABELS, torch.zeros_like(CAMERAS))
    rows, index = batch()
    value = loss(rows.requires_grad_(), LABELS[:7], index)
    value.backward()
    assert rows.grad is not None
    assert rows.grad.isfinite().all()
    scores = F.normalize(rows) @ loss.memory.T / 0.1
    assert torch.allclose(value, F.cross_entropy(scores, LABELS[:7]))


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="negatives"):
        build("camera_proxies", dim=4, num_ids=2, negatives=0)
