"""Data parallelism of a training step: DDP, FSDP, and whole states for saving.

ddp    every process holds the whole model; gradients are averaged while the backward pass runs
fsdp   each holds a piece of every weight, its gradient and the optimiser's moments; the weights of a block are
       brought together where it is computed (torch's fully_shard).  For what does not fit one device

A loss that is in pieces by itself (`InPieces`, the sharded classifier) has complete gradients and is averaged by
neither.  What is saved is whole and the same in all cases: a run goes on in the other mode, on any number of
processes, or on one.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from resight.dist import average_over_ranks, rank, sum_over_ranks, world_size
from resight.dist.processes import gather_objects
from resight.errors import TrainingError
from resight.losses import InPieces, PseudoLabelLoss
from resight.models.sync_batch_norm import batch_norms, synchronize

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

    from resight.models import ReIDModel
    from resight.training.objective.objective import Objective
    from resight.training.objective.step import Step

BLOCK = 100_000  # weights from which on a member of a chain is brought together on its own


class Parallel:
    """How a model and its objective are spread over the processes; with one process all of it does nothing.

    Made before the optimiser, since under fsdp it replaces the model's parameters by their pieces.
    """

    def __init__(
        self,
        model: ReIDModel,
        objective: Objective,
        mode: Literal["ddp", "fsdp"] = "ddp",
        *,
        sync_batch_norm: bool = True,
    ) -> None:
        self.model, self.objective = model, objective
        self.pieces = _pieces(objective)
        self.loose = _loose(objective)
        self._averaged = world_size() == 1  # whether gradients are averaged in the backward pass
        if world_size() > 1 and sync_batch_norm:
            synchronize(model)
        self._plain: ReIDModel | None = None
        if world_size() > 1 and mode == "fsdp":
            self._plain = copy.deepcopy(model).cpu()  # for evaluating and saving; the device holds pieces only
            _shard(model)

    def wrap(self, step: Step) -> Step:
        """The step as the loop calls it.  Its `no_sync` keeps gradients here, where it has one.

        A step that is not wrapped, or whose methods are called, has its gradients averaged by `finish_gradients`.
        """
        if world_size() == 1 or self._plain is not None:
            return step
        step.register_parameter("idle", nn.Parameter(torch.zeros(1, device=self.model.mean.device)))
        loose = {id(parameter) for parameter in self.loose}
        alone = [name for name, parameter in step.named_parameters() if id(parameter) in self.pieces.keys() | loose]
        alone += [name for name, _ in step.named_buffers()]  # equal already, or made so by `finish_step`
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(step, alone)  # type: ignore[no-untyped-call]
        # A term may rest, and what only it uses has no gradient then: hence `find_unused_parameters`, about which
        # torch complains on every process unless there is a parameter that is never used, hence `idle`.
        spread = DistributedDataParallel(step, find_unused_parameters=True, gradient_as_bucket_view=True)
        self._averaged = True
        return cast("Step", spread)

    def copy(self) -> ReIDModel:
        """A second model, distributed like the first: for averaged weights."""
        if self._plain is None:
            return copy.deepcopy(self.model)
        twin = copy.deepcopy(self._plain).to(self.model.mean.device)
        _shard(twin)
        return twin

    def whole_model(self, model: ReIDModel) -> ReIDModel:
        """A model that can be called and saved by one process alone.  All processes ask together."""
        if self._plain is None:
            return model
        self._plain.cpu().load_state_dict(self.state(model, everywhere=True))
        return self._plain

    def put_away(self) -> None:
        """Move the whole model off the device after use."""
        if self._plain is not None:
            self._plain.cpu()

    def finish_gradients(self) -> None:
        """After the last backward pass: average the gradients that the wrapper has not."""
        if self._averaged and world_size() > 1:
            average_gradients(self.loose)
        if not self._averaged:
            parameters = [*self.model.parameters(), *self.objective.parameters()]
            average_gradients([p for p in parameters if not _is_cut(p) and id(p) not in self.pieces])

    def finish_step(self) -> None:
        """After the optimiser: running statistics of batch norms that are each process's own become their mean."""
        if world_size() > 1:
            average_statistics(self.model)

    def length(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """The common length of all gradients, ()."""
        if world_size() == 1:
            return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        mine = [p for p in parameters if p.grad is not None]
        squares = torch.stack([_local(p.grad).square().sum() for p in mine])
        apart = torch.tensor([_is_cut(p) or id(p) in self.pieces for p in mine], device=squares.device)
        return (squares[~apart].sum() + sum_over_ranks(squares[apart].sum())).sqrt()

    def shorten(self, parameters: Sequence[nn.Parameter], limit: float, length: Tensor) -> None:
        """Scale all gradients, whose common length this is, to `limit` where they are longer."""
        if world_size() == 1:
            nn.utils.clip_grads_with_norm_(parameters, limit, length)
            return
        scale = (limit / (length + 1e-6)).clamp(max=1.0)
        for parameter in parameters:
            if parameter.grad is not None:
                _local(parameter.grad).mul_(scale)

    def state(self, module: nn.Module, *, everywhere: bool = False) -> dict[str, Any]:
        """The module's state with every tensor whole; what was in pieces is there on rank 0 only, or everywhere.

        Not `torch.distributed.checkpoint.state_dict`: that gathers DTensors alone, and rows of a sharded classifier
        are plain tensors; and it names an optimizer's state after one model, where ours spans model and losses.
        """
        found = module.state_dict(keep_vars=True)
        return {name: self._whole(value, value, everywhere) for name, value in found.items()}

    def load(self, module: nn.Module, state: dict[str, Any]) -> None:
        """Load a state of `state`, of any number of processes."""
        mine = module.state_dict(keep_vars=True)
        module.load_state_dict({name: self._piece(value, mine.get(name)) for name, value in state.items()})

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """The optimiser's state with every tensor whole, on rank 0."""
        found, of = optimizer.state_dict(), _parameters(optimizer)
        kept = {
            number: {name: self._whole(value, of[number]) for name, value in values.items()}
            for number, values in found["state"].items()
        }
        return {**found, "state": kept}

    def load_optimizer(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        """Load a state of `optimizer_state`, of any number of processes."""
        of = _parameters(optimizer)
        mine = {
            number: {name: self._piece(value, of[number]) for name, value in values.items()}
            for number, values in state["state"].items()
        }
        optimizer.load_state_dict({**state, "state": mine})

    def _whole(self, value: Any, parameter: Any, everywhere: bool = False) -> Any:
        """What lies beside `parameter` in pieces, put together; anything else as it is."""
        if _is_cut(value):
            whole = value.full_tensor().detach()
        elif id(parameter) in self.pieces and world_size() > 1 and value.shape == parameter.shape:
            whole = self.pieces[id(parameter)].whole(value.detach())
        else:
            return value.detach() if isinstance(value, Tensor) else value
        return whole.cpu() if everywhere or rank() == 0 else None

    def _piece(self, value: Any, parameter: Any) -> Any:
        """This process's part of a whole tensor that lies beside `parameter`."""
        if _is_cut(parameter) and value.shape == parameter.shape:
            from torch.distributed.tensor import distribute_tensor

            value = value.to(parameter.device)
            return distribute_tensor(value, parameter.device_mesh, parameter.placements, src_data_rank=None)
        if id(parameter) in self.pieces and value.ndim == parameter.ndim:
            return self.pieces[id(parameter)].own(value)
        return value


def check_alike(what: dict[str, str]) -> None:
    """Raises TrainingError, on every process, where they do not agree on recipe, data, starting weights or version."""
    everyone = gather_objects(what)
    for name, value in everyone[0].items():
        others = [number for number, theirs in enumerate(everyone) if theirs[name] != value]
        if others:
            raise TrainingError(
                f"the processes differ in their {name}: process 0 has {value}, process {others[0]} has "
                f"{everyone[others[0]][name]}. Give all machines the same files and the same command."
            )


@torch.no_grad()
def average_statistics(model: nn.Module) -> None:
    """Running means and variances that each process keeps for itself become their mean over the processes."""
    kept = [tensor for norm in batch_norms(model) for tensor in (norm.running_mean, norm.running_var)]
    tensors = [tensor for tensor in kept if tensor is not None]
    if tensors:
        flat = average_over_ranks(torch.cat([tensor.view(-1) for tensor in tensors]))
        means = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean.view_as(tensor))


def _pieces(objective: nn.Module) -> dict[int, InPieces]:
    """The loss that each parameter in pieces belongs to, by the parameter's identity."""
    owners = [module for module in objective.modules() if isinstance(module, InPieces)]
    return {
        id(cast("nn.Module", owner).get_parameter(name)): owner
        for owner in owners
        for name in owner.unshared_parameters()
    }


def _loose(objective: nn.Module) -> list[nn.Parameter]:
    """What losses learn for each cluster: its length changes with the clusters, which the wrapper cannot follow."""
    owners = [module for module in objective.modules() if isinstance(module, PseudoLabelLoss)]
    return [parameter for owner in owners for parameter in owner.parameters()]


def _is_cut(value: Any) -> TypeGuard[DTensor]:
    """Whether it lies in pieces.  The import is slow; where it has not happened, no tensor is a DTensor."""
    tensor: Any = sys.modules.get("torch.distributed.tensor")
    return tensor is not None and isinstance(value, tensor.DTensor)


def _shard(model: nn.Module) -> None:
    """In place: the large members of chains as blocks of their own, then the rest.  Scalars cannot be cut."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    scalars = {parameter for parameter in model.parameters() if parameter.ndim == 0}
    chains = [module for module in model.modules() if isinstance(module, nn.Sequential)]
    blocks = [member for chain in chains for member in chain]
    mesh = init_device_mesh(next(model.parameters()).device.type, (world_size(),))
    for block in reversed(blocks):  # the inner ones first
        if sum(parameter.numel() for parameter in block.parameters()) >= BLOCK:
            fully_shard(block, mesh=mesh, ignored_params=scalars)
    fully_shard(model, mesh=mesh, ignored_params=scalars)


@torch.no_grad()
def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Where one process has a gradient all get the mean; where none has, none does."""
    if not parameters:
        return
    found = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    used = [p for p, count in zip(parameters, sum_over_ranks(found).tolist(), strict=True) if count > 0]
    for dtype in sorted({p.dtype for p in used}, key=str):
        alike = [p for p in used if p.dtype == dtype]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in alike])
        means = torch.split(average_over_ranks(flat), [p.numel() for p in alike])
        for parameter, mean in zip(alike, means, strict=True):
            parameter.grad = mean.view_as(parameter).clone(memory_format=torch.preserve_format)


def _local(gradient: Tensor | None) -> Tensor:
    """The numbers of a gradient that lie here."""
    assert gradient is not None
    return gradient.to_local() if _is_cut(gradient) else gradient


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """In the order by which an optimiser's state numbers them."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
