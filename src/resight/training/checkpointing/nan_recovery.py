"""Recovery from losses, gradients and weights that are not finite: back to a good state at a lower rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from resight.dist.processes import max_over_ranks
from resight.errors import NotFiniteError
from resight.training.optimization.optimizer import named_parameters

if TYPE_CHECKING:
    from torch import nn

    from resight.training.clock import Clock


class Recovery:
    """A good state in memory, the number of recoveries, and the factor on the learning rate: factor ** used.

    Good is a state whose weights are all finite; the trainer hands one over at the start of every epoch, so going
    back means to the start of the epoch.  Batches and dropout are drawn as before and only the rate differs: what
    follows is the same on every machine that broke at the same step, also after a resume.
    """

    def __init__(self, times: int, factor: float) -> None:
        self.times, self.factor = times, factor
        self.used = 0
        self._good: dict[str, Any] | None = None

    @property
    def rate(self) -> float:
        return self.factor**self.used

    @property
    def wanted(self) -> bool:
        """Whether a good state is worth keeping."""
        return self.times > 0

    @property
    def ready(self) -> bool:
        """Whether there is one."""
        return self._good is not None

    def keep(self, state: dict[str, Any]) -> None:
        """state: everything a resumed run needs.  It is copied."""
        self._good = copied(state)

    def back(self, error: NotFiniteError) -> dict[str, Any]:
        """The good state to restore.  Raises the error where it has been asked for `times` times."""
        if self._good is None or self.used >= self.times:
            tried = f" It was tried {self.used} times again at a lower rate (train.recover)." if self.used else ""
            raise type(error)(f"{error}{tried}") from error
        self.used += 1
        good: dict[str, Any] = copied(self._good)
        return good

    def state_dict(self) -> dict[str, Any]:
        return {"used": self.used, "good": self._good}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.used, self._good = state["used"], state["good"]


def finite_gradients(norm: Tensor, model: nn.Module, objective: nn.Module, clock: Clock) -> Tensor:
    """`norm`, that of all gradients, (), if it is finite.  Raises NotFiniteError, on all processes alike, if not."""
    if not max_over_ranks(int(not bool(torch.isfinite(norm)))):
        return norm
    named = named_parameters(model, objective)
    broken = [name for name, p in named if p.grad is not None and not finite(p.grad)]
    raise NotFiniteError(
        f"the loss is finite at {clock}, its gradient is not: {', '.join(broken[:3]) or 'its norm'} broke. "
        f"Lower optim.lr, or train with train.precision = 'fp32'."
    )


def check_weights(model: nn.Module, objective: nn.Module, clock: Clock) -> None:
    """Raises NotFiniteError, on all processes alike, where the last step left a weight that is not finite."""
    kept = {**model.state_dict(), **objective.state_dict()}
    broken = [name for name, value in kept.items() if isinstance(value, Tensor) and not finite(value)]
    if max_over_ranks(int(bool(broken))):
        raise NotFiniteError(
            f"a weight is no longer a number at {clock}: {', '.join(broken[:3]) or 'on another process'}. "
            f"Lower optim.lr, or limit the gradient with optim.clip_norm."
        )


def finite(tensor: Tensor) -> bool:
    """Whether all its numbers are finite; of a tensor in pieces, this process's."""
    mine = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return bool(torch.isfinite(mine).all())


def copied(value: Any) -> Any:
    """A state of its own, on the processor: an optimiser goes on writing into the tensors it was given."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(copied(item) for item in value)
    return value
