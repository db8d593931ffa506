"""Statistics of a data set for a data card: identities, images, cameras, sizes, brightness."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.data.dataset import SPLITS
from resight.types import DISTRACTOR, JUNK, UNKNOWN_CAMERA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from resight.data.dataset import Dataset
    from resight.data.doctor.image_checks import ImageFacts
    from resight.types import Sample


def statistics(dataset: Dataset, facts: Iterable[ImageFacts] = ()) -> dict[str, Any]:
    """Statistics of a data set as plain JSON values.

    Per split: identities, images, junk, distractors, images per identity and camera (five numbers each) and the
    camera-pair matrix (persons seen by both).  With facts of the pictures, also sizes and brightness.
    """
    facts = list(facts)
    return {
        "name": dataset.name,
        "version": dataset.version,
        "root": str(dataset.root),
        "terms": dataset.terms,
        "notes": list(dataset.notes),
        "splits": {split: _split(dataset.split(split)) for split in SPLITS},
        "pictures": _pictures([fact for fact in facts if fact.reason is None]),
        "unreadable": sum(fact.reason is not None for fact in facts),
    }


def _split(samples: Sequence[Sample]) -> dict[str, Any]:
    people = Counter(sample.pid for sample in samples if sample.pid > 0)
    cameras = Counter(sample.camid for sample in samples if sample.camid != UNKNOWN_CAMERA)
    return {
        "identities": len(people),
        "images": len(samples),
        "junk": sum(sample.pid == JUNK for sample in samples),
        "distractors": sum(sample.pid == DISTRACTOR for sample in samples),
        "unknown_camera": sum(sample.camid == UNKNOWN_CAMERA for sample in samples),
        "images_per_identity": five_numbers(list(people.values())),
        "images_per_camera": {str(camid): images for camid, images in sorted(cameras.items())},
        "camera_pairs": camera_pairs(samples),
    }


def camera_pairs(samples: Iterable[Sample]) -> dict[str, Any]:
    """Persons seen by each camera (diagonal) and by both of each two: cameras (C,) and matrix (C, C)."""
    seen: dict[int, set[int]] = defaultdict(set)
    for sample in samples:
        if sample.pid > 0 and sample.camid != UNKNOWN_CAMERA:
            seen[sample.camid].add(sample.pid)
    cameras = sorted(seen)
    return {"cameras": cameras, "persons": [[len(seen[a] & seen[b]) for b in cameras] for a in cameras]}


def _pictures(facts: Sequence[ImageFacts]) -> dict[str, Any]:
    if not facts:
        return {}
    cameras: dict[int, list[float]] = defaultdict(list)
    for fact in facts:
        cameras[fact.sample.camid].append(fact.brightness)
    return {
        "width": five_numbers([fact.width for fact in facts]),
        "height": five_numbers([fact.height for fact in facts]),
        "brightness": five_numbers([fact.brightness for fact in facts]),
        "brightness_per_camera": {str(camid): round(float(np.mean(v)), 1) for camid, v in sorted(cameras.items())},
    }


def five_numbers(values: Sequence[float]) -> dict[str, float]:
    """Minimum, quartiles and maximum; empty for nothing."""
    if not values:
        return {}
    cuts = np.percentile(np.asarray(values, np.float64), [0, 25, 50, 75, 100])
    return dict(zip(("min", "q1", "median", "q3", "max"), (round(float(cut), 1) for cut in cuts), strict=True))
