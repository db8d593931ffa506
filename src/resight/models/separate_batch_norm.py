"""Batch normalisation of pictures from two domains, each by its own batch statistics.

The weights are shared.  Running statistics are those of the new pictures alone, which is what the model meets later.
After Chang et al., "Domain-specific batch normalization", CVPR 2019, where the weights are apart as well.
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT: ContextVar[Tensor | None] = ContextVar("kept", default=None)


def separate(model: nn.Module) -> None:
    """From now on every batch normalisation of the model heeds `two_domains`; nothing else changes."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not isinstance(module, Separate):
            kind: Any = type(module)
            module.__class__ = _separate(kind)


@contextlib.contextmanager
def two_domains(kept: Tensor) -> Iterator[None]:
    """Within, a training batch is of two domains: kept (B,) bool tells the rows of the earlier one."""
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)


class Separate(_BatchNorm):
    """Joined to a kind of batch normalisation: rows of either domain are normalized without the other's."""

    def forward(self, x: Tensor) -> Tensor:
        kept = _KEPT.get()
        if not self.training or kept is None:
            return super().forward(x)
        new = super().forward(x[~kept])
        with self._forgetful():
            earlier = super().forward(x[kept])
        order = torch.cat([torch.nonzero(~kept), torch.nonzero(kept)])[:, 0].argsort()
        return torch.cat([new, earlier])[order]

    @contextlib.contextmanager
    def _forgetful(self) -> Iterator[None]:
        """Running statistics stay as they are."""
        names = ("running_mean", "running_var", "num_batches_tracked")
        held = {name: getattr(self, name) for name in names}
        for name in names:
            setattr(self, name, None)
        try:
            yield
        finally:
            for name, tensor in held.items():
                setattr(self, name, tensor)


@cache
def _separate(kind: Any) -> Any:
    return type(f"Separate{kind.__name__}", (Separate, kind), {})
