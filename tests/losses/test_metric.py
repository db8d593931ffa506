"""Losses over distances: the numbers of docs/methods/losses.md, and the fast forms against the equations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from resight import losses
from resight.errors import UsageError
from resight.losses import (
    HAP2S,
    AdaptiveTriplet,
    Contrastive,
    GeneralizedLifted,
    ImprovedTriplet,
    Lifted,
    MetricLoss,
    PairwiseCircle,
    Quadruplet,
    TriHard,
    Triplet,
)
from resight.losses.distances import euclidean
from resight.losses.quadruplet import hinge_sums
from tests.losses import equations
from tests.losses.batches import B1, B2, B3, EDGES, SQUARE, labels, numbers, people
from tests.ranks import backward

Batch = tuple[Tensor, Tensor]

LITERAL: list[tuple[MetricLoss, Batch, float]] = [
    (TriHard(), B1, 0.8434456935734481),
    (TriHard(reduction="mean_nonzero"), B1, 1.0121348322881378),
    (TriHard("soft"), B1, 1.0470346917233389),
    (TriHard(), B2, 0.5025537682094516),
    (Triplet(), B1, 0.5381083728151218),
    (Triplet(reduction="mean_nonzero"), B1, 0.8609733965041949),
    (ImprovedTriplet(), B1, 1.8362507698150938),
    (Contrastive(1.2), B1, 0.543063096694675),
    (Contrastive(1.2, reduction="sum"), B1, 2 * 8.145946450420125),  # each pair from both ends
    (Quadruplet(), B1, 1.1459228915793007),
    (AdaptiveTriplet(), B1, 0.5691314989790229),
    (AdaptiveTriplet(), B2, 0.25138793136117304),
    (AdaptiveTriplet("soft"), B1, 0.8547325532702379),
    (Lifted(), B1, 5.40180276598925),
    (Lifted(), B2, 3.4064534402097952),
    (GeneralizedLifted(), B1, 2.50574151456452),
    (HAP2S(), B1, 0.6494366202632468),
    (HAP2S(margin="soft"), B1, 0.9146885964011888),
    (HAP2S("polynomial"), B1, 0.829659538487251),
    (HAP2S("polynomial", margin="soft"), B1, 1.0381253790307923),
    (HAP2S(), B2, 0.3106140760712531),
    (HAP2S(margin="soft"), B2, 0.6920729759552754),
    (HAP2S("polynomial"), B2, 0.45884268626843183),
    (HAP2S("polynomial", margin="soft"), B2, 0.7966114553844011),
    (PairwiseCircle(), B3, 70.06472089507706),
    (PairwiseCircle(0.35, 64), B3, 28.088896745327602),
    (PairwiseCircle(0.25, 1), B3, 1.7810784289091774),
    (PairwiseCircle(0.25, 1, self_paced=False), B3, 1.3618921337255825),
    (TriHard(1.4), SQUARE, 3.172963),
    (TriHard(0.3), SQUARE, 2.072963),
    (TriHard(0.05), SQUARE, 1.822963),
]


@pytest.mark.parametrize(("loss", "batch", "value"), LITERAL, ids=[str(row[0]) for row in LITERAL])
def test_literal_values(loss: MetricLoss, batch: Batch, value: float) -> None:
    exact = 1e-9 if value != round(value, 6) else 1e-6
    assert float(loss(*batch)) == pytest.approx(value, rel=exact)
    single = loss(batch[0].float(), batch[1])
    assert single.dtype == torch.float32
    assert float(single) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("distances", "values"),
    [  # the motive for the improved form: the plain one cannot tell the two triplets apart
        ((0.5, 0.7), (0.1, 0.6)),
        ((1.5, 1.7), (0.1, 1.6)),
    ],
)
def test_triplets_of_known_distances(distances: tuple[float, float], values: tuple[float, float]) -> None:
    to_positive, to_negative = distances
    features = numbers([[0.0], [to_positive], [-to_negative]])
    first = Triplet(reduction="none")(features, labels(0, 0, 1))
    improved = ImprovedTriplet(reduction="none")(features, labels(0, 0, 1))
    assert float(first[2]) == pytest.approx(values[0])  # anchor 0 with row 1, against row 2
    assert float(improved[2]) == pytest.approx(values[1])


def test_contrastive_pairs_by_hand() -> None:
    def pair(distance: float, pids: Tensor) -> float:
        return float(Contrastive(0.3)(numbers([[0.0], [distance]]), pids))

    assert pair(0.5, labels(0, 0)) == pytest.approx(0.25)
    assert pair(0.1, labels(0, 1)) == pytest.approx(0.04)
    assert pair(0.5, labels(0, 1)) == 0


def test_contrastive_balanced_is_the_sum_of_two_means() -> None:
    d, y = torch.cdist(B1[0], B1[0]), B1[1]
    same = (y[:, None] == y[None, :]) & ~torch.eye(6, dtype=torch.bool)
    apart = y[:, None] != y[None, :]
    expected = d[same].square().mean() + (1.2 - d[apart]).relu().square().mean()
    assert torch.allclose(Contrastive(1.2, balanced=True)(*B1), expected)


def test_quadruplet_by_hand() -> None:
    """d(a, p) 0.5, d(a, n1) 0.7, d(n1, n2) 0.6: margins 0.3 and 0.15 give 0.1 + 0.05."""
    strong = torch.tensor(0.5 - 0.7 + 0.3).relu()
    weak, _ = hinge_sums(numbers([0.5 + 0.15]), numbers([0.6]))
    assert float(strong) + float(weak) == pytest.approx(0.15)


@pytest.mark.parametrize("batch", [B2, EDGES["E1 an identity with one image"]])
def test_with_two_identities_the_weak_push_is_nothing(batch: Batch) -> None:
    assert torch.allclose(Quadruplet()(*batch), Triplet()(*batch))
    assert torch.allclose(Quadruplet(mining="hard")(*batch), TriHard()(*batch))


def test_point_to_set_distances() -> None:
    """The weighted distances behind HAP2S and the adaptive weights, anchor by anchor."""
    rows = [
        (AdaptiveTriplet(), B1, None, [1.2256396, 0.8611734, 1.0339995, 0.8649832, 1.4419917, 1.2330910]),
        (
            AdaptiveTriplet(),
            B2,
            [0.8112297, 0.5, 0.8112297, 1, 1.2493971, 1.2493971],
            [1.3162637, 1.0123728, 0.7799887, 0.8939797, 1.7613594, 0.7783308],
        ),
        (
            HAP2S(),
            B1,
            [0.5, 0.5, 0.8944272, 0.8944272, 2.5, 2.5],
            [1.1275460, 0.7349153, 0.9661636, 0.7547885, 1.2920515, 1.1443158],
        ),
        (HAP2S("polynomial"), B1, None, [1.0030148, 0.5077893, 0.8463924, 0.5045227, 1.0045117, 0.9476811]),
        (
            HAP2S(),
            B2,
            [0.8655293, 0.5, 0.8655293, 1, 1.2883019, 1.2883019],
            [1.2011596, 0.9271075, 0.6438540, 0.8878530, 1.7387139, 0.6584397],
        ),
        (
            HAP2S("polynomial"),
            B2,
            [0.9733443, 0.5, 0.9733443, 1, 1.3594839, 1.3594839],
            [1.0096744, 0.8323204, 0.4492621, 0.8453071, 1.6639275, 0.4488728],
        ),
    ]
    for loss, (features, pids), pull, push in rows:
        seen = loss.sets(loss.distances(features, loss.relations(pids)), loss.relations(pids))
        assert torch.allclose(seen.negative, numbers(push), atol=1e-7)
        if pull is not None:
            assert torch.allclose(seen.positive, numbers(pull), atol=1e-7)


def test_hardest_of_the_literal_batch() -> None:
    loss = TriHard()
    hardest = loss.mine(B1[0], loss.relations(B1[1]))
    assert torch.allclose(hardest.positive, numbers([0.5, 0.5, 0.894427, 0.894427, 2.5, 2.5]), atol=1e-6)
    assert torch.allclose(hardest.negative, numbers([1, 0.5, 0.806226, 0.5, 1, 0.921954]), atol=1e-6)
    each = numbers([0, 0.3, 0.3882014, 0.6944272, 1.8, 1.8780456])
    assert torch.allclose(TriHard(reduction="none")(*B1), each, atol=1e-7)


def test_the_square_of_four_by_hand() -> None:
    features, _ = SQUARE
    distances = euclidean(features, features)[[0, 0, 0, 1, 1, 2], [1, 2, 3, 2, 3, 3]]
    assert torch.allclose(distances, numbers([5, 10, 5, 5, 3.162278, 6.708204]), atol=1e-6)
    hinges = numbers([1.4, 3.237722, 3.108204, 4.945926])
    assert torch.allclose(TriHard(1.4, reduction="none")(*SQUARE), hinges, atol=1e-6)


def test_the_tension_of_each_pair() -> None:
    """J of lifted structure, pair by pair: the loss holds J^2 / 2, each pair from both ends."""
    features, pids = B1
    values = Lifted(reduction="none")(features, pids).view(6, 6)
    pairs = numbers([2.4713297, 2.9655617, 4.1843506])
    for one, two in ((0, 1), (1, 0)):
        assert torch.allclose((2 * values[[one, 2 + one, 4 + one], [two, 2 + two, 4 + two]]).sqrt(), pairs, atol=1e-7)


@pytest.mark.parametrize(
    ("edge", "value"),
    [
        ("E1 an identity with one image", 0.15),
        ("E2 one identity", 0.0),
        ("E3 a duplicate", 0.0),
        ("E4 all distinct", 0.0),
        ("E5 unequal", 0.075),
    ],
)
def test_trihard_on_odd_batches(edge: str, value: float) -> None:
    assert float(TriHard()(*EDGES[edge])) == pytest.approx(value)


Equation = Callable[[Tensor, list[int]], float]

FAST: list[tuple[MetricLoss, Equation]] = [
    (TriHard(), lambda d, y: equations.trihard(d, y, 0.3)),
    (TriHard("soft"), lambda d, y: equations.trihard(d, y, "soft")),
    (Triplet(), lambda d, y: equations.triplet(d, y, 0.3)),
    (ImprovedTriplet(0.4, 0.5, 0.2), lambda d, y: equations.improved_triplet(d, y, 0.4, 0.5, 0.2)),
    (Contrastive(2.0), lambda d, y: equations.contrastive(d, y, 2.0)),
    (Quadruplet(), lambda d, y: equations.quadruplet(d, y, 0.3, 0.15)),
    (Quadruplet(mining="hard"), lambda d, y: equations.quadruplet_hard(d, y, 0.3, 0.15)),
    (AdaptiveTriplet(), lambda d, y: equations.adaptive(d, y, 0.3)),
    (HAP2S(), lambda d, y: equations.hap2s(d, y, 0.3, "exponential")),
    (HAP2S("polynomial"), lambda d, y: equations.hap2s(d, y, 0.3, "polynomial")),
    (Lifted(), lambda d, y: equations.lifted(d, y, 1.0)),
    (GeneralizedLifted(), lambda d, y: equations.generalized_lifted(d, y, 1.0)),
]
BATCHES = {"4 x 3": people(4, 3, 5), **EDGES}


@pytest.mark.parametrize("batch", sorted(BATCHES))
@pytest.mark.parametrize(("loss", "equation"), FAST, ids=[str(row[0]) for row in FAST])
def test_fast_form_equals_the_equation(loss: MetricLoss, equation: Equation, batch: str) -> None:
    features, pids = BATCHES[batch]
    expected = equation(torch.cdist(features, features), pids.tolist())
    assert float(loss(features, pids)) == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("gamma", [1.0, 16.0])
@pytest.mark.parametrize("batch", sorted(BATCHES))
def test_circle_equals_the_equation(batch: str, gamma: float) -> None:
    features, pids = BATCHES[batch]
    unit = torch.nn.functional.normalize(features)
    expected = equations.circle(unit @ unit.T, pids.tolist(), 0.25, gamma)
    assert float(PairwiseCircle(0.25, gamma)(features, pids)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("distance", ["cosine", "squared"])
def test_trihard_on_other_distances(distance: str) -> None:
    features, pids = people(4, 3, 5)
    matrix = torch.cdist(features, features).square()
    if distance == "cosine":
        unit = torch.nn.functional.normalize(features)
        matrix = 1 - unit @ unit.T
    value = losses.build("trihard", distance=distance)(features, pids)
    assert float(value.detach()) == pytest.approx(equations.trihard(matrix, pids.tolist(), 0.3))


def test_normalising_twice_the_cosine_distance_is_the_squared_one() -> None:
    features, pids = people(4, 3, 5)
    square = TriHard(0.6, distance="squared", normalize=True)(features, pids)
    assert torch.allclose(square, 2 * TriHard(0.3, distance="cosine")(features, pids))


@pytest.mark.parametrize("distance", ["euclidean", "cosine", "squared"])
def test_trihards_sparse_gradient_is_the_dense_one(distance: str) -> None:
    features, pids = people(5, 4, 6)
    ours, dense = features.clone().requires_grad_(), features.clone().requires_grad_()
    loss = losses.build("trihard", distance=distance)
    assert isinstance(loss, TriHard)
    backward(loss(ours, pids))
    who = loss.relations(pids)
    d = loss.distances(dense, who)
    far = d.masked_fill(~who.positive, -torch.inf).amax(dim=1)
    near = d.masked_fill(~who.negative, torch.inf).amin(dim=1)
    backward((far - near + 0.3).relu().mean())
    assert ours.grad is not None
    assert dense.grad is not None
    assert torch.allclose(ours.grad, dense.grad, atol=1e-12)


def test_far_from_the_origin_trihard_keeps_its_digits() -> None:
    """Rows a thousand times farther from the origin than from one another, in float32."""
    features, pids = people(6, 4, 32)
    expected = TriHard()(features, pids)
    assert float(TriHard()((features + 1000).float(), pids)) == pytest.approx(float(expected), rel=1e-3)


def test_hap2s_tends_to_trihard_and_to_the_means() -> None:
    features, pids = people(4, 4, 6)
    hardest = TriHard()(features, pids)
    assert torch.allclose(HAP2S(sigma=1e-4)(features, pids), hardest)
    assert torch.allclose(HAP2S("polynomial", alpha=1e5)(features, pids), hardest)
    d = torch.cdist(features, features)
    same = (pids[:, None] == pids[None, :]) & ~torch.eye(16, dtype=torch.bool)
    apart = pids[:, None] != pids[None, :]
    gap = (d * same).sum(1) / same.sum(1) - (d * apart).sum(1) / apart.sum(1)
    means = (gap + 0.3).relu().mean()
    assert torch.allclose(HAP2S(sigma=1e9)(features, pids), means)
    assert torch.allclose(HAP2S("polynomial", alpha=0)(features, pids), means)


def test_detached_weights_change_the_gradient_alone() -> None:
    features, pids = people(4, 3, 5)
    one, two = features.clone().requires_grad_(), features.clone().requires_grad_()
    with_gradient, without = AdaptiveTriplet()(one, pids), AdaptiveTriplet(detach_weights=True)(two, pids)
    backward(with_gradient)
    backward(without)
    assert torch.equal(with_gradient, without)
    assert one.grad is not None
    assert two.grad is not None
    assert not torch.allclose(one.grad, two.grad)


def test_pictures_drawn_twice_can_be_left_out() -> None:
    features = numbers([[0, 0], [0, 0], [1, 0], [5, 0]])
    pids, index = labels(0, 0, 0, 1), torch.tensor([7, 7, 8, 9])
    with_twins = Triplet(0.0, reduction="none")(features, pids)
    without = Triplet(0.0, reduction="none", exclude_same_index=True)(features, pids, index)
    assert len(with_twins) - len(without) == 2 * 4  # two ordered pairs against four columns
    with pytest.raises(UsageError, match="index"):
        TriHard(exclude_same_index=True)(features, pids)


def test_valid_anchors_are_counted() -> None:
    counts = [int(losses.valid_anchors(pids)) for _, pids in EDGES.values()]
    assert counts == [2, 0, 2, 0, 4]


def test_quadruplet_over_what_is_above_nothing() -> None:
    """Each push by itself: its mean over all tuples, times all, over those above 0, counted one by one."""
    features, pids = people(4, 3, 5)
    distance = torch.cdist(features, features)
    strong, weak = [], []
    for a, p in ((a, p) for a in range(12) for p in range(12) if a != p and pids[a] == pids[p]):
        reach, others = distance[a, p], [n for n in range(12) if pids[n] != pids[a]]
        strong += [(reach - distance[a, n] + 0.3).relu() for n in others]
        weak += [(reach - distance[n, m] + 0.15).relu() for n in others for m in others if pids[n] != pids[m]]
    expected = sum(sum(terms) / sum(bool(term > 0) for term in terms) for terms in (strong, weak))
    assert torch.allclose(Quadruplet(reduction="mean_nonzero")(features, pids), torch.as_tensor(expected))


def test_hinge_sums_are_the_double_sum() -> None:
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(9, generator=draws, dtype=torch.float64).requires_grad_()
    pool = torch.randn(31, generator=draws, dtype=torch.float64).requires_grad_()
    (fast, above), each = hinge_sums(x, pool), (x[:, None] - pool[None, :]).relu()
    plain = each.sum(1)
    assert torch.equal(above, (each > 0).sum(1))
    assert torch.allclose(fast, plain)
    weights = torch.arange(9, dtype=torch.float64)
    for one, two in zip(
        torch.autograd.grad((fast * weights).sum(), (x, pool)),
        torch.autograd.grad((plain * weights).sum(), (x, pool)),
        strict=True,
    ):
        assert torch.allclose(one, two)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda: TriHard("hard"), "'soft'"),  # type: ignore[arg-type]
        (lambda: TriHard(reduction="avg"), "mean_nonzero"),  # type: ignore[arg-type]
        (lambda: Quadruplet(0.1, 0.2), "weak"),
        (lambda: Quadruplet(mining="easy"), "'hard'"),  # type: ignore[arg-type]
        (lambda: HAP2S("gaussian"), "polynomial"),  # type: ignore[arg-type]
        (lambda: HAP2S(sigma=0), "above 0"),
    ],
)
def test_wrong_options_are_refused(wrong: Callable[[], object], hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        wrong()
