"""Groups of a run over its clusterings: kept, split, merged, and the files they are in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from resight.clustering.history import compare, load_groups, members, pictures_of, save_groups
from resight.errors import CheckpointError


def labels(*groups: int) -> NDArray[np.int32]:
    return np.array(groups, np.int32)


def test_what_became_of_groups() -> None:
    #                 kept           split             merged with the next  dissolved
    earlier = labels(0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, -1)
    later = labels(5, 5, 5, 5, 5, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2, -1, -1, 5)
    found = compare(earlier, later)
    assert found.kept == (0,)
    assert found.split == (1,)
    assert found.merged == (2,)
    assert found.counts() == {"kept": 1, "split": 1, "merged": 1}


def test_other_numbers_are_no_change_and_the_largest_come_first() -> None:
    found = compare(labels(0, 0, 1, 1, 1, -1, 2, 2), labels(9, 9, 4, 4, 4, -1, 0, 0))
    assert found.kept == (1, 0, 2)
    assert found.split == found.merged == ()


def test_a_single_stray_picture_is_no_part() -> None:
    assert compare(labels(0, 0, 0, 0), labels(1, 1, 1, 0)).split == ()


def test_no_groups_at_all() -> None:
    nothing = labels(-1, -1)
    assert compare(nothing, nothing).counts() == {"kept": 0, "split": 0, "merged": 0}
    assert compare(labels(0, 0), nothing).kept == ()


def test_files(tmp_path: Path) -> None:
    assert load_groups(tmp_path) == []
    pictures = [tmp_path / "a b.jpg", tmp_path / "c.jpg"]
    save_groups(tmp_path, 0, labels(0, -1), pictures)
    save_groups(tmp_path, 3, labels(0, 0), pictures)
    save_groups(tmp_path, 3, labels(1, 1), pictures)  # again, after a resume
    first, last = load_groups(tmp_path)
    assert (first.epoch, last.epoch) == (0, 3)
    assert first.labels.tolist() == [0, -1]
    assert members(last.labels, 1).tolist() == [0, 1]
    assert pictures_of(tmp_path) == pictures
    (tmp_path / "clusters" / "0009.npy").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="0009"):
        load_groups(tmp_path)
