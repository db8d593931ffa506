"""The step: model and objective under one wrapper."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resight import losses
from resight.models.separate_batch_norm import two_domains
from resight.training.objective.loss_report import LossReport
from resight.training.objective.objective import Objective
from resight.training.objective.terms import flatten
from resight.types import Batch, ReIDOutput


class Step(nn.Module):
    """Model and objective under one wrapper, so that data parallelism and FSDP see both.

    kept: rows (N,) of the training set that are of another domain, where it has batch statistics of its own.
    """

    kept: Tensor | None

    def __init__(self, model: nn.Module, objective: Objective, kept: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("kept", kept, persistent=False)
        self.model, self.objective = model, objective
        self.takes_cameras: bool = getattr(model, "takes_cameras", False)

    def train(self, mode: bool = True) -> Step:
        """As usual, but batch normalizations that are frozen keep their statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm) and module.affine and not module.weight.requires_grad:
                module.eval()
        return self

    def forward(self, batch: Batch) -> LossReport:
        return self.losses(self.look(batch), batch)

    def look(self, batch: Batch) -> ReIDOutput:
        """Forward pass of the model, with the cameras where the model takes them."""
        cameras = (batch.camids,) if self.takes_cameras else ()
        with self.domains(batch):
            output: ReIDOutput = self.model(batch.images, *cameras)
        return output

    def domains(self, batch: Batch) -> AbstractContextManager[None]:
        """Batch statistics are told the rows of either domain, where there are two."""
        return nullcontext() if self.kept is None else two_domains(self.kept[batch.index])

    def losses(self, output: ReIDOutput, batch: Batch) -> LossReport:
        """The objective alone, on an output of the model for `batch`."""
        report: LossReport = self.objective(output, batch)
        return report

    def outputs(self, batch: Batch) -> dict[str, Tensor]:
        """The model alone: its outputs that the objective uses, as `kind.name`."""
        named = flatten(self.look(batch))
        used = self.objective.inputs(named)
        return {name: tensor for name, tensor in named.items() if name in used}

    def compile_parts(self) -> None:
        """torch.compile for the model and the objective, all but the memories and the losses that follow the clock.

        A memory grows, and each length would be compiled anew; a clocked loss draws on the processor, and would be
        compiled in thirty pieces for a millisecond's work.
        """
        for module in self.objective.terms.modules():
            if isinstance(module, losses.CrossBatchMemory | losses.PseudoLabelLoss | losses.Clocked):
                module.forward = torch.compiler.disable(module.forward)  # type: ignore[no-untyped-call]
        self.model.compile()
        self.objective.compile()
