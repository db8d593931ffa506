"""Configuration of batch sources: how each draws its batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from resight.dist import world_size
from resight.errors import RecipeError
from resight.options import Count

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class SourceConfig:
    """How one stream draws: `pk` = `ids` identities x `images` pictures each, `random` = `batch_size` pictures."""

    sampler: Literal["pk", "random"] = "pk"
    ids: Count = 16
    images: Count = 4
    batch_size: Count = 64  # of a random source
    short_id: Literal["repeat", "skip"] = "repeat"  # identities with fewer than `images` pictures
    visits: Literal["all", "once"] = "all"  # a pass shows all pictures of an identity, or `images` of them
    balance_cameras: bool = False

    @property
    def size(self) -> int:
        return self.ids * self.images if self.sampler == "pk" else self.batch_size

    @property
    def step(self) -> int:
        """Rows of a batch that stay together: the pictures of an identity."""
        return self.images if self.sampler == "pk" else 1

    def half(self) -> SourceConfig:
        """The same with batches of half the size, shared by all processes."""
        world = world_size()
        ids, size = (max(count // 2 // world * world, world) for count in (self.ids, self.batch_size))
        return replace(self, ids=ids, batch_size=size)

    def fitting(self, ids: int, pictures: int) -> SourceConfig:
        """The same with batches no larger than so many identities and pictures allow, shared by all processes."""
        world = world_size()
        most_ids, most = max(ids // world * world, world), max(pictures // world * world, world)
        return replace(self, ids=min(self.ids, most_ids), batch_size=min(self.batch_size, most))


def check_processes(sources: Mapping[str, SourceConfig]) -> None:
    """Raises RecipeError where a batch cannot be dealt out to the processes of the run."""
    for name, config in sources.items():
        key, size = ("ids", config.ids) if config.sampler == "pk" else ("batch_size", config.batch_size)
        if size % world_size():
            raise RecipeError(
                f"feed.{name}.{key} is {size}, which {world_size()} processes cannot share. Choose a multiple of "
                f"{world_size()}, or start another number of processes."
            )
