from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.data import load_dataset
from resight.reporting.dataset_statistics import SplitStatistics, data_statistics
from tests.people import write_people


def test_persons_shared_by_two_cameras_are_counted_without_nobody() -> None:
    pids, camids = [1, 1, 2, 2, 3, 0, 0, -1], [1, 2, 1, 1, 2, 1, 2, 1]
    counts = SplitStatistics.of("gallery", pids, camids, nobody=(-1, 0))
    assert (counts.images, counts.identities, counts.nobody, counts.unseen) == (8, 3, 3, 0)
    assert SplitStatistics.of("query", [4, 5], [1, -1], nobody=(-1, 0)).unseen == 1
    assert counts.shared == {(1, 1): 2, (2, 2): 2, (1, 2): 1, (2, 1): 1}


def test_brightness_is_that_of_each_camera(tmp_path: Path) -> None:
    root = write_people(tmp_path / "people")
    for path in root.rglob("*.jpg"):
        level = 40 if "_c1" in path.name else 200
        Image.fromarray(np.full((64, 32, 3), level, np.uint8)).save(path)
    found = data_statistics(load_dataset("market", root=root), None, seed=0)
    assert found is not None
    assert found.brightness == pytest.approx({1: 40, 2: 200}, abs=1)
    assert {split.split for split in found.splits} == {"train", "query", "gallery"}
