from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from resight import losses
from resight.errors import RecipeError, TrainingError
from resight.training.clock import Clock
from resight.training.objective.objective import Objective
from resight.training.objective.step import Step
from resight.training.objective.terms import TermConfig, flatten, offered
from resight.types import IGNORE, Batch, ReIDOutput

K = 3


def output(seed: int = 0) -> ReIDOutput:
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, requires_grad=True)

    return ReIDOutput(
        features={"global": draw(6, 8)},
        logits={
            "identity": draw(6, K),
            "part/0": draw(6, K),
            "part/1": draw(6, K),
            "attribute/hat": draw(6, 2),
            "attribute/bag": draw(6, 2),
        },
    )


def batch(**attributes: Tensor) -> Batch:
    pids = torch.tensor([0, 0, 1, 1, 2, 2])
    return Batch(torch.zeros(6, 3, 4, 4), pids, torch.zeros(6, dtype=torch.long), torch.arange(6), attributes)


def objective(*terms: TermConfig) -> Objective:
    return Objective(terms, offered(output()), K)


def test_the_total_is_the_weighted_sum_of_the_parts() -> None:
    built = objective(
        TermConfig("id", "cross_entropy", "logits.identity", weight=2.0),
        TermConfig("tri", "trihard", "features.global", weight=0.5, options={"margin": 1.0}),
    )
    out, b = output(), batch()
    report = built(out, b)
    identity = nn.functional.cross_entropy(out.logits["identity"], b.pids)
    triplet = losses.TriHard(margin=1.0)(out.features["global"], b.pids)
    torch.testing.assert_close(report.total, 2 * identity + 0.5 * triplet)
    torch.testing.assert_close(report.parts["tri"], triplet.detach())


@pytest.mark.parametrize(("combine", "scale"), [("mean", 0.5), ("sum", 1.0)])
def test_a_pattern_covers_all_it_matches(combine: str, scale: float) -> None:
    built = objective(TermConfig("parts", "cross_entropy", "logits.part/*", combine=combine))  # type: ignore[arg-type]
    out, b = output(), batch()
    both = sum(nn.functional.cross_entropy(out.logits[f"part/{i}"], b.pids) for i in range(2))
    torch.testing.assert_close(built(out, b).total, scale * torch.as_tensor(both))


def test_attributes_pair_each_head_with_its_column_and_leave_out_the_unannotated() -> None:
    built = objective(TermConfig("attributes", "cross_entropy", "logits.attribute/*", target="attributes.*"))
    out = output()
    hat, bag = torch.tensor([0, 1, IGNORE, 1, 0, 1]), torch.full((6,), IGNORE)
    expected = nn.functional.cross_entropy(out.logits["attribute/hat"], hat, ignore_index=IGNORE)
    torch.testing.assert_close(built(out, batch(hat=hat, bag=bag)).total, expected)


def test_nothing_annotated_anywhere_is_zero_with_a_graph() -> None:
    built = objective(TermConfig("attributes", "cross_entropy", "logits.attribute/*", target="attributes.*"))
    nothing = torch.full((6,), IGNORE)
    report = built(output(), batch(hat=nothing, bag=nothing))
    report.total.backward()
    assert float(report.total) == 0.0


@pytest.mark.parametrize(
    ("term", "sentence"),
    [
        (
            TermConfig("id", "cross_entropy", "logits.identiy"),
            r"objective\.terms\.id\.on: no output 'logits.identiy'; the model offers logits.identity",
        ),
        (
            TermConfig("id", "cross_entropi", "logits.identity"),
            r"objective\.terms\.id\.loss: there is no loss named 'cross_entropi'. Did you mean 'cross_entropy'",
        ),
        (
            TermConfig("id", "cross_entropy", "logits.identity", options={"smoting": 1}),
            r"objective\.terms\.id\.smoting: there is no option .*Did you mean 'label_smoothing'",
        ),
        (TermConfig("id", "cross_entropy", "features.global"), "cross_entropy takes logits"),
        (TermConfig("id.one", "cross_entropy", "logits.identity"), "'id.one'; expected one without a dot"),
        (TermConfig("id", "trihard", "logits.identity"), "trihard takes features.*offers features.global"),
    ],
)
def test_a_wrong_term_is_answered_with_the_right_ones(term: TermConfig, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        objective(term)


def test_two_terms_of_one_name_are_refused() -> None:
    term = TermConfig("id", "cross_entropy", "logits.identity")
    with pytest.raises(RecipeError, match="same name"):
        objective(term, term)


def test_an_unknown_attribute_is_answered_with_the_known() -> None:
    built = objective(TermConfig("a", "cross_entropy", "logits.attribute/hat", target="attributes.hat"))
    with pytest.raises(RecipeError, match="no attribute 'hat'; they have bag"):
        built(output(), batch(bag=torch.zeros(6, dtype=torch.long)))


def test_a_broken_loss_names_its_term_and_step() -> None:
    built = objective(
        TermConfig("id", "cross_entropy", "logits.identity"), TermConfig("tri", "trihard", "features.global")
    )
    out = output()
    out.features["global"].data[0] = math.nan
    report = built(out, batch())
    with pytest.raises(TrainingError, match=r"not finite at step 12 \(epoch 1.20\): tri broke"):
        report.check_finite(Clock(10, 12))


def test_spread_is_zero_for_one_descriptor_and_near_one_for_many() -> None:
    built = objective(TermConfig("id", "cross_entropy", "logits.identity"))
    same, many = output(), output()
    same.features["global"].data[:] = 1.0
    assert float(built(same, batch()).spread) == pytest.approx(0.0, abs=1e-6)
    many.features["global"].data[:] = torch.eye(6, 8)
    assert float(built(many, batch()).spread) == pytest.approx(1 - 1 / math.sqrt(6))


def test_the_step_joins_model_and_objective() -> None:
    class Model(nn.Module):
        def forward(self, images: Tensor) -> ReIDOutput:
            return output(3)

    built = objective(TermConfig("id", "cross_entropy", "logits.identity"))
    torch.testing.assert_close(Step(Model(), built)(batch()).total, built(output(3), batch()).total)
    assert set(flatten(output())) >= {"features.global", "logits.part/1"}


def test_losses_on_maps_also_take_what_maps_gather() -> None:
    """The pieces of an attention map are vectors; a loss on features still may not have a map."""
    g = torch.Generator().manual_seed(0)
    pieces = {f"piece/{k}": torch.rand(6, 8, generator=g, requires_grad=True) for k in (1, 2)}
    out = ReIDOutput(features=pieces, maps={"attention": torch.rand(6, 2, 4, 2, generator=g)})
    term = TermConfig("diversity", "attention_diversity", "features.piece/*", target="none")
    report = Objective([term], offered(out), K)(out, batch())
    expected = torch.cosine_similarity(pieces["piece/1"], pieces["piece/2"]).mean()
    torch.testing.assert_close(report.total, expected)
    with pytest.raises(RecipeError, match=r"trihard takes features, and 'maps.attention' is not"):
        Objective([TermConfig("t", "trihard", "maps.attention")], offered(out), K)


@pytest.mark.parametrize("name", ["center", "verification", "sharded"])
def test_losses_on_features_that_own_something_are_terms_too(name: str) -> None:
    report = objective(TermConfig("owner", name, "features.global"))(output(), batch())
    assert report.total.isfinite()
    assert report.total > 0


def test_losses_that_draw_follow_the_run_s_seed_unless_the_term_has_its_own() -> None:
    def centers(run: int, **options: int) -> Tensor:
        term = TermConfig("centre", "center", "features.global", options=options)
        return torch.cat([b.flatten() for b in Objective([term], offered(output()), K, seed=run).buffers()])

    assert torch.equal(centers(1), centers(1)) and not torch.equal(centers(0), centers(1))
    assert torch.equal(centers(1, seed=7), centers(2, seed=7))
