"""A batch normalisation over several processes is that of one process with the whole batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from resight import models
from resight.models.layers import Neck
from resight.models.sync_batch_norm import Synced, batch_norms, synchronize
from tests.ranks import averaged, backward, own_share, run


def network() -> nn.Sequential:
    layers = [
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        BatchNormAct2d(4, act_layer=nn.Tanh),
        nn.BatchNorm2d(4, affine=False, momentum=None),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.Flatten(),
        nn.Linear(64, 5),
        Neck(5),
    ]
    net = nn.Sequential(*layers).double()
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws, dtype=torch.float64))
    return net


def images(seed: int) -> Tensor:
    return 3 + torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _two_steps() -> dict[str, Any]:
    net = network()
    synchronize(net)
    batches = [images(1), images(2).requires_grad_()]
    outputs = [net(own_share(batch)) for batch in batches]
    backward((outputs[1].square() * own_share(torch.arange(8.0))[:, None]).mean())
    assert batches[1].grad is not None
    found = {name: averaged(p.grad) for name, p in net.named_parameters() if p.grad is not None}
    found |= {name: buffer.double() for name, buffer in net.named_buffers()}
    norm = nn.BatchNorm2d(3)
    synchronize(norm)
    half = norm(own_share(images(3)).bfloat16()).dtype
    return found | {"images": averaged(batches[1].grad), "output": outputs[1].detach(), "half": half}


@pytest.mark.parametrize("world", [2, 4])
def test_values_gradients_and_running_statistics_are_the_whole_batchs(world: int) -> None:
    """One process, where the swapped classes do what they were, is the reference."""
    alone = _two_steps()
    everyone = run(world, _two_steps)
    for each in everyone:
        for name in alone.keys() - {"output", "half"}:
            torch.testing.assert_close(each[name], alone[name], rtol=0, atol=1e-10, msg=name)
        assert each["half"] == alone["half"] == torch.bfloat16
    torch.testing.assert_close(torch.cat([each["output"] for each in everyone]), alone["output"], rtol=0, atol=1e-10)


def test_alone_and_in_evaluation_nothing_changes() -> None:
    plain, swapped = network(), network()
    synchronize(swapped)
    for _ in range(2):
        assert torch.equal(plain(images(1)), swapped(images(1)))
        plain.eval(), swapped.eval()
    assert plain.state_dict().keys() == swapped.state_dict().keys()


def test_every_norm_of_a_model_is_found_once() -> None:
    model = models.build("strong_baseline", 4, input_size=[64, 32], backbone={"name": "resnet18", "ibn": True})
    before = len(batch_norms(model))
    for _ in range(2):
        synchronize(model)
    assert before == sum(isinstance(module, Synced) for module in model.modules()) == 21
    assert not batch_norms(model)
    assert isinstance(model.neck, Neck)
