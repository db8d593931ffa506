"""Must-link and cannot-link pairs of crops: from frames, and from a user's corrections.

`apart`: crops of one frame show different people.  Corrections by hand are pairs of picture names, kept in a JSON
file, and hold in every later clustering of these pictures.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from resight.clustering.agglomerative import agglomerate, renumbered
from resight.clustering.density import LEFT_OUT
from resight.errors import CheckpointError, UsageError
from resight.files import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from resight.clustering.graph import NeighborGraph

Pair = tuple[int, int]


def one_frame(camids: Sequence[int], frames: Sequence[int | None]) -> list[Pair]:
    """All pairs of crops taken by one camera in one frame, which show two people.

    Args:
        camids: (N,).
        frames: (N,); a crop whose frame is None is in no pair.

    Returns:
        Pairs of rows.
    """
    seen: dict[tuple[int, int], list[int]] = defaultdict(list)
    for item, (camera, frame) in enumerate(zip(camids, frames, strict=True)):
        if frame is not None:
            seen[camera, frame].append(item)
    return [pair for items in seen.values() for pair in combinations(items, 2)]


@dataclass
class Corrections:
    """Pairs of picture names that somebody put together (`merge`) or apart (`split`)."""

    merge: list[tuple[str, str]] = field(default_factory=list)
    split: list[tuple[str, str]] = field(default_factory=list)

    def add(self, merge: Sequence[tuple[str, str]], split: Sequence[tuple[str, str]]) -> None:
        """Newer ones take the place of older ones about the same pair."""
        for pairs, own, opposite in ((merge, self.merge, self.split), (split, self.split, self.merge)):
            for one, other in pairs:
                pair = (min(one, other), max(one, other))
                if one == other:
                    raise UsageError(f"{one} is given twice; a correction names two pictures.")
                if pair in opposite:
                    opposite.remove(pair)
                if pair not in own:
                    own.append(pair)

    def rows(self, names: Mapping[str, int]) -> tuple[list[Pair], list[Pair]]:
        """(merge, split) as rows of the pictures; a pair with a picture that is gone is passed over."""
        merge, split = (
            [(names[one], names[other]) for one, other in pairs if one in names and other in names]
            for pairs in (self.merge, self.split)
        )
        return merge, split

    def save(self, path: Path) -> None:
        text = json.dumps({"merge": self.merge, "split": self.split}, indent=1)
        write_text(path, text + "\n")

    @classmethod
    def load(cls, path: Path) -> Corrections:
        """None yet where there is no file.  Raises CheckpointError for a file that is something else."""
        if not path.is_file():
            return cls()
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            merge, split = ([(str(a), str(b)) for a, b in held[name]] for name in ("merge", "split"))
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(
                f"{path} is not a file of corrections: expected merge and split, lists of two picture names each. "
                f"Mend it, or remove it to begin without corrections."
            ) from error
        return cls(merge, split)


def constrain(
    graph: NeighborGraph, labels: NDArray[np.int64], apart: Sequence[Pair], together: Sequence[Pair] = ()
) -> NDArray[np.int64]:
    """Labels in which `together` and `apart` hold, changed as little as that needs.

    Clusters with members that must be together become one; a cluster with members that must be apart is put together
    anew from its members by average linkage that keeps them apart.  Of its pieces, single items are left out.

    Args:
        graph: distances of N items.
        labels: (N,) clusters, below 0 where left out.
        apart: pairs of items that show two people.
        together: pairs of items that show one.

    Returns:
        (N,) labels, numbered anew where anything had to change.
    """
    labels = _joined(labels, together)
    broken = {int(labels[a]) for a, b in apart if labels[a] == labels[b] and labels[a] >= 0}
    if not broken:
        return labels
    labels, following = labels.copy(), int(labels.max()) + 1
    inside: dict[int, list[Pair]] = defaultdict(list)
    linked: dict[int, list[Pair]] = defaultdict(list)
    for pairs, held in ((apart, inside), (together, linked)):
        for a, b in pairs:
            if labels[a] == labels[b]:
                held[int(labels[a])].append((a, b))
    for label in sorted(broken):
        members = np.flatnonzero(labels == label)
        place = {int(item): row for row, item in enumerate(members)}
        near = [[(place[a], place[b]) for a, b in pairs[label]] for pairs in (inside, linked)]
        pieces = agglomerate(graph.among(members), 1.0, apart=near[0], together=near[1])
        alone = np.bincount(pieces)[pieces] == 1
        labels[members] = np.where(alone, LEFT_OUT, following + pieces)
        following += int(pieces.max()) + 1
    return renumbered(labels)


def _joined(labels: NDArray[np.int64], together: Sequence[Pair]) -> NDArray[np.int64]:
    labels = labels.copy()
    for one, other in together:
        mine, theirs = int(labels[one]), int(labels[other])
        if mine < 0 and theirs < 0:
            labels[[one, other]] = labels.max() + 1
        elif mine < 0 or theirs < 0:
            labels[[one, other]] = max(mine, theirs)
        else:
            labels[labels == theirs] = mine
    return renumbered(labels) if together else labels
