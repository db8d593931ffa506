from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.data import PKSampler, RandomSampler
from resight.errors import DatasetError, UsageError
from resight.types import UNKNOWN_CAMERA

people = st.lists(st.integers(1, 12), min_size=4, max_size=12).map(
    lambda counts: np.repeat(np.arange(len(counts)) * 7, counts)
)


@settings(max_examples=60, deadline=None)
@given(people, st.integers(2, 4), st.integers(2, 5), st.integers(0, 3))
def test_a_batch_is_p_persons_with_k_pictures_each(pids: np.ndarray, p: int, k: int, epoch: int) -> None:
    sampler = PKSampler(pids, p, k, seed=1)
    batches = sampler.epoch(epoch)
    for batch in batches:
        assert len(batch) == p * k and batch.dtype == np.int64
        assert sorted(Counter(pids[batch].tolist()).values()) == [k] * p
        assert all(len(set(pids[block])) == 1 for block in batch.reshape(p, k))
    assert sampler.length(epoch) == len(batches)
    assert len(sampler) == len(sampler.epoch(0))


@settings(max_examples=60, deadline=None)
@given(people, st.integers(2, 5))
def test_long_persons_repeat_nothing_and_short_ones_repeat_evenly(pids: np.ndarray, k: int) -> None:
    have = Counter(pids.tolist())
    rows = np.concatenate([*PKSampler(pids, 2, k, seed=5).epoch(0), np.empty(0, np.int64)])
    shown = Counter(rows.tolist())
    for pid, n in have.items():
        times = [shown[row] for row in np.flatnonzero(pids == pid)]
        if n >= k:
            assert max(times) <= 1 and sum(times) % k == 0
        elif any(times):
            assert set(times) <= {k // n, -(-k // n)} and sum(times) == k


def test_the_epoch_ends_when_fewer_than_p_persons_have_groups_left() -> None:
    pids = np.repeat([0, 1, 2], [12, 4, 4])  # 3, 1, 1 groups of 4
    for epoch in range(20):
        batches = PKSampler(pids, 2, 4, seed=0).epoch(epoch)
        used = Counter(int(pids[batch[i * 4]]) for batch in batches for i in range(2))
        left = [pid for pid, groups in {0: 3, 1: 1, 2: 1}.items() if used[pid] < groups]
        assert len(left) < 2 and len(batches) in (1, 2)


def test_skipping_leaves_short_persons_out() -> None:
    pids = np.repeat([0, 1, 2, 3], [8, 9, 7, 16])
    for batch in PKSampler(pids, 2, 8, short_id="skip").epoch(0):
        assert 2 not in pids[batch]
    with pytest.raises(DatasetError, match="p is 4, and there are 3 persons with at least 8 pictures"):
        PKSampler(pids, 4, 8, short_id="skip")


def test_everybody_comes_once_an_epoch_on_request() -> None:
    """As Mancs is trained: 30 persons of 3 to 40 pictures, 7 batches of 4 persons; each picture's turn comes."""
    pids = np.repeat(np.arange(30), np.random.default_rng(0).integers(3, 41, 30))
    sampler, seen = PKSampler(pids, 4, 6, visits="once"), set()
    for epoch in range(60):
        batches = sampler.epoch(epoch)
        assert len(batches) == 30 // 4
        people = [pid for batch in batches for pid in set(pids[batch].tolist())]
        assert len(people) == len(set(people)) == 28
        assert all(len(set(batch.tolist())) == min(6, (pids == pids[batch[0]]).sum()) for rows in batches
                   for batch in rows.reshape(4, 6))  # fmt: skip
        seen |= {row for batch in batches for row in batch.tolist()}
    assert seen == set(range(len(pids)))
    with pytest.raises(UsageError, match="choose all or once"):
        PKSampler(pids, 4, 6, visits="twice")  # type: ignore[arg-type]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_ranks_together_are_one_process(world: int) -> None:
    pids = np.repeat(np.arange(20), 9)
    alone = PKSampler(pids, 8, 4, seed=2).epoch(3)
    parts = [PKSampler(pids, 8, 4, seed=2, rank=rank, world=world).epoch(3) for rank in range(world)]
    for batch, *shares in zip(alone, *parts, strict=True):
        np.testing.assert_array_equal(batch, np.concatenate(shares))
        persons = [set(pids[share].tolist()) for share in shares]
        assert sum(map(len, persons)) == len(set.union(*persons)) == 8


@pytest.mark.parametrize("world", [1, 2, 4])
def test_random_ranks_together_are_one_process(world: int) -> None:
    alone = RandomSampler(103, 8, seed=2).epoch(1)
    parts = [RandomSampler(103, 8, seed=2, rank=rank, world=world).epoch(1) for rank in range(world)]
    for batch, *shares in zip(alone, *parts, strict=True):
        np.testing.assert_array_equal(batch, np.concatenate(shares))
        assert {len(share) for share in shares} == {8 // world}


def test_random_batches_show_each_picture_once() -> None:
    sampler = RandomSampler(103, 8, seed=0)
    rows = np.concatenate(sampler.epoch(0))
    assert len(sampler) == sampler.length(5) == 12 and len(set(rows.tolist())) == len(rows) == 96


@pytest.mark.parametrize("kind", ["random", "pk"])
def test_seed_and_epoch_decide_everything(kind: str) -> None:
    def rows(seed: int, epoch: int) -> list[list[int]]:
        pids = np.repeat(np.arange(9), 6)
        sampler = RandomSampler(54, 8, seed=seed) if kind == "random" else PKSampler(pids, 4, 2, seed=seed)
        return [batch.tolist() for batch in sampler.epoch(epoch)]

    assert rows(1, 2) == rows(1, 2)
    assert rows(1, 2) != rows(1, 3) and rows(1, 2) != rows(2, 2)
    assert rows(1, 2) != rows(2, 1)


def test_the_stream_is_pinned() -> None:
    """The same on every system: a resumed run must see what the first would have."""
    assert RandomSampler(8, 4, seed=0).epoch(0)[0].tolist() == PINNED_RANDOM
    assert PKSampler(np.repeat(np.arange(4), 3), 2, 2, seed=0).epoch(0)[0].tolist() == PINNED_PK


PINNED_RANDOM = [2, 4, 3, 6]
PINNED_PK = [8, 6, 10, 11]


def test_cameras_are_spread_on_request() -> None:
    pids = np.repeat([0, 1], 12)
    camids = np.tile([1] * 6 + [2, 2, 2, 3, 3, 3], 2)
    for epoch in range(10):
        for batch in PKSampler(pids, 2, 4, seed=1, camids=camids, cam_balanced=True).epoch(epoch):
            for block in batch.reshape(2, 4):
                assert len(set(camids[block])) == 3  # 6, 3, 3 pictures in three groups: 2, 1, 1 each
    with pytest.raises(UsageError, match="pass camids"):
        PKSampler(pids, 2, 4, cam_balanced=True)


def test_a_short_person_shows_other_cameras_before_repeating() -> None:
    pids, camids = np.repeat([0, 1], 3), np.array([1, 1, 2] * 2)
    for batch in PKSampler(pids, 2, 5, seed=1, camids=camids, cam_balanced=True).epoch(0):
        for block in batch.reshape(2, 5):
            assert set(camids[block[:2]]) == {1, 2} and len(set(block[:3])) == 3


def test_unknown_cameras_are_not_one_camera() -> None:
    """Two unknown and two of camera 1: both unknown come before camera 1 has its second turn."""
    pids, camids = np.repeat([0, 1], 4), np.array([UNKNOWN_CAMERA, UNKNOWN_CAMERA, 1, 1] * 2)
    sampler = PKSampler(pids, 2, 5, camids=camids, cam_balanced=True)
    for epoch in range(10):
        for block in sampler.epoch(epoch)[0].reshape(2, 5):
            assert sorted(camids[block[:3]].tolist()) == [UNKNOWN_CAMERA, UNKNOWN_CAMERA, 1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"p": 2, "k": 1}, "at least 2 pictures"),
        ({"p": 3, "k": 2, "world": 2}, "cannot share"),
        ({"p": 2, "k": 2, "rank": 2, "world": 2}, "rank is 2"),
        ({"p": 2, "k": 2, "short_id": "x"}, "repeat or skip"),
    ],
)
def test_a_wrong_question_gets_a_sentence(arguments: dict[str, int], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        PKSampler(np.repeat([0, 1, 2], 4), **arguments)  # type: ignore[arg-type]


def test_too_few_persons_or_pictures_get_a_sentence() -> None:
    with pytest.raises(DatasetError, match="p is 5, and there are 3 persons"):
        PKSampler(np.repeat([0, 1, 2], 4), 5, 2)
    with pytest.raises(DatasetError, match="p is 1, and there are 0 persons"):
        PKSampler([], 1, 2)
    with pytest.raises(DatasetError, match="batch of 64 cannot be drawn from 40"):
        RandomSampler(40, 64)
    with pytest.raises(UsageError, match="cannot share"):
        RandomSampler(40, 9, world=2)
