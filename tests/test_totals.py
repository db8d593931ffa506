"""Whole objectives by hand: what each method's losses come to together, weighed as its recipe weighs them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from resight.data import RandomSampler
from resight.losses import (
    AttentionDiversity,
    AttentionLoss,
    Circle,
    CurriculumTriplet,
    Distillation,
    ForegroundMass,
    PairwiseCircle,
    SigmoidFocal,
    TriHard,
)
from resight.recipe import Recipe
from resight.training.objective.objective import Objective
from resight.training.objective.terms import offered
from resight.types import Batch, ReIDOutput
from tests.losses.batches import SQUARE, labels, numbers


def evaluated(recipe: Recipe, *terms: str, output: ReIDOutput, pids: Tensor) -> Tensor:
    """The named terms of a recipe on made-up outputs."""
    chosen = [term for term in recipe.objective.terms if term.name in terms]
    objective = Objective(chosen, offered(output), num_ids=3).double()
    batch = Batch(torch.empty(len(pids), 0), pids, torch.zeros_like(pids), torch.arange(len(pids)), {})
    total: Tensor = objective(output, batch).total
    return total


def test_mancs_weighs_its_tasks_1_1_and_a_fifth() -> None:
    """2.272963 + 0.197748 + 0.2 * 4.414267."""
    weight = {term.name: term.weight for term in Recipe.load("mancs_market1501").objective.terms}
    assert weight == {"rank": 1, "identity": 1, "attention": 0.2}
    rank = CurriculumTriplet()
    rank.set_clock(0, 5000)
    parts = {
        "rank": rank(*SQUARE),
        "identity": SigmoidFocal()(numbers([[2, -1, 0]]), labels(0)),
        "attention": AttentionLoss()(numbers([[1, -2, 0.5]]), labels(1)),
    }
    total = sum(weight[name] * float(value) for name, value in parts.items())
    assert total == pytest.approx(3.353564, abs=1e-6)


def test_hacnn_adds_its_branches_and_the_port_takes_their_mean() -> None:
    logits = {"global": numbers([[2, 0.5, -1]]), "local": numbers([[0, 1, 0]])}
    output = ReIDOutput(features={"global": numbers([[1.0]])}, logits=logits, maps={})
    terms = ("global", "local")
    ours = evaluated(Recipe.load("hacnn_market1501"), *terms, output=output, pids=labels(0))
    assert float(ours) == pytest.approx(1.792756, abs=1e-6)
    port = Recipe.load("hacnn_torchreid_market1501").override(
        *(f"objective.terms.{t}.label_smoothing=0" for t in terms)
    )
    assert float(evaluated(port, *terms, output=output, pids=labels(0))) == pytest.approx(0.896378, abs=1e-6)


def test_pyramid_adds_the_identity_losses_of_its_branches() -> None:
    logits = {"part/0-0": numbers([[2, 0, 0]]), "part/1-1": numbers([[0, 1, 0]])}
    output = ReIDOutput(features={"all": numbers([[1.0]])}, logits=logits, maps={})
    recipe = Recipe.load("pyramid_market1501")
    assert float(evaluated(recipe, "identity", output=output, pids=labels(0))) == pytest.approx(1.790989, abs=1e-6)
    mean = recipe.override("objective.terms.identity.combine=mean")
    assert float(evaluated(mean, "identity", output=output, pids=labels(0))) == pytest.approx(0.895495, abs=1e-6)


def test_one_triplet_on_the_concatenation_is_not_one_on_each_branch() -> None:
    """An anchor, its positive, a negative, in two branches: 0.3 together, 0 + 1.714214 apart."""
    one, two, pids = numbers([[1, 0], [1, 0], [0, 1]]), numbers([[0, 1], [1, 0], [0, 1]]), labels(0, 0, 1)
    each = TriHard(0.3, reduction="none")
    assert float(each(torch.cat([one, two], dim=1), pids)[0]) == pytest.approx(0.3)
    assert float(each(one, pids)[0]) == 0
    assert float(each(two, pids)[0]) == pytest.approx(1.714214, abs=1e-6)


def test_pyramids_epoch_is_202_random_batches_of_market1501() -> None:
    assert len(RandomSampler(12_936, 64)) == 202


def test_mdprs_pieces_add_up() -> None:
    """0.446378 + 1.822963 + 0.861709 + 0.0015 - 0.046447."""
    one, two, towards = numbers([[1, 2], [0, 1]]), numbers([[2, 1], [1, -1]]), Distillation()
    pieces = [
        Circle(0.35, 64, label_smoothing=0.1, spread="others")(numbers([[0.6, 0.2, -0.1]]), labels(0)),
        TriHard(0.05)(*SQUARE),
        AttentionDiversity()([numbers([[0.5, 1.190551]]), numbers([[0.797813, 0.595275]])]),
        ForegroundMass()(numbers([[[0.5, 0.25], [0.25, 0.5]]])),
        0.5 * towards(one, two) + 0.5 * towards(two, one),
    ]
    assert float(torch.stack(pieces).sum()) == pytest.approx(3.086103, abs=2e-6)
    weights = {term.name: term.weight for term in Recipe.load("mdpr_market1501").objective.terms}
    assert {name for name, weight in weights.items() if weight != 1} == {"distil_hard", "distil_soft"}
    assert weights["distil_hard"] == weights["distil_soft"] == 0.5


@pytest.mark.parametrize(("positives", "value"), [((0.8, 0.6), 0.062406), ((0.6,), 0.062378)])
def test_the_pairwise_circle_of_one_anchor(positives: tuple[float, ...], value: float) -> None:
    """Cosines to the positives, and 0.2 and -0.1 to the negatives; with one positive it is the class-level value."""
    cosines = (*positives, 0.2, -0.1)
    rows = torch.zeros(1 + len(cosines), 1 + len(cosines), dtype=torch.float64)
    rows[:, 0] = numbers([1.0, *cosines])
    for row, cosine in enumerate(cosines, start=1):
        rows[row, row] = (1 - cosine**2) ** 0.5
    pids = labels(*[0] * (1 + len(positives)), 1, 2)
    assert float(PairwiseCircle(0.35, 64, reduction="none")(rows, pids)[0]) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("num_ids", [751, 702])
def test_a_circle_head_starts_near_fifty(num_ids: int) -> None:
    draws = torch.Generator().manual_seed(0)
    features, weight = (torch.randn(n, 512, generator=draws) for n in (64, num_ids))
    cosines = torch.nn.functional.normalize(features) @ torch.nn.functional.normalize(weight).T
    pids = torch.arange(64)
    assert float(Circle(0.35, 64, label_smoothing=0.1, spread="others")(cosines, pids)) == pytest.approx(50, abs=1.5)
