"""A gradient is the same whichever way it comes about; what differs, and by how much, is said."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from resight.dist import rank
from resight.errors import NotFiniteError, RecipeError
from resight.recipe import Recipe
from resight.run import Run, train
from resight.training.batches.sources import SourceConfig
from resight.training.clock import Clock
from resight.training.objective.loss_report import LossReport
from resight.training.objective.objective import Objective
from resight.training.objective.step import Step
from resight.training.objective.terms import TermConfig, flatten, offered, unflatten
from resight.training.objective.weighting import WeightingConfig
from resight.training.optimization.backward import (
    FullBatch,
    GradientAccumulation,
    GradientCache,
    GradientStrategy,
    check_shares,
    split,
)
from resight.training.parallel import Parallel
from resight.types import Batch, ReIDOutput
from tests import ranks
from tests.tiny import tiny

K, B = 4, 16


class Network(nn.Module):
    """A network with a feature, logits and a map; with batch norm or dropout where asked."""

    def __init__(self, *, norm: bool = False, drop: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        draws = torch.Generator().manual_seed(0)
        self.first, self.second, self.classifier = nn.Linear(12, 10), nn.Linear(10, 6), nn.Linear(6, K)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=draws)
        self.norm = nn.BatchNorm1d(10) if norm else nn.Identity()
        self.drop = nn.Dropout(drop)

    def forward(self, images: Tensor) -> ReIDOutput:
        hidden = self.drop(self.norm(self.first(images.flatten(1))).tanh())
        feature = self.second(hidden)
        maps = {name: (hidden * scale).exp().view(-1, 2, 5, 1) for name, scale in (("one", 0.2), ("two", 0.1))}
        return ReIDOutput({"global": feature, "other": feature.tanh()}, {"identity": self.classifier(feature)}, maps)


def batch(seed: int = 0, rows: int = B) -> Batch:
    draws = torch.Generator().manual_seed(seed)
    pids = torch.arange(rows) // (rows // K)
    images = torch.rand(rows, 3, 2, 2, generator=draws, dtype=torch.float64)
    return Batch(images, pids, torch.zeros_like(pids), torch.arange(rows), {"hat": pids % 2})


SAMPLE_WISE = [TermConfig("identity", "cross_entropy", "logits.identity", options={"label_smoothing": 0.1})]
EVERYTHING = [
    *SAMPLE_WISE,
    TermConfig("triplet", "adaptive_triplet", "features.*", options={"margin": 2.0}),
    TermConfig("remembered", "trihard", "features.global", memory=24, options={"margin": 9.0}),
    TermConfig("pairs", "verification", "features.global"),  # owns a classifier
    TermConfig("maps", "attention_diversity", "maps.*", target="none"),
    TermConfig("agree", "distillation", ("features.global", "features.other"), target="none"),
]


def step_of(terms: list[TermConfig], *, norm: bool = False, drop: float = 0.0) -> Step:
    network = Network(norm=norm, drop=drop)
    offers = offered(Network()(batch().images.float()))
    return Step(network, Objective(terms, offers, K)).double().train()


def gradient(strategy: GradientStrategy, step: Step, rows: Batch) -> tuple[LossReport, dict[str, Tensor]]:
    torch.manual_seed(1)
    report = strategy(step, rows, Clock(10))
    return report, {name: p.grad for name, p in step.named_parameters() if p.grad is not None}


def nothing() -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def assert_same(
    strategies: tuple[GradientStrategy, GradientStrategy], terms: list[TermConfig], **options: float
) -> None:
    (one, first), (two, second) = (gradient(strategy, step_of(terms, **options), batch()) for strategy in strategies)  # type: ignore[arg-type]
    assert first.keys() == second.keys()
    assert len(first) >= 6
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-10, atol=1e-10, msg=name)
    for name in one.parts:
        torch.testing.assert_close(one.parts[name], two.parts[name], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(one.total, two.total, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("parts", [2, 4, 16])
def test_accumulation_is_the_whole_batch_for_losses_of_single_rows(parts: int) -> None:
    assert_same((FullBatch(nothing), GradientAccumulation(parts, nothing)), SAMPLE_WISE)


def test_accumulation_shows_a_metric_loss_its_share_only() -> None:
    terms = [TermConfig("triplet", "trihard", "features.global", options={"margin": 9.0})]
    report, found = gradient(GradientAccumulation(2, nothing), step_of(terms), batch())
    shares = [gradient(FullBatch(nothing), step_of(terms), half) for half in split(batch(), 2)]
    for name in found:
        torch.testing.assert_close(found[name], sum(each[name] for _, each in shares) / 2)
    assert report.total == sum(each.total for each, _ in shares) / 2
    assert not torch.allclose(report.total, gradient(FullBatch(nothing), step_of(terms), batch())[0].total)


@pytest.mark.parametrize("chunk", [1, 3, 4, 8, 16, 99])
def test_a_cached_gradient_is_the_big_batchs_of_every_output_and_of_what_losses_own(chunk: int) -> None:
    assert_same((FullBatch(nothing), GradientCache(chunk, nothing)), EVERYTHING)


def test_dropout_draws_the_same_in_both_passes() -> None:
    """The cache is of outputs under certain masks; with other ones in the second pass the gradient would be wrong."""
    step, rows = step_of(EVERYTHING, drop=0.5), batch()
    _, found = gradient(GradientCache(4, nothing), step, rows)
    torch.manual_seed(1)
    seeds, outputs = torch.randint(2**62, (4,)).tolist(), []
    spelled = step_of(EVERYTHING, drop=0.5)
    for seed, chunk in zip(seeds, split(rows, 4), strict=True):
        torch.manual_seed(seed)
        outputs.append(flatten(spelled.model(chunk.images)))
    joined = unflatten({name: torch.cat([each[name] for each in outputs]) for name in outputs[0]})
    ranks.backward(spelled.objective(joined, rows).total)
    for name, parameter in spelled.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-10, atol=1e-10)


def test_batch_norm_moves_once_a_chunk_and_sees_one_chunk() -> None:
    cached, spelled, rows = step_of(EVERYTHING, norm=True), step_of(EVERYTHING, norm=True), batch()
    gradient(GradientCache(4, nothing), cached, rows)
    for chunk in split(rows, 4):
        spelled.model(chunk.images)
    for name, buffer in spelled.model.named_buffers():
        assert torch.equal(dict(cached.model.named_buffers())[name], buffer), name
    whole = step_of(EVERYTHING, norm=True)
    gradient(FullBatch(nothing), whole, rows)
    assert int(whole.model.norm.num_batches_tracked) == 1  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize("strategy", [FullBatch(nothing), GradientAccumulation(2, nothing), GradientCache(4, nothing)])
def test_a_compiled_step_finds_the_same_gradient(strategy: GradientStrategy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced forward and backward as torch.compile does; no kernels are written, which takes minutes."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain, traced = step_of(EVERYTHING), step_of(EVERYTHING)
    traced.compile_parts()
    (one, found), (two, compiled) = gradient(strategy, plain, batch()), gradient(strategy, traced, batch())
    torch.testing.assert_close(one.total, two.total, rtol=1e-10, atol=1e-10)
    assert compiled.keys() == found.keys()
    for name in found:
        torch.testing.assert_close(found[name], compiled[name], rtol=1e-10, atol=1e-10, msg=name)


def test_a_compiled_step_reads_the_losses_of_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pyramid's later controller weighs a batch by that batch's losses."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    terms = [*SAMPLE_WISE, TermConfig("triplet", "trihard", "features.global")]
    config = WeightingConfig("dynamic_focal", decide="after", start="zero", alone="balanced")
    offers = offered(Network()(batch().images.float()))
    plain, traced = (
        Step(Network(), Objective(terms, offers, K, ("random", "balanced"), config)).double().train() for _ in range(2)
    )
    traced.compile_parts()
    for seed in range(3):
        one, two = plain(batch(seed)), traced(batch(seed))
        assert one.weights == pytest.approx(two.weights)
        torch.testing.assert_close(one.total, two.total, rtol=1e-10, atol=1e-10)


def test_a_loss_that_is_no_number_reaches_no_parameter() -> None:
    rows = batch()
    broken = Batch(rows.images * torch.nan, rows.pids, rows.camids, rows.index)
    for strategy in (FullBatch(nothing), GradientAccumulation(2, nothing), GradientCache(4, nothing)):
        step = step_of(SAMPLE_WISE)
        with pytest.raises(NotFiniteError, match="identity broke"):
            strategy(step, broken, Clock(10))
        assert all(parameter.grad is None for parameter in step.parameters())


def test_shares_keep_rows_and_their_order() -> None:
    shares = split(batch(), 3)
    assert [len(share.pids) for share in shares] == [6, 5, 5]
    assert torch.equal(torch.cat([share.index for share in shares]), torch.arange(B))
    assert torch.equal(torch.cat([share.attributes["hat"] for share in shares]), batch().attributes["hat"])


SPREAD = [term for term in EVERYTHING if term.name != "remembered"]


def _shared(cached: bool) -> dict[str, Tensor]:
    """The gradient that data-parallel training leaves, of this rank's half of the batch."""
    step = step_of(SPREAD)
    parallel = Parallel(step.model, step.objective)  # type: ignore[arg-type]
    strategy: GradientStrategy = GradientCache(3, nothing) if cached else GradientAccumulation(2, nothing)
    gradient(strategy, step if cached else parallel.wrap(step), split(batch(), 2)[rank()])
    parallel.finish_gradients()
    return {name: p.grad for name, p in step.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("cached", [True, False])
def test_two_processes_find_the_gradient_of_one(cached: bool) -> None:
    """Of what the losses own too.  A share of the batch is the shares of both processes, one after the other."""
    quarters = [half for rows in split(batch(), 2) for half in split(rows, 2)]
    shares = [batch()] if cached else [joined(quarters[number], quarters[number + 2]) for number in range(2)]
    expected = [gradient(FullBatch(nothing), step_of(SPREAD), share)[1] for share in shares]
    for found in ranks.run(2, _shared, cached):
        for name in expected[0]:
            mean = torch.stack([each[name] for each in expected]).mean(dim=0)
            torch.testing.assert_close(found[name], mean, rtol=1e-9, atol=1e-10, msg=name)


def joined(one: Batch, two: Batch) -> Batch:
    def both(name: str) -> Tensor:
        return torch.cat([getattr(one, name), getattr(two, name)])

    return Batch(both("images"), both("pids"), both("camids"), both("index"))


def test_identities_are_not_torn_apart() -> None:
    check_shares(4, {"main": SourceConfig(ids=8)})
    with pytest.raises(RecipeError, match=r"accumulate is 3.*8 of feed.main.ids"):
        check_shares(3, {"main": SourceConfig(ids=8)})
    with pytest.raises(RecipeError, match=r"10 of feed.alone.batch_size"):
        check_shares(4, {"alone": SourceConfig(sampler="random", batch_size=10)})


def plan(people: Path, *settings: str) -> Recipe:
    values = tiny(people, "model.name=baseline", "feed.main.ids=4", "feed.main.images=3", "train.epochs=2").to_dict()
    values["objective"]["terms"] = values["objective"]["terms"][1:]  # the triplet loss alone
    return Recipe.from_dict(values).override(*settings)


def losses_of(run: Run) -> list[float]:
    return [line["total"] for line in run.journal if line["event"] == "train"]


@pytest.mark.parametrize("setting", ["train.accumulate=2", "train.gradient_cache=4"])
def test_recipes_reach_them(people: Path, tmp_path: Path, setting: str) -> None:
    every = ("train.log_every=1", "objective.terms.triplet.memory=24", "objective.terms.triplet.memory_start=2")
    plain = losses_of(train(plan(people, *every), tmp_path / "plain"))
    other = losses_of(train(plan(people, setting, *every), tmp_path / "other"))
    assert len(plain) == len(other) == 6
    assert plain != other  # batch norm sees a share


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("train.accumulate=3",), r"does not divide the 4 of feed\.main\.ids"),
        (("train.accumulate=2", "train.gradient_cache=4"), "not both"),
        (("train.accumulate=0",), r"train\.accumulate: found 0; .*greater than or equal to 1"),
        (("train.recover=1", "train.recover_factor=0"), r"train\.recover_factor: found 0; .*greater than 0"),
        (("objective.terms.triplet.memory=8", "objective.terms.triplet.loss=center"), "compares no descriptors"),
        (
            (
                "train.gradient_cache=4",
                "model.name=verification",
                "model.backbone={name='resnet10', width=8}",
                "objective.terms.triplet.loss=pair_verification",
                "objective.terms.triplet.on=logits.same",
            ),
            r"logits\.same compares the pictures of a batch",
        ),
    ],
)
def test_what_cannot_be_is_answered_before_pictures_are_read(
    people: Path, tmp_path: Path, settings: tuple[str, ...], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        train(plan(people, *settings), tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.toml").exists()
