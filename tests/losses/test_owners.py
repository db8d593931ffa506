"""Losses that own parameters or centres: centre, verification, the sharded classifier on one process."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from resight.errors import UnknownNameError, UsageError
from resight.losses import (
    ArcFace,
    Center,
    Circle,
    CosFace,
    Cosine,
    PairClassifier,
    PairVerification,
    ShardedClassifier,
    Verification,
)
from resight.losses.partial_fc import INIT_ROWS, _initial_rows, shard
from tests.losses.batches import B1, B3, B3_WEIGHTS, labels, numbers, people
from tests.ranks import backward

# Center


def center(update: str = "moving", halve: bool = True) -> Center:
    loss = Center(3, 2, update=update, halve=halve).double()  # type: ignore[arg-type]
    with torch.no_grad():
        loss.centres.copy_(numbers([[0, 0.1], [1, 0.5], [1, 1]]))
    return loss


def test_centre_by_hand() -> None:
    features, pids = B1
    squares = (features - center().centres[pids]).square().sum(1)
    assert torch.allclose(squares, numbers([0.01, 0.18, 0.25, 0.25, 2, 1.25]))
    assert float(center(halve=False)(features, pids)) == pytest.approx(0.6566666666666666, rel=1e-12)
    assert 6 * float(center()(features, pids)) == pytest.approx(1.97)


def test_centres_move_by_the_original_rule() -> None:
    features, pids = B1
    loss, start = center(), center().centres
    found, deltas = loss.deltas(features, pids)
    assert found.tolist() == [0, 1, 2]
    assert torch.allclose(deltas, numbers([[-0.1, -0.2 / 3], [0.4 / 3, 0.2 / 3], [0, 0.5 / 3]]))
    loss(features, pids)
    assert torch.allclose(loss.centres, start - 0.5 * deltas)
    loss.eval()(features, pids)
    assert torch.allclose(loss.centres, start - 0.5 * deltas)


def test_centres_of_absent_identities_stay_and_strangers_do_not_count() -> None:
    features, _ = B1
    loss, start = center(), center().centres
    value = loss(features[:3], labels(1, -1, 1))
    assert torch.allclose(value, (features[[0, 2]] - start[1]).square().sum(1).mean() / 2)
    assert torch.equal(loss.centres[[0, 2]], start[[0, 2]])


def test_learned_centres_receive_a_gradient() -> None:
    loss = center("learned")
    assert [name for name, _ in loss.named_parameters()] == ["centres"]
    backward(loss(*B1))
    assert loss.centres.grad is not None
    expected = torch.stack([(loss.centres[j] - B1[0][B1[1] == j]).sum(0) / 6 for j in range(3)])
    assert torch.allclose(loss.centres.grad, expected)


# Verification


def test_pair_classifier_by_hand() -> None:
    classifier = PairClassifier(2).double()
    with torch.no_grad():
        classifier.weight.copy_(numbers([[-2, -2], [2, 2]]))
        classifier.bias.copy_(numbers([0.5, -0.5]))
    logits = classifier(numbers([[1, 0], [0, 1]]), numbers([[0.5, 0.5], [0, 1]]))
    assert torch.allclose(logits, numbers([[-0.5, 0.5], [0.5, -0.5]]))
    assert float(F.cross_entropy(logits, labels(1, 0)).detach()) == pytest.approx(0.3132616875182228, rel=1e-12)


@pytest.mark.parametrize("fusion", ["squared", "abs", "product"])
def test_the_classifier_does_not_care_who_comes_first(fusion: str) -> None:
    classifier = PairClassifier(5, fusion)  # type: ignore[arg-type]
    a, b = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(classifier(a, b), classifier(b, a))


def test_pairs_of_a_batch() -> None:
    _, pids = people(4, 4, 3)
    loss = Verification(3)
    one, two, different = loss.pairs(pids)
    assert int((different == 0).sum()) == 4 * 6  # P choose-2 of K
    assert int((different == 1).sum()) == 4 * 6
    assert bool(((pids[one] != pids[two]) == (different == 1)).all())
    assert bool((one < two).all())
    assert len({(int(a), int(b)) for a, b in zip(one, two, strict=True)}) == 48  # without replacement
    loss.set_clock(1, 0.0)
    assert not torch.equal(loss.pairs(pids)[1], two)
    assert len(Verification(3, neg_ratio=4).pairs(pids)[0]) == 24 + 96  # as many as exist at most
    assert len(Verification(3, neg_ratio=99).pairs(pids)[0]) == 120


def test_without_a_positive_pair_verification_is_nothing() -> None:
    features = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = Verification(3)(features, labels(0, 1, 2, 3))
    backward(value)
    assert float(value.detach()) == 0
    assert features.grad is not None
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_a_models_own_scores_of_pairs() -> None:
    """Log-odds z_same - z_different: their logistic loss is the cross-entropy of the two scores."""
    features, pids = people(4, 4, 8)
    everything, pairwise = Verification(8, neg_ratio=99).double(), PairVerification(neg_ratio=99)
    scores = everything.classifier(features.repeat_interleave(16, 0), features.repeat(16, 1))
    odds = (scores[:, 0] - scores[:, 1]).view(16, 16)
    assert torch.allclose(pairwise(odds, pids), everything(features, pids))
    with pytest.raises(UsageError, match=r"16 x 16; these are \(16, 3\)"):
        pairwise(odds[:, :3], pids)


def test_dropout_is_drawn_by_the_step_and_silent_in_evaluation() -> None:
    features, pids = people(4, 4, 8)
    loss, plain = Verification(8, dropout=0.5), Verification(8)
    assert torch.equal(loss(features, pids), loss(features, pids))
    assert not torch.equal(loss(features, pids), plain(features, pids))
    assert torch.equal(loss.eval()(features, pids), plain(features, pids))


def test_wrong_fusions_and_ratios_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="squared"):
        Verification(3, fusion="bilinear")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="neg_ratio"):
        Verification(3, neg_ratio=0)


# Very many identities


def test_shards_cover_all_classes_once() -> None:
    for classes, ranks in ((10, 4), (7, 7), (100_003, 8)):
        cut = [shard(classes, ranks, r) for r in range(ranks)]
        assert cut[0][0] == 0
        assert all(a + n == b for (a, n), (b, _) in pairwise(cut))
        assert sum(n for _, n in cut) == classes
        assert max(n for _, n in cut) - min(n for _, n in cut) <= 1


@pytest.mark.parametrize(
    ("head", "margin"),
    [
        ("cosine", Cosine(16)),
        ("cosface", CosFace(0.35, 16)),
        ("arcface", ArcFace(0.5, 16)),
        ("circle", Circle(0.35, 16)),
    ],
)
def test_one_shard_is_the_full_classifier(head: str, margin: Cosine) -> None:
    features, pids = B3
    whole = ShardedClassifier(3, 2, head=head, scale=16).double()  # type: ignore[arg-type]
    whole.weight.data = whole.own(B3_WEIGHTS * numbers([[2], [3], [4]]))  # lengths do not matter
    ours, theirs = features.clone().requires_grad_(), features.clone().requires_grad_()
    weight = (B3_WEIGHTS * numbers([[2], [3], [4]])).requires_grad_()
    value = whole(ours, pids)
    expected = margin(F.normalize(theirs) @ F.normalize(weight).T, pids)
    backward(value)
    backward(expected)
    assert torch.allclose(value, expected)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.allclose(ours.grad, theirs.grad)
    assert whole.weight.grad is not None
    assert weight.grad is not None
    assert torch.allclose(whole.weight.grad, weight.grad)


def test_sampled_classes_hold_the_batchs_own() -> None:
    features, pids = people(4, 3, 6)
    partial = ShardedClassifier(100, 6, rate=0.1).double()
    rows, column = partial.sampled(partial.own_columns(3 * pids))
    assert len(rows) == 10
    assert torch.equal(rows[column], 3 * pids)
    assert torch.equal(rows, torch.unique(rows))
    crowded = ShardedClassifier(100, 6, rate=0.01)
    assert crowded.sampled(3 * pids)[0].tolist() == [0, 3, 6, 9]
    partial.set_clock(1, 0.0)
    assert not torch.equal(partial.sampled(3 * pids)[0], rows)
    assert partial(features, 3 * pids).isfinite()


def test_the_partial_classifier_is_the_full_one_over_its_sample() -> None:
    features, pids = people(4, 3, 6)
    partial = ShardedClassifier(40, 6, head="cosine", scale=8, rate=0.3).double()
    rows, column = partial.sampled(pids)
    cosines = F.normalize(features) @ F.normalize(partial.weight[rows]).T
    assert torch.allclose(partial(features, pids), F.cross_entropy(8 * cosines, column))


def test_sparse_gradients_touch_only_the_sample() -> None:
    features, pids = people(4, 3, 6)
    partial = ShardedClassifier(40, 6, rate=0.3, sparse=True)
    before = partial.weight.detach().clone()
    optimizer = torch.optim.SparseAdam([partial.weight], lr=0.1)
    backward(partial(features, pids))
    assert partial.weight.grad is not None
    assert partial.weight.grad.is_sparse
    optimizer.step()  # type: ignore[no-untyped-call]
    changed = (partial.weight != before).any(dim=1).nonzero()[:, 0]
    assert torch.equal(changed, partial.sampled(pids)[0])


def test_strangers_are_left_out() -> None:
    features, pids = people(4, 3, 6)
    loss = ShardedClassifier(4, 6).double()
    some = pids.masked_fill(pids == 2, -1)
    assert torch.allclose(loss(features, some), loss(features[pids != 2], pids[pids != 2]))


def test_a_million_classes_start_alike_wherever_they_live() -> None:
    whole = ShardedClassifier(INIT_ROWS + 10, 4, seed=5).weight
    part = _initial_rows(INIT_ROWS - 3, 9, 4, seed=5)
    assert torch.equal(whole[INIT_ROWS - 3 : INIT_ROWS + 6], part)
    assert float(whole.detach().std()) == pytest.approx(0.01, rel=0.05)


def test_wrong_shards_are_refused() -> None:
    with pytest.raises(UsageError, match="rate"):
        ShardedClassifier(10, 2, rate=0)
    with pytest.raises(UsageError, match="margin is 0.2, and the head is cosine"):
        ShardedClassifier(10, 4, head="cosine", margin=0.2)
    with pytest.raises(UnknownNameError, match="arcface"):
        ShardedClassifier(10, 2, head="linear")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="shape"):
        ShardedClassifier(10, 2).own(torch.zeros(9, 2))
