"""The objective: all terms with their weights, and what they give for a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from resight import losses
from resight.dist import average_over_ranks
from resight.errors import OptionError, RecipeError, UnknownNameError, UsageError
from resight.training.objective.loss_report import LossReport
from resight.training.objective.terms import Term, TermConfig, flatten
from resight.training.objective.weighting import Weighting, WeightingConfig, build_weighting
from resight.types import Batch, ReIDOutput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from resight.training.clock import Clock


class Objective(nn.Module):
    """All terms.  `offers` is what the model gives, `num_ids` how many identities there are.

    seed: of losses that draw, unless a term's options name another.
    """

    def __init__(
        self,
        terms: Sequence[TermConfig],
        offers: Mapping[str, tuple[int, ...]],
        num_ids: int,
        sources: Sequence[str] = ("main",),
        weighting: WeightingConfig | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not terms:
            raise RecipeError("objective.terms: empty; name at least one loss.")
        built = {}
        for config in terms:
            if "." in config.name:  # the paths of settings are cut at dots
                raise RecipeError(f"objective.terms: found the name {config.name!r}; expected one without a dot.")
            try:
                built[config.name] = Term(config, offers, num_ids, seed)
            except UsageError as error:
                inner = {OptionError: ".", RecipeError: ".", UnknownNameError: ".loss: "}.get(type(error), ": ")
                raise RecipeError(f"objective.terms.{config.name}{inner}{error}") from error
        if len(built) != len(terms):
            raise RecipeError("objective.terms: two terms carry the same name; each name shows in the journal once.")
        self.networks = _networks(built)
        self.terms = nn.ModuleDict(built)
        weights = {config.name: config.weight for config in terms}
        self.weighting: Weighting = build_weighting(weighting or WeightingConfig(), weights, sources)

    @property
    def sampling(self) -> str:
        """The batch source the next step is fed from."""
        return self.weighting.sampling

    def inputs(self, names: Iterable[str]) -> set[str]:
        """Which of the model's outputs are used: those of the terms, and the first features, for the spread."""
        named = {name for term in self.terms.values() for name in cast("Term", term).outputs}
        first = next((name for name in names if name.startswith("features.")), None)
        return named if first is None else named | {first}

    def set_clock(self, clock: Clock) -> None:
        """Pass step and epoch to the losses with a schedule."""
        for module in self.terms.modules():
            if isinstance(module, losses.Clocked):
                module.set_clock(clock.step, clock.progress)

    def follow(self, decay: float) -> None:
        """After the optimizer's step: let the averages that losses keep follow."""
        for module in self.terms.modules():
            if isinstance(module, losses.Averaging):
                module.follow(decay)

    def forward(self, output: ReIDOutput, batch: Batch) -> LossReport:
        named = flatten(output)
        parts = {name: term(named, batch) for name, term in self.terms.items()}
        weights = self.weighting.weights(parts)
        counting = [weights[name] * part for name, part in parts.items() if weights[name]]
        total = torch.stack(counting or [0.0 * part for part in parts.values()]).sum()
        detached = {name: part.detach() for name, part in parts.items()}
        return LossReport(total, detached, weights, losses.valid_anchors(batch.pids), _spread(output))

    def advance(self, report: LossReport) -> None:
        """Update the weighting after the optimizer's step."""
        self.weighting.advance(report)


def _networks(terms: Mapping[str, Term]) -> int:
    """How many networks the terms judge, 1 or 2.  Raises RecipeError where they differ."""
    asked = {term.loss.networks for term in terms.values()}
    if len(asked) > 1:
        two = [name for name, term in terms.items() if term.loss.networks == 2]
        raise RecipeError(
            f"objective.terms: {', '.join(two)} judge two networks, the others one. A recipe has one network or two."
        )
    return asked.pop()


def _spread(output: ReIDOutput) -> Tensor:
    first = next(iter(output.features.values())).detach().float().flatten(1)
    unit = nn.functional.normalize(first, dim=1)
    spread: Tensor = 1.0 - torch.linalg.vector_norm(average_over_ranks(unit.mean(dim=0)))
    return spread
