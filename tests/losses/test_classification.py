"""Losses on logits: identity, margins, focal forms, attributes, adaptive selection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from resight.errors import UsageError
from resight.losses import (
    AdaptiveHard,
    ArcFace,
    AttentionLoss,
    Attribute,
    AttributeLoss,
    Circle,
    CosFace,
    Cosine,
    CrossEntropy,
    SigmoidFocal,
    SoftmaxFocal,
    balanced,
)
from resight.types import IGNORE, JUNK
from tests.losses.batches import B3, B3_WEIGHTS, labels, numbers

if TYPE_CHECKING:
    from collections.abc import Callable

Z, Y = numbers([[2, 1, 0], [0.5, 0.5, 2]]), labels(0, 2)
FOCAL_Z = numbers([[2, -1, 0], [-2, 1, 0.5]])


def gradient(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, pids: Tensor) -> Tensor:
    leaf = logits.clone().requires_grad_()
    (grad,) = torch.autograd.grad(loss(leaf, pids), leaf)
    return grad


# Identity


def test_cross_entropy_values() -> None:
    assert float(CrossEntropy()(Z, Y)) == pytest.approx(0.3882935499228479, rel=1e-12)
    assert float(CrossEntropy(0.1)(Z, Y)) == pytest.approx(0.4882935499228479, rel=1e-12)
    assert float(CrossEntropy(0.1, "others")(Z, Y)) == pytest.approx(0.5382935499228480, rel=1e-12)
    assert torch.allclose(CrossEntropy().each(Z, Y), numbers([0.4076059644, 0.3689811354]), atol=1e-9)


def test_branches_of_pyramid_and_hacnn() -> None:
    assert float(CrossEntropy()(numbers([[2, 0, 0]]), labels(0))) == pytest.approx(0.239545, abs=1e-6)
    assert float(CrossEntropy()(numbers([[0, 1, 0]]), labels(0))) == pytest.approx(1.551445, abs=1e-6)
    assert float(CrossEntropy()(numbers([[2, 0.5, -1]]), labels(0))) == pytest.approx(0.241311, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 9), st.floats(0, 0.4), st.integers(0, 10**6))
def test_smoothing_is_its_target_distribution(classes: int, smoothing: float, seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    z = torch.randn(4, classes, generator=draws, dtype=torch.float64)
    y = torch.randint(classes, (4,), generator=draws)
    hot = F.one_hot(y, classes).double()
    everywhere = (1 - smoothing) * hot + smoothing / classes
    elsewhere = (1 - smoothing) * hot + smoothing / (classes - 1) * (1 - hot)
    for target, spread in ((everywhere, "all"), (elsewhere, "others")):
        loss = CrossEntropy(smoothing, spread)  # type: ignore[arg-type]
        assert torch.allclose(loss(z, y), -(target * z.log_softmax(1)).sum(1).mean())


def test_one_class_costs_nothing() -> None:
    one = numbers([[3.0], [-2.0]])
    assert float(CrossEntropy()(one, labels(0, 0))) == 0
    assert float(CrossEntropy(0.1, "others")(one, labels(0, 0))) == 0


@pytest.mark.parametrize("loss", [CrossEntropy(0.1), Cosine(), Circle(), SigmoidFocal(), SoftmaxFocal(), Attribute()])
def test_rows_without_a_label_are_left_out(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    z = torch.cat([Z / 2, torch.full((2, 3), 0.3, dtype=torch.float64)])
    assert torch.allclose(loss(z, labels(0, 2, JUNK, IGNORE)), loss(Z / 2, Y))
    nothing = gradient(loss, Z / 2, labels(JUNK, IGNORE))
    assert torch.equal(nothing, torch.zeros_like(Z))


def test_smoothing_outside_its_range_is_refused() -> None:
    with pytest.raises(UsageError, match="smoothing"):
        CrossEntropy(1.0)
    with pytest.raises(UsageError, match="others"):
        CrossEntropy(0.1, "some")  # type: ignore[arg-type]


# Margins on the cosine

COSINES = B3[0] @ B3_WEIGHTS.T


@pytest.mark.parametrize(
    ("scale", "values"),
    [
        (1.0, (0.6201070775629766, 0.793317743632528, 0.7650082988827321, 1.081574991140718)),
        (16.0, (0.5533100749991037, 2.2956574596247523, 2.758476425747572, 2.3965098885303777)),
    ],
)
def test_heads(scale: float, values: tuple[float, ...]) -> None:
    heads = (Cosine(scale), CosFace(0.35, scale), ArcFace(0.5, scale), Circle(0.35, scale))
    for head, value in zip(heads, values, strict=True):
        assert float(head(COSINES, B3[1])) == pytest.approx(value, rel=1e-9)


def test_without_a_margin_the_heads_are_the_normalised_softmax() -> None:
    plain = Cosine(16)(COSINES, B3[1])
    assert torch.allclose(CosFace(0, 16)(COSINES, B3[1]), plain)
    assert torch.allclose(ArcFace(0, 16)(COSINES, B3[1]), plain)


def test_arcface_keeps_falling_behind_pi() -> None:
    cosine = torch.linspace(1, -1, 2001, dtype=torch.float64)
    falling = ArcFace(0.5, 1).target(cosine)
    assert float(ArcFace(0.5, 1).target(numbers(-0.95))) == pytest.approx(-1.189713, abs=1e-6)
    assert bool((falling.diff() < 0).all())
    inside = cosine[cosine > math.cos(math.pi - 0.5)]
    assert torch.allclose(ArcFace(0.5, 1).target(inside), (inside.acos() + 0.5).cos())


@pytest.mark.parametrize("head", [ArcFace(), Circle(), CosFace()])
def test_heads_at_the_ends_of_the_cosine(head: Cosine) -> None:
    ends = torch.tensor([[1.0, -1.0], [1.0000001, -1.0000001], [-1.0, 1.0]])
    assert gradient(head, ends, labels(0, 0, 0)).isfinite().all()


@pytest.mark.parametrize(
    ("cosines", "plain", "smooth"),
    [
        ([0.6, 0.2, -0.1], 0.062378, 0.446378),
        ([1, 0, 0], 3.0995e-7, 1.568),  # log(1 + 2 exp(-15.68)); float32 reads 2.4e-7
        ([0.65, 0.35, 0.35], 1.098612, 1.098612),
        ([0, 0, 0], 49.0131, 44.1811),
    ],
)
def test_circle_at_class_level(cosines: list[float], plain: float, smooth: float) -> None:
    row = numbers([cosines])
    assert float(Circle()(row, labels(0))) == pytest.approx(plain, rel=1e-4 if plain < 1e-6 else 1e-5)
    loss = Circle(label_smoothing=0.1, spread="others")
    assert float(loss(row, labels(0))) == pytest.approx(smooth, rel=1e-5)


@pytest.mark.parametrize(
    ("cosines", "logits"),
    [
        ([0.6, 0.2, -0.1], [-2.4, -5.28, -7.2]),
        ([1, 0, 0], [7.84, -7.84, -7.84]),
        ([0.65, 0.35, 0.35], [0, 0, 0]),
        ([0, 0, 0], [-56.16, -7.84, -7.84]),
    ],
)
def test_circles_logits_by_hand(cosines: list[float], logits: list[float]) -> None:
    assert torch.allclose(Circle().harden(numbers([cosines]), labels(0)), numbers([logits]))


def test_circle_gradient_stops_at_the_pace() -> None:
    row = numbers([[0.6, 0.2, -0.1]])
    grad = gradient(Circle(), row, labels(0))
    assert torch.allclose(grad, numbers([[-2.902665, 1.856450, 0.123713]]), atol=5e-6)
    smooth = gradient(Circle(label_smoothing=0.1, spread="others"), row, labels(0))
    assert torch.allclose(smooth, numbers([[1.897336, 0.096450, -0.676287]]), atol=5e-6)
    assert float(Circle(label_smoothing=0.1)(row, labels(0))) == pytest.approx(0.318378, abs=1e-6)


@pytest.mark.parametrize("wrong", [lambda: Cosine(0), lambda: ArcFace(3.5)])
def test_impossible_heads_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        wrong()


# Focal


def test_focal_values() -> None:
    assert float(SigmoidFocal()(FOCAL_Z, Y)) == pytest.approx(0.4844968861239115, rel=1e-12)
    assert float(SigmoidFocal(alpha=0.25)(FOCAL_Z, Y)) == pytest.approx(0.34602840125474765, rel=1e-12)
    assert float(SoftmaxFocal(detach=True)(FOCAL_Z, Y)) == pytest.approx(0.20385159812767237, rel=1e-12)


@pytest.mark.parametrize(("gamma", "total"), [(0, 1.133337), (1, 0.445953), (2, 0.197748)])
def test_sigmoid_focal_of_one_row(gamma: float, total: float) -> None:
    assert float(SigmoidFocal(gamma)(numbers([[2, -1, 0]]), labels(0))) == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize(("gamma", "parts"), [(0, (0.126928, 0.313262, 0.693147)), (2, (0.001804, 0.022658, 0.173287))])
def test_sigmoid_focal_class_by_class(gamma: float, parts: tuple[float, ...]) -> None:
    """One class more, one part more; the first alone, the true class's, could be made as small as one likes."""
    sums = [float(SigmoidFocal(gamma)(numbers([[2, -1, 0]])[:, :n], labels(0))) for n in (1, 2, 3)]
    assert sums == pytest.approx([sum(parts[:n]) for n in (1, 2, 3)], abs=2e-6)
    alone = gradient(SigmoidFocal(), numbers([[2]]), labels(0))
    assert float(alone) == pytest.approx(-0.0049, abs=1e-4)


@pytest.mark.parametrize(("gamma", "value"), [(0, 0.169846), (1, 0.026531), (2, 0.004144)])
def test_softmax_focal_of_one_row(gamma: float, value: float) -> None:
    assert float(SoftmaxFocal(gamma)(numbers([[2, -1, 0]]), labels(0))) == pytest.approx(value, abs=1e-6)


def test_focal_gradients() -> None:
    row = numbers([[2, -1, 0]])
    expected = {
        SigmoidFocal(): [-0.0049, 0.0526, 0.2983],
        SoftmaxFocal(): [-0.0108, 0.0029, 0.0079],
        SoftmaxFocal(detach=True): [-0.0038, 0.0010, 0.0028],
    }
    for loss, values in expected.items():
        assert torch.allclose(gradient(loss, row, labels(0)), numbers([values]), atol=1e-4)


def test_focal_against_torch_and_torchvision() -> None:
    hot = F.one_hot(Y, 3).double()
    for alpha in (-1, 0.25):
        theirs = sigmoid_focal_loss(FOCAL_Z, hot, alpha=alpha, gamma=2, reduction="sum") / 2
        ours = SigmoidFocal(alpha=None if alpha < 0 else alpha)(FOCAL_Z, Y)
        assert torch.allclose(ours, theirs)
    binary = F.binary_cross_entropy_with_logits(FOCAL_Z, hot, reduction="sum") / 2
    assert torch.allclose(SigmoidFocal(gamma=0)(FOCAL_Z, Y), binary)
    assert torch.allclose(SoftmaxFocal(gamma=0)(FOCAL_Z, Y), F.cross_entropy(FOCAL_Z, Y))


def test_attention_loss() -> None:
    row = numbers([[1, -2, 0.5]])
    turned, terms = row[:, [1, 0, 2]], (2.126928, 1.313262, 0.974077)  # the true identity first
    sums = [float(AttentionLoss()(turned[:, :n], labels(0))) for n in (1, 2, 3)]
    assert sums == pytest.approx([sum(terms[:n]) for n in (1, 2, 3)], abs=2e-6)
    assert float(AttentionLoss()(row, labels(1))) == pytest.approx(4.414267, abs=1e-6)
    assert float(CrossEntropy()(row, labels(1))) == pytest.approx(3.5046, abs=1e-4)


@pytest.mark.parametrize("loss", [SigmoidFocal(), SoftmaxFocal(), AttentionLoss()])
def test_extreme_logits_stay_finite(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    far = torch.tensor([[200.0, -200.0, 0.0], [-200.0, 200.0, 200.0]])
    assert loss(far, labels(1, 0)).isfinite()
    assert gradient(loss, far, labels(1, 0)).isfinite().all()


def test_the_prior_of_the_bias_tames_the_start() -> None:
    zeros, pids = numbers([[0.0] * 751]), labels(3)
    prior = zeros - math.log(0.99 / 0.01)
    assert float(SigmoidFocal()(zeros, pids)) == pytest.approx(130.14, abs=0.01)
    assert float(AttentionLoss()(zeros, pids)) == pytest.approx(520.55, abs=0.01)
    assert float(SigmoidFocal()(prior, pids)) == pytest.approx(4.514, abs=1e-3)
    assert float(AttentionLoss()(prior, pids)) == pytest.approx(12.143, abs=1e-3)


# Attributes

GENDER, AGE = numbers([[1, 0], [0, 2]]), numbers([[0, 1, 0, -1], [2, 0, 0, 0]])


def test_attribute_values() -> None:
    gender, age = Attribute()(GENDER, labels(0, 1)), Attribute()(AGE, labels(1, IGNORE))
    assert float(gender) == pytest.approx(0.2200948492805978, rel=1e-12)
    assert float(age) == pytest.approx(0.6265233750364457, rel=1e-12)
    heads = AttributeLoss()({"gender": GENDER, "age": AGE}, {"gender": labels(0, 1), "age": labels(1, IGNORE)})
    total = 0.9 * CrossEntropy()(Z, Y) + 0.1 * heads
    assert float(total) == pytest.approx(0.3917951061464153, rel=1e-12)


def test_a_head_nobody_is_annotated_for_is_left_out_of_the_mean() -> None:
    loss = AttributeLoss()
    both = loss({"gender": GENDER, "age": AGE}, {"gender": labels(0, 1), "age": labels(IGNORE, IGNORE)})
    assert torch.allclose(both, Attribute()(GENDER, labels(0, 1)))
    none = loss({"age": AGE}, {"age": labels(IGNORE, IGNORE)})
    assert float(none) == 0


def test_attribute_weights() -> None:
    values = {"gender": labels(0, 1), "age": labels(1, 0)}
    weighted = AttributeLoss(weights={"age": 3.0}, class_weights={"gender": [2.0, 2.0]})
    expected = (2 * Attribute()(GENDER, labels(0, 1)) + 3 * Attribute()(AGE, labels(1, 0))) / 4
    assert torch.allclose(weighted({"gender": GENDER, "age": AGE}, values), expected)
    hats = balanced([731, 20])
    assert hats == pytest.approx([751 / 1462, 751 / 40])
    assert 731 * hats[0] + 20 * hats[1] == pytest.approx(751)
    with pytest.raises(UsageError, match="at least one"):
        balanced([5, 0])
    with pytest.raises(UsageError, match="age"):
        weighted({"age": AGE}, {"gender": labels(0, 1)})


# Adaptive selection


def test_adaptive_hard_by_hand() -> None:
    loss = AdaptiveHard()
    assert float(loss(Z, Y)) == pytest.approx(0.4076059644443804, rel=1e-9)
    assert float(loss.threshold) == pytest.approx(0.321660, abs=1e-6)


def test_the_threshold_follows_and_survives() -> None:
    loss, draws = AdaptiveHard(rate=0.5, min_keep=0.01), torch.Generator().manual_seed(0)
    trail = None
    for _ in range(4):
        z = torch.randn(8, 5, generator=draws, dtype=torch.float64)
        y = torch.randint(5, (8,), generator=draws)
        hard = 1 - z.softmax(1).gather(1, y[:, None])[:, 0]
        trail = hard.mean() if trail is None else 0.5 * trail + 0.5 * hard.mean()
        expected = F.cross_entropy(z, y, reduction="none")[hard >= trail].mean()
        assert torch.allclose(loss(z, y), expected)
    resumed = AdaptiveHard(rate=0.5, min_keep=0.01)
    resumed.load_state_dict(loss.state_dict())
    assert torch.equal(loss.eval()(z, y), resumed.eval()(z, y))
    assert torch.equal(loss.threshold, resumed.threshold)


def test_some_samples_are_always_kept_and_all_in_the_warm_up() -> None:
    z = numbers([[4, 0], [3, 0], [2, 0], [1, 0]])
    y = labels(0, 0, 0, 0)
    loss = AdaptiveHard(min_keep=0.5)
    loss.threshold.fill_(0.999)
    loss.started.fill_(True)
    each = F.cross_entropy(z, y, reduction="none")
    assert torch.allclose(loss.eval()(z, y), each[2:].mean())  # below the bar, all of them: the two hardest
    patient = AdaptiveHard(warmup=2)
    patient.set_clock(0, 1.9)
    assert torch.allclose(patient(z, y), each.mean())
    patient.set_clock(1, 2.0)
    assert float(patient(z, y)) > float(each.mean())


def test_a_broken_row_is_seen_and_does_not_stay() -> None:
    loss = AdaptiveHard()
    z = Z.clone()
    z[1] = math.nan
    assert loss(z, Y).isnan()
    assert loss.threshold.isfinite()
