"""A term of the objective: one loss on named outputs of the model.

A term is (loss, on, target, weight).  `on` names outputs of the model, `features.global` or `logits.part/*`;
`target` names labels of the batch: `pids`, `camids`, `attributes.NAME`, or nothing for losses on maps or pairs.
Models and losses do not depend on each other; a term joins them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from resight import losses
from resight.dist import sum_over_ranks
from resight.errors import RecipeError
from resight.types import IGNORE, Batch, ReIDOutput

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a loss may be given, by what it takes.  Losses on maps also take what the maps gather, which are features.
OUTPUTS = {"features": ("features.",), "logits": ("logits.",), "maps": ("maps.", "features."), "pair": ("",)}


@dataclass(frozen=True)
class TermConfig:
    """One line of the objective.  `options` are the named loss's own."""

    name: str
    loss: str
    on: str | tuple[str, ...]
    target: str = "pids"
    weight: float = 1.0
    combine: Literal["mean", "sum"] = "mean"  # over the outputs that `on` matches
    memory: int = 0  # descriptors of earlier batches that anchors also meet (losses over distances); 0: none
    memory_start: int = 0  # step from which on they are kept
    options: dict[str, Any] = field(default_factory=dict)


class Term(nn.Module):
    """A loss bound to the outputs it is computed on."""

    def __init__(
        self, config: TermConfig, offers: Mapping[str, tuple[int, ...]], num_ids: int, seed: int = 0
    ) -> None:  # fmt: skip
        super().__init__()
        self.config = config
        patterns = (config.on,) if isinstance(config.on, str) else tuple(config.on)
        self.matches = [_matching(pattern, config, offers) for pattern in patterns]
        if len({len(match) for match in self.matches}) != 1:
            counts = " and ".join(str(len(match)) for match in self.matches)
            raise RecipeError(f"on: the patterns match {counts} outputs; a pair needs as many on each side.")
        self.loss = losses.build(config.loss, **_options(config, offers[self.matches[0][0]], num_ids, seed))
        self.memories = nn.ModuleList(self._memories(offers) if config.memory else [])

    @property
    def outputs(self) -> set[str]:
        """The names of all outputs it is computed on."""
        return {name for matched in self.matches for name in matched}

    def forward(self, named: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """named: every output as `kind.name`.  Returns ()."""
        if self.loss.takes == "maps":
            return self._call([named[name] for name in self.matches[0]])
        values = []
        for number, row in enumerate(zip(*self.matches, strict=True)):
            arguments = [named[name] for name in row]
            target = None if self.loss.takes == "pair" else self._target(row[0], batch)
            if target is None:
                values.append(self._call(*arguments))
            elif self.memories:
                values.append(self.memories[number](*arguments, target, batch.index))
            elif isinstance(self.loss, losses.MetricLoss | losses.PseudoLabelLoss):  # which look at the pictures' rows
                values.append(self._call(*arguments, target, batch.index))
            elif self._annotated(target):  # a head without annotated rows is left out of the mean
                values.append(self._call(*arguments, target))
        if not values:
            return sum((named[name].sum() for name in self.matches[0]), start=torch.zeros(())) * 0.0
        stacked = torch.stack(values)
        return stacked.mean() if self.config.combine == "mean" else stacked.sum()

    def _memories(self, offers: Mapping[str, tuple[int, ...]]) -> list[losses.CrossBatchMemory]:
        """The loss with a memory for each output, whose descriptors are not those of another.  Raises RecipeError."""
        if not isinstance(self.loss, losses.MetricLoss) or self.loss.networks > 1:
            metric = ", ".join(name for name, kind in losses.LOSSES.items() if issubclass(kind, losses.MetricLoss))
            raise RecipeError(f"memory: {self.config.loss} compares no descriptors; losses that do are {metric}.")
        size, start = self.config.memory, self.config.memory_start
        return [losses.CrossBatchMemory(self.loss, size, offers[name][1], start) for name in self.matches[0]]

    def _call(self, *arguments: Any) -> Tensor:
        value: Tensor = self.loss(*arguments)
        return value

    def _annotated(self, target: Tensor) -> bool:
        """Whether any picture of the whole batch has a label; only attributes may be without."""
        if not self.config.target.startswith("attributes."):
            return True
        return bool(sum_over_ranks((target != IGNORE).sum()))

    def _target(self, output: str, batch: Batch) -> Tensor | None:
        where = self.config.target
        if where in ("", "none"):
            return None
        if where == "pids":
            return batch.pids
        if where == "camids":
            return batch.camids
        name = where.removeprefix("attributes.")
        if name == "*":
            name = output.rsplit("/", 1)[-1]
        if name not in batch.attributes:
            known = ", ".join(sorted(batch.attributes)) or "none"
            raise RecipeError(f"{self.config.name}.target: the data have no attribute {name!r}; they have {known}.")
        return batch.attributes[name]


def flatten(output: ReIDOutput) -> dict[str, Tensor]:
    """{`features.NAME`, `logits.NAME`, `maps.NAME`: tensor}."""
    kinds = (("features", output.features), ("logits", output.logits), ("maps", output.maps))
    return {f"{kind}.{name}": tensor for kind, tensors in kinds for name, tensor in tensors.items()}


def unflatten(named: Mapping[str, Tensor]) -> ReIDOutput:
    """The output whose `flatten` is `named`."""
    kinds: dict[str, dict[str, Tensor]] = {"features": {}, "logits": {}, "maps": {}}
    for full, tensor in named.items():
        kind, name = full.split(".", 1)
        kinds[kind][name] = tensor
    return ReIDOutput(**kinds)


def offered(output: ReIDOutput) -> dict[str, tuple[int, ...]]:
    """Name and shape of every output, from one forward pass in training, on the meta device for instance."""
    return {name: tuple(tensor.shape) for name, tensor in flatten(output).items()}


def _matching(pattern: str, config: TermConfig, offers: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The outputs a pattern names.  Raises RecipeError with what the model offers."""
    found = [name for name in offers if fnmatchcase(name, pattern)]
    kind = losses.LOSSES[config.loss].takes if config.loss in losses.LOSSES else "pair"
    fit = [name for name in offers if name.startswith(OUTPUTS[kind])]
    if not found:
        raise RecipeError(f"on: no output {pattern!r}; the model offers {', '.join(fit) or 'none of that kind'}.")
    wrong = next((name for name in found if name not in fit), None)
    if wrong:
        raise RecipeError(f"on: {config.loss} takes {kind}, and {wrong!r} is not; the model offers {', '.join(fit)}.")
    return found


def _options(config: TermConfig, shape: tuple[int, ...], num_ids: int, seed: int) -> dict[str, Any]:
    """The term's options and what others know: the width it takes, the identities, the run's seed."""
    if config.loss not in losses.LOSSES:
        return config.options
    known = losses.options_of(config.loss)
    given = {"dim": shape[1], "num_ids": num_ids, "seed": seed}
    return {name: value for name, value in given.items() if name in known} | config.options
