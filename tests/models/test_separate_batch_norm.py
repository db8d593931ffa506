"""Batch normalisation of two domains: each half as if it were alone."""

from __future__ import annotations

import copy

import torch
from torch import nn

from resight.models.separate_batch_norm import separate, two_domains


def test_either_half_is_normalized_alone_and_only_the_new_one_is_remembered() -> None:
    norm = nn.Sequential(nn.BatchNorm2d(3))
    alone, earlier = copy.deepcopy(norm), copy.deepcopy(norm)
    separate(norm)
    x = torch.randn(6, 3, 4, 4, requires_grad=True)
    kept = torch.tensor([False, True, True, False, False, True])
    with two_domains(kept):
        found = norm(x)
    assert torch.allclose(found[~kept], alone(x[~kept]), atol=1e-6)
    assert torch.allclose(found[kept], earlier(x[kept]), atol=1e-6)
    for name, buffer in alone.named_buffers():
        assert torch.equal(norm.get_buffer(name), buffer)
    found.square().sum().backward()
    assert x.grad is not None


def test_elsewhere_nothing_changes() -> None:
    norm = nn.Sequential(nn.BatchNorm1d(3))
    plain = copy.deepcopy(norm)
    separate(norm)
    x = torch.randn(6, 3)
    assert torch.equal(norm(x), plain(x))
    with two_domains(torch.tensor([True] * 3 + [False] * 3)):
        assert torch.equal(norm.eval()(x), plain.eval()(x))
    assert norm.state_dict().keys() == plain.state_dict().keys()
