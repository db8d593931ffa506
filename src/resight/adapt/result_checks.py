"""Signs of a bad adaptation, found without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FEWEST_GROUPS = 10  # to learn from
LOST_GROUPS, MOST_LEFT_OUT, LARGEST_GROUP, FORGOTTEN = 0.5, 0.8, 0.2, 0.5  # beyond these the result is doubted


def advice(clusterings: Sequence[Mapping[str, Any]], pictures: int, before: float, after: float) -> list[str]:
    """Signs of a bad result, one sentence each, found without labels.

    Args:
        clusterings: what each clustering of the run was like, in order.
        pictures: how many there were.
        before: mAP of the starting model on the bundled synthetic people, whose names are known.
        after: that of the result.
    """
    said = []
    if clusterings:
        first, last = clusterings[0], clusterings[-1]
        if first["clusters"] < FEWEST_GROUPS:
            said.append(f"Only {first['clusters']} groups were found to begin with: too few people to learn from.")
        if last["clusters"] < LOST_GROUPS * first["clusters"]:
            said.append(f"The groups fell from {first['clusters']} to {last['clusters']}: people were merged.")
        if last["left_out"] > MOST_LEFT_OUT:
            said.append(f"{last['left_out']:.0%} of the pictures fit no group: little was learnt from.")
        if last["clusters"] >= FEWEST_GROUPS and last["largest"] > LARGEST_GROUP * pictures:
            said.append(f"One group holds {last['largest']} of {pictures} pictures: many people look like one.")
    if after < FORGOTTEN * before:
        said.append(
            f"On the bundled people mAP fell from {before:.1%} to {after:.1%}: much of what tells people apart is lost."
        )
    return said
