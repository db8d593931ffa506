"""Curriculum sampling: the schedule, the chances of each rank, the draws, the loss."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from resight.errors import UnknownNameError, UsageError
from resight.losses import Curriculum, CurriculumTriplet, TriHard
from resight.losses.curriculum import draw_ranks
from resight.losses.distances import euclidean
from resight.losses.seeding import generator
from tests.losses.batches import SQUARE, numbers, people

EIGHTY = torch.tensor([80])
PAPER, RELEASE = Curriculum(), Curriculum.release()


@pytest.mark.parametrize(
    ("t", "mean", "release", "spread"),
    [
        (0, 80, 80, 15),
        (1, 77.3333, 77, 15),
        (10, 53.3333, 50, 15),
        (15, 40, 35, 15),
        (20, 26.6667, 20, 15),
        (26, 10.6667, 2, 15),
        (30, 0, 0, 15),
        (35, 0, 0, 4.74342),
        (40, 0, 0, 1.5),
        (45, 0, 0, 0.474342),
        (50, 0, 0, 0.15),
        (60, 0, 0, 0.015),
        (75, 0, 0, 4.74342e-4),
    ],
)
def test_schedule(t: float, mean: float, release: float, spread: float) -> None:
    n = EIGHTY.double()
    assert float(PAPER.mean(t, n)) == pytest.approx(mean, abs=1e-4)
    assert float(RELEASE.mean(t, n)) == pytest.approx(release, abs=1e-4)
    assert PAPER.spread(t) == RELEASE.spread(t) == pytest.approx(spread, rel=1e-5)


def test_the_spread_goes_on_shrinking_to_its_floor() -> None:
    spreads = [PAPER.spread(t) for t in range(200)]
    assert spreads[:31] == [15.0] * 31
    shrinking = [s for s in spreads[30:] if s > 1e-6]
    assert shrinking == sorted(shrinking, reverse=True)
    assert len(set(shrinking)) == len(shrinking)
    assert PAPER.spread(5000) == 1e-6


class Fixed(Curriculum):
    """A Gaussian held still, to look at the chances alone."""

    def __init__(self, mean: float, sigma: float, floor: float = 0.0) -> None:
        super().__init__(a=sigma, floor=floor)
        object.__setattr__(self, "centre", mean)

    def mean(self, t: float, n: torch.Tensor) -> torch.Tensor:
        return torch.full_like(n, vars(self)["centre"])


@pytest.mark.parametrize(
    ("fixed", "chances"),
    [
        (Fixed(5, 1.5), [0.002802, 0.020705, 0.098096, 0.297990, 0.580406]),
        (Fixed(2.5, 1.5), [0.074337, 0.180820, 0.282011, 0.282011, 0.180820]),
        (Fixed(0, 1.5), [0.420920, 0.337046, 0.173045, 0.056965, 0.012024]),
        (Fixed(0, 0.5), [0.880537, 0.119168, 0.000295, 0, 0]),
        (Fixed(0, 0.5, floor=3e-5), [0.880479, 0.119160, 0.000295, 0.000033, 0.000033]),
    ],
)
def test_chances_of_five_ranks(fixed: Curriculum, chances: list[float]) -> None:
    assert torch.allclose(fixed.probabilities(0, torch.tensor([5]))[0], numbers(chances), atol=1e-6)


def expected_rank(curriculum: Curriculum, t: float) -> float:
    p = curriculum.probabilities(t, EIGHTY)[0]
    return float(p @ torch.arange(80, dtype=torch.float64))


@pytest.mark.parametrize(
    ("curriculum", "t", "rank", "tolerance"),
    [
        (RELEASE, 0, 67.6339, 1e-4),
        (RELEASE, 10, 49.1343, 1e-4),
        (RELEASE, 15, 35.293, 1e-3),
        (RELEASE, 26, 12.4812, 1e-4),
        (RELEASE, 30, 11.7222, 1e-4),
        (RELEASE, 45, 0.1991, 1e-4),
        (PAPER, 15, 39.969, 1e-3),
        (PAPER, 30, 11.654, 1e-3),
    ],
)
def test_expected_rank_of_eighty(curriculum: Curriculum, t: float, rank: float, tolerance: float) -> None:
    assert expected_rank(curriculum, t) == pytest.approx(rank, abs=tolerance)


def test_chances_of_eighty() -> None:
    start = RELEASE.probabilities(0, EIGHTY)[0]
    assert int(start.argmax()) == 79
    assert float(start[0]) == pytest.approx(6.2e-5, abs=1e-6)
    assert float(start[60:].sum()) == pytest.approx(0.8226, abs=1e-4)
    assert int((start == start.min()).sum()) == 25
    modes = [int(RELEASE.probabilities(t, EIGHTY)[0].argmax()) for t in (10, 26, 30)]
    assert modes == [50, 2, 0]
    assert int(PAPER.probabilities(15, EIGHTY)[0].argmax()) == 40
    hardest = {
        (RELEASE, 30): 0.051752,
        (RELEASE, 45): 0.899885,
        (RELEASE, 60): 0.999911,
        (PAPER, 30): 0.051814,
        (PAPER, 45): 0.902115,
        (PAPER, 60): 1.0,
    }
    for (curriculum, t), chance in hardest.items():
        assert float(curriculum.probabilities(t, EIGHTY)[0, 0]) == pytest.approx(chance, abs=1e-6)


@pytest.mark.parametrize("curriculum", [PAPER, RELEASE])
def test_the_curriculum_only_gets_harder(curriculum: Curriculum) -> None:
    ranks = [expected_rank(curriculum, t) for t in [*range(0, 80), 432, 3267, 5000]]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(ranks))


def test_anchors_with_unequal_candidates() -> None:
    chances = PAPER.probabilities(10, torch.tensor([3, 0, 5]))
    assert chances.shape == (3, 5)
    assert torch.allclose(chances.sum(1), numbers([1, 0, 1]))
    assert torch.equal(chances[0, 3:], numbers([0, 0]))
    relative = Curriculum(a=15 / 80, relative=True).probabilities(0, EIGHTY)
    assert torch.allclose(relative, PAPER.probabilities(0, EIGHTY))


def test_frequencies_of_many_draws() -> None:
    chances = Fixed(0, 1.5).probabilities(0, torch.tensor([5]))
    uniform = torch.rand(1, 200_000, generator=generator(0), dtype=torch.float64)
    seen = torch.bincount(draw_ranks(chances, uniform)[0], minlength=5) / 200_000
    assert torch.allclose(seen.double(), chances[0], atol=0.005)


@pytest.mark.parametrize(("P", "K", "ordered"), [(2, 2, 4), (3, 4, 36), (16, 16, 3840), (64, 4, 768)])
def test_triplet_counts(P: int, K: int, ordered: int) -> None:
    features, pids = people(P, K, 3)
    assert len(CurriculumTriplet(reduction="none")(features, pids)) == ordered
    assert len(CurriculumTriplet(order="unordered", reduction="none")(features, pids)) == ordered // 2


@pytest.mark.parametrize(("P", "K", "negatives"), [(2, 2, 2), (3, 4, 8), (16, 16, 240), (64, 4, 252)])
def test_every_image_is_an_anchor_and_every_negative_another_persons(P: int, K: int, negatives: int) -> None:
    features, pids = people(P, K, 3)
    loss = CurriculumTriplet()
    loss.set_clock(2, 12)
    who = loss.relations(pids)
    assert bool((who.negative.sum(dim=1) == negatives).all())
    drawn = loss.draw(euclidean(features, features), who)  # (B, B): a negative for every (anchor, other)
    assert bool((pids[drawn] != pids[:, None]).all())
    triplets = who.positive & who.valid[:, None]
    assert bool((triplets.sum(dim=1) == K - 1).all())  # each image is an anchor, never its own positive
    assert not bool(triplets.diagonal().any())
    assert bool((pids[None, :] == pids[:, None])[triplets].all())


def test_the_scale_of_the_features_is_the_distances_not_the_margins() -> None:
    gaps = late(CurriculumTriplet(0.0, reduction="none"))(*SQUARE)
    doubled = late(CurriculumTriplet(0.5, reduction="none"))(2 * SQUARE[0], SQUARE[1])
    assert torch.allclose(doubled[gaps > 0], 2 * gaps[gaps > 0] + 0.5)


def late(loss: CurriculumTriplet) -> CurriculumTriplet:
    loss.set_clock(0, 5000)
    return loss


def test_by_hand_at_the_end_all_negatives_are_the_hardest() -> None:
    hard = late(CurriculumTriplet(reduction="none"))(*SQUARE)
    assert torch.allclose(hard, numbers([0.5, 2.337722, 2.208204, 4.045926]), atol=1e-6)
    assert float(late(CurriculumTriplet())(*SQUARE)) == pytest.approx(2.272963, abs=1e-6)
    unordered = late(CurriculumTriplet(order="unordered"))(*SQUARE)
    assert float(unordered) == pytest.approx(1.354102, abs=1e-6)


def test_by_hand_at_the_start_all_negatives_are_the_easiest() -> None:
    easy = CurriculumTriplet(reduction="none", a=1e-3)(*SQUARE)
    assert torch.allclose(easy, numbers([0, 0.5, 0, 2.208204]), atol=1e-6)
    assert float(CurriculumTriplet(a=1e-3)(*SQUARE)) == pytest.approx(0.677051, abs=1e-6)
    assert float(CurriculumTriplet(a=1e-3, order="unordered")(*SQUARE)) == 0


@pytest.mark.parametrize("curriculum", ["paper", "release"])
def test_no_number_breaks_at_any_epoch(curriculum: str) -> None:
    features, pids = people(4, 4, 6)
    loss = CurriculumTriplet(curriculum=curriculum)
    for epoch in (0, 29.5, 30, 60, 432, 3267, 5000):
        loss.set_clock(1, epoch)
        assert loss(features.float(), pids).isfinite()


def test_with_one_positive_the_end_is_trihard_whatever_the_order_of_images() -> None:
    features, pids = people(5, 2, 6)
    order = torch.randperm(10, generator=generator(1))
    loss = late(CurriculumTriplet(0.3))
    assert torch.allclose(loss(features, pids), TriHard(0.3)(features, pids))
    assert torch.allclose(loss(features[order], pids[order]), loss(features, pids))


def test_draws_follow_the_step_and_nothing_else() -> None:
    features, pids = people(6, 4, 5)
    one, two = CurriculumTriplet(seed=3), CurriculumTriplet(seed=3)
    one.set_clock(7, 20)
    first = one(features, pids)
    one.set_clock(8, 20)
    assert not torch.equal(one(features, pids), first)
    two.set_clock(7, 20.9)
    torch.manual_seed(99)
    assert torch.equal(two(features, pids), first)
    other = CurriculumTriplet(seed=4)
    other.set_clock(7, 20)
    assert not torch.equal(other(features, pids), first)


def test_the_pool_keeps_the_nearest() -> None:
    features, pids = people(6, 4, 5)
    nearest = CurriculumTriplet(pool=1)
    assert torch.allclose(nearest(features, pids), late(CurriculumTriplet())(features, pids))


def test_translation_leaves_the_loss_alone() -> None:
    features, pids = people(4, 4, 6)
    loss = CurriculumTriplet()
    assert torch.allclose(loss(features + 3, pids), loss(features, pids))


def test_options_of_the_curriculum() -> None:
    assert CurriculumTriplet(curriculum="release", t0=20).curriculum == Curriculum(
        t0=20, pool=80, slope=3.0, floor=3e-5
    )
    with pytest.raises(UnknownNameError, match="release"):
        CurriculumTriplet(curriculum="released")
    with pytest.raises(UsageError, match="order is 'random'"):
        CurriculumTriplet(order="random")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="t0 < t1"):
        CurriculumTriplet(t0=60, t1=30)
    with pytest.raises(UsageError, match="pool"):
        CurriculumTriplet(pool=0)
