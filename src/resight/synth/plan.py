"""The list of pictures of a data set: names, splits, the cameras of each identity, look-alikes.

File names follow Market-1501 (Zheng et al., ICCV 2015): PPPP_cCsS_FFFFFF_BB.jpg with person, camera, sequence, frame
and box; person 0000 is a distractor, -1 junk.  As there, the query holds one picture per test identity and camera;
where a camera has no second one to leave in the gallery, only the first camera asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from resight.synth.streams import stream
from resight.types import DISTRACTOR, JUNK, Split

if TYPE_CHECKING:
    from resight.synth.config import SynthConfig

VISIT = 8  # pictures of one walk past a camera; more than that is another visit
FOLDERS: dict[Split, str] = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


@dataclass(frozen=True)
class Item:
    """One picture to make.  For distractors and junk, `index` counts them; `shown` is the identity in a junk box."""

    folder: str
    name: str
    split: Split
    kind: Literal["person", "distractor", "junk"]
    pid: int
    camera: int
    sequence: int
    frame: int
    index: int
    shown: int

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}"


def cameras_of(config: SynthConfig, pid: int) -> list[int]:
    """The cameras, from 1, that see an identity: two at least."""
    draw = stream(config.seed, "seen", pid)
    order = draw.permutation(config.cameras) + 1
    count = max(2, int((draw.random(config.cameras) < config.seen).sum()))
    return sorted(int(camera) for camera in order[:count])


def wardrobes(config: SynthConfig) -> dict[int, int]:
    """Identity -> number of its wardrobe.  Look-alikes, in twos and threes within a split, share one.

    One person a split may be left over and have a wardrobe of their own.
    """
    wears = {pid: pid for pid in range(1, config.identities + 1)}
    half = config.train_identities
    for part, pids in enumerate((range(1, half + 1), range(half + 1, config.identities + 1))):
        draw = stream(config.seed, "lookalikes", part)
        chosen = [int(pid) for pid in draw.permutation(list(pids))[: round(config.lookalikes * len(pids))]]
        while len(chosen) >= 2:
            size = len(chosen) if len(chosen) <= 3 else int(draw.integers(2, 4))
            group, chosen = chosen[:size], chosen[size:]
            wears.update(dict.fromkeys(group, min(group)))
    return wears


def plan(config: SynthConfig) -> list[Item]:
    """Every picture of the data set, sorted by path."""
    items = [item for pid in range(1, config.identities + 1) for item in _person(config, pid)]
    items += [_other(config, "distractor", index) for index in range(config.distractors)]
    items += [_other(config, "junk", index) for index in range(config.junk)]
    return sorted(items, key=lambda item: item.path)


def _person(config: SynthConfig, pid: int) -> list[Item]:
    made = []
    cameras = cameras_of(config, pid)
    asked = set() if pid <= config.train_identities else set(cameras[:1] if config.images == 1 else cameras)
    for camera in cameras:
        draw = stream(config.seed, "frames", pid, camera)
        query = int(draw.integers(config.images)) if camera in asked else -1
        start = int(draw.integers(1, 60_000))
        for index in range(config.images):
            frame = start + 400 * (index // VISIT) + 25 * (index % VISIT) + int(draw.integers(0, 20))
            split: Split = "train" if not asked else "query" if index == query else "gallery"
            made.append(_item(split, "person", pid, camera, index // VISIT + 1, frame, index, pid))
    return made


def _other(config: SynthConfig, kind: Literal["distractor", "junk"], index: int) -> Item:
    draw = stream(config.seed, kind, index)
    camera = int(draw.integers(1, config.cameras + 1))
    shown = int(draw.integers(config.train_identities + 1, config.identities + 1))
    pid = DISTRACTOR if kind == "distractor" else JUNK
    return _item("gallery", kind, pid, camera, 1, 61_000 + 10 * index, index, shown)


def _item(
    split: Split,
    kind: Literal["person", "distractor", "junk"],
    pid: int,
    camera: int,
    sequence: int,
    frame: int,
    index: int,
    shown: int,
) -> Item:
    number = f"{pid:04d}" if pid >= 0 else "-1"
    box = 0 if split == "query" else 1 + index % 9
    name = f"{number}_c{camera}s{sequence}_{frame:06d}_{box:02d}.jpg"
    return Item(FOLDERS[split], name, split, kind, pid, camera, sequence, frame, index, shown)
