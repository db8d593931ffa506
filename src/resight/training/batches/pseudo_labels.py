"""Pseudo labels: identities from clustering the descriptors of the training pictures, again every epoch.

At the start of an epoch all pictures are described, grouped by `resight.clustering`, and the groups become the labels
of the batches and the classes of the losses.  No label of the data is read.  What a clustering gives depends on the
weights alone, so a run that is resumed at the start of an epoch makes the same one; inside an epoch the labels are
part of the saved state.

With `labels.keep` some pictures come with their person (domain adaptation, SpCL section 3.1): these are classes beside
the clusters, and no cluster takes them in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from resight.clustering import ClusterConfig, centered, cluster, require_scikit_learn
from resight.data.transfer import to_device
from resight.dist import rank, sum_over_ranks, world_size
from resight.dist.processes import gather_objects, on_rank_zero
from resight.errors import RecipeError, TrainingError
from resight.losses import PseudoLabelLoss
from resight.options import Count
from resight.precision import lift
from resight.training.objective.objective import Objective
from resight.training.objective.terms import Term, flatten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from resight.clustering import Clusters
    from resight.models import ReIDModel
    from resight.training.batches.feed import Feed
    from resight.training.clock import Clock

DESCRIPTOR = "descriptor"
FEWEST = 2  # clusters a loss needs


@dataclass(frozen=True)
class LabelsConfig:
    """Where the identities of the training pictures come from: the data, or clusters of their descriptors."""

    source: Literal["data", "clusters"] = "data"
    every: Count = 1  # epochs a clustering lasts
    center_cameras: bool = False  # subtract each camera's mean descriptor before clustering
    outliers: Literal["leave_out", "own"] = "leave_out"  # what is in no cluster: unused, or a class of its own each
    keep: bool = False  # pictures whose person is given keep it, as half of every batch; else no label is read
    separate_statistics: bool = False  # with `keep`: batch normalisation of either half by its own statistics
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    def __post_init__(self) -> None:
        if self.separate_statistics and not self.keep:
            raise RecipeError("labels.separate_statistics is about the halves that labels.keep makes; set that, too.")


class PseudoLabels:
    """The clusters of a run: found by `renew`, given to the feed and to the losses with a memory of clusters."""

    def __init__(
        self,
        config: LabelsConfig,
        objective: Objective,
        feed: Feed,
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self.config, self.feed, self.autocast = config, feed, autocast
        self.losses = memories(objective)
        require_scikit_learn()
        self.kept, self.given = feed.kept, feed.labels.pids  # rows whose person is known, and who it is
        self.independence: float | None = None  # of clusters, as the first clustering sets it
        self.found = np.zeros(0, np.int32)  # group of each new picture, below 0 for none
        self._news: dict[str, Any] | None = None

    def due(self, clock: Clock) -> bool:
        """Whether the next step begins an epoch with clusters of its own."""
        return clock.step % (clock.steps_per_epoch * self.config.every) == 0

    def renew(self, model: ReIDModel) -> None:
        """Describe, cluster, relabel.  Raises TrainingError where there is nothing to tell apart."""
        described = describe(model, self.feed, {output for _, output in self.losses}, self.autocast)
        camids, new = self.feed.labels.camids, ~self.kept
        vectors = described[DESCRIPTOR].float().cpu()
        found = on_rank_zero(lambda: self._clusters(vectors[new].numpy(), camids[new].numpy(), model))
        if found.count < FEWEST:
            raise TrainingError(
                f"{len(found.labels)} pictures gave {found.count} groups of alike ones, and learning needs at least "
                f"{FEWEST} people to tell apart. Give more pictures, of several people, or the model as it is."
            )
        self.independence, self.found = found.independence, found.labels.astype(np.int32)
        labels = self._classes(torch.tensor(found.labels), found.count)
        self.feed.relabel(labels)
        for loss, output in self.losses:
            loss.begin(described[output], labels.to(described[output].device), camids.to(described[output].device))
        self._news = found.facts()

    def parameters(self) -> Iterator[nn.Parameter]:
        """What the losses learn for each cluster, and begin anew with every clustering."""
        return (parameter for loss, _ in self.losses for parameter in loss.parameters())

    @property
    def pictures(self) -> list[Path]:
        """The new pictures, in the order of `found`."""
        samples = self.feed.pixels.samples
        return [sample.path for sample, kept in zip(samples, self.kept.tolist(), strict=True) if not kept]

    def news(self) -> dict[str, Any] | None:
        """Statistics of the last clustering, returned once."""
        news, self._news = self._news, None
        return news

    def _classes(self, found: Tensor, count: int) -> Tensor:
        """Clusters of the new pictures, then what is in none if it counts, then the known persons: (N,)."""
        if self.config.outliers == "own":
            alone = found < 0
            found[alone] = count + torch.arange(int(alone.sum()))
        labels = self.given + int(found.max()) + 1
        labels[~self.kept] = found
        return labels

    def _clusters(self, vectors: NDArray[np.float32], camids: NDArray[np.int64], model: ReIDModel) -> Clusters:
        if self.config.center_cameras:
            vectors = centered(vectors, camids)
        return cluster(vectors, self.config.cluster, metric=model.metric, independence=self.independence)

    def state_dict(self) -> dict[str, Any]:
        """State that later clusterings depend on, beside the weights."""
        return {"independence": self.independence}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.independence = state["independence"]


def memories(objective: Objective) -> list[tuple[PseudoLabelLoss, str]]:
    """The losses with a memory of clusters, each with the output it is computed on.  Raises RecipeError."""
    found = []
    for name, term in objective.terms.items():
        loss, outputs = cast("Term", term).loss, sorted(cast("Term", term).outputs)
        if isinstance(loss, PseudoLabelLoss):
            if len(outputs) != 1:
                raise RecipeError(
                    f"objective.terms.{name}: a memory of clusters belongs to one output, and {', '.join(outputs)} "
                    f"match. Give each its own term."
                )
            found.append((loss, outputs[0]))
    return found


@torch.no_grad()
def describe(
    model: ReIDModel,
    feed: Feed,
    outputs: Iterable[str],
    autocast: Callable[[], AbstractContextManager[Any]],
    batch_size: int = 256,
) -> dict[str, Tensor]:
    """The `descriptor` and some named outputs of all training pictures, as they are, (N, D) on the device,
    half precision lifted to float32.

    Descriptors are of unit length where the model's metric is cosine.  Processes take turns batch by batch, so all get
    what one would find.
    """
    was_training = model.training
    model.to(feed.device).eval()
    count, names = len(feed.pixels), {DESCRIPTOR, *outputs}
    whole: dict[str, Tensor] = {}
    for start in range(rank() * batch_size, count, world_size() * batch_size):
        rows = np.arange(start, min(start + batch_size, count))
        with autocast():
            output = model(to_device(feed.pixels.take(rows), feed.device))
        found = flatten(output) | {DESCRIPTOR: model.descriptor(output.features)}
        for name in names:
            part = lift(found[name])
            if name == DESCRIPTOR and model.metric == "cosine":
                part = nn.functional.normalize(part, dim=1)
            whole.setdefault(name, part.new_zeros(count, part.shape[1]))[start : start + len(rows)] = part
    model.train(was_training)
    return whole if world_size() == 1 else _from_all(whole, count, feed.device)


def _from_all(mine: dict[str, Tensor], count: int, device: torch.device) -> dict[str, Tensor]:
    """The rows of all processes together; one that had no batch gives none."""
    kinds: dict[str, tuple[int, torch.dtype]] = {}
    for theirs in gather_objects({name: (rows.shape[1], rows.dtype) for name, rows in mine.items()}):
        kinds |= theirs
    empty = {name: torch.zeros(count, kinds[name][0], dtype=kinds[name][1], device=device) for name in sorted(kinds)}
    return {name: sum_over_ranks(mine.get(name, rows)) for name, rows in empty.items()}
