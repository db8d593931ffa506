"""Ensembles: several networks as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from resight import models
from resight.errors import UsageError
from resight.models import Ensemble
from resight.models.files.fitting import without_sources

if TYPE_CHECKING:
    from pathlib import Path

    from resight.models import ReIDModel

TRUNK = {"name": "resnet10", "width": 8}
MEMBERS: dict[str, Any] = {
    "plain": {"name": "baseline", "backbone": TRUNK, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)},
    "neck": {"name": "strong_baseline", "backbone": TRUNK | {"ibn": True}},
}
PICTURES = torch.rand(5, 3, 64, 32, generator=torch.Generator().manual_seed(0))


def member(name: str, num_ids: int = 0, size: tuple[int, int] = (64, 32), **options: Any) -> ReIDModel:
    return models.build(name, num_ids, input_size=size, backbone=TRUNK, **options).eval()


def cosines(model: ReIDModel) -> torch.Tensor:
    vectors = torch.nn.functional.normalize(model.embed(PICTURES))
    return vectors @ vectors.T


def test_the_cosine_of_an_ensemble_is_the_mean_of_its_members_cosines() -> None:
    one, two = member("baseline", mean=(0.5, 0.5, 0.5)), member("strong_baseline")
    with torch.no_grad():
        dict(two.named_parameters())["neck.weight"].mul_(30)  # a member of long descriptors weighs no more
        both = Ensemble.of({"one": one, "two": two})
        torch.testing.assert_close(cosines(both), (cosines(one) + cosines(two)) / 2)
    assert both.embedding_dim == one.embedding_dim + two.embedding_dim


def test_members_keep_their_statistics_features_and_classifiers() -> None:
    model = models.build("ensemble", 4, input_size=(64, 32), members=MEMBERS).train()
    assert isinstance(model, Ensemble)
    output = model(PICTURES)
    assert set(output.logits) == {"plain/identity", "neck/identity"}
    assert set(output.features) == {"plain", "plain/global", "neck", "neck/global", "neck/neck"}
    assert dict(model.each())["plain"].mean.flatten().tolist() == [0.5] * 3
    assert [name for name, _ in model.classifiers()] == ["members.plain.classifier", "members.neck.classifier"]
    alone = dict(model.eval().each())["plain"]
    with torch.no_grad():
        torch.testing.assert_close(model(PICTURES).logits["plain/identity"], alone(PICTURES).logits["identity"])


def test_a_file_says_all_of_each_member(tmp_path: Path) -> None:
    both = Ensemble.of({"one": member("baseline"), "two": member("strong_baseline")})
    again = models.read_model(models.save_model(both, tmp_path))
    assert again.spec == both.spec
    assert again.fingerprint() == both.fingerprint()
    with torch.no_grad():
        assert torch.equal(again.embed(PICTURES), both.embed(PICTURES))
    stored = both.spec.options["members"]["two"]
    assert stored["backbone"]["last_stride"] is None
    assert stored["pooling"] == "average"


def test_a_file_is_read_without_the_weights_its_members_began_with() -> None:
    options = {"members": {"one": {"name": "baseline", "backbone": {"name": "resnet18", "pretrained": True}}}}
    assert without_sources(options)["members"]["one"]["backbone"] == {"name": "resnet18"}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "members: found 0; expected 1 to 16"),
        ({f"m{i}": {"name": "baseline"} for i in range(17)}, "found 17"),
        ({"a.b": {"name": "baseline"}}, "'a.b' is no name for a member"),
        ({"one": {"name": "ensemble"}}, "members.one: an ensemble"),
        ({"one": {"name": "baseline", "pooling": "mean"}}, "pooling: found 'mean'"),
        ({"one": {"name": "basline"}}, "'basline'.*baseline"),
    ],
)
def test_members_that_cannot_be_are_refused(members: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        models.options_of("ensemble", members=members)


def test_pixel_statistics_belong_to_the_members() -> None:
    with pytest.raises(UsageError, match="mean, std: each member"):
        models.options_of("ensemble", mean=(0.5, 0.5, 0.5), members=MEMBERS)


def test_trained_models_must_take_the_same_pictures_and_leave_their_classifiers() -> None:
    with pytest.raises(UsageError, match="pictures of one size"):
        Ensemble.of({"one": member("baseline"), "two": member("baseline", size=(96, 32))})
    with pytest.raises(UsageError, match="num_ids=0"):
        Ensemble.of({"one": member("baseline", num_ids=3)})
    with pytest.raises(UsageError, match="found 0"):
        Ensemble.of({})


def test_a_member_of_fixed_size_fixes_the_size() -> None:
    vit = {"name": "timm/vit_tiny_patch16_224"}
    model = models.build("ensemble", 0, input_size=(64, 32), members={"vit": {"name": "baseline", "backbone": vit}})
    with pytest.raises(UsageError, match="64x32 only"):
        model.eval().embed(torch.rand(1, 3, 96, 32))


def test_the_mirror_image_is_described_as_well() -> None:
    members = {"one": member("baseline"), "two": member("strong_baseline")}
    plain, mirrored = Ensemble.of(members), Ensemble.of(members, flip=True)
    turned = PICTURES.flip(3)
    with torch.no_grad():
        sums = (plain.embed(PICTURES) + plain.embed(turned)).chunk(2, dim=1)
        wanted = torch.cat([torch.nn.functional.normalize(part) for part in sums], dim=1)
        torch.testing.assert_close(mirrored.embed(PICTURES), wanted)
        torch.testing.assert_close(mirrored.embed(turned), wanted)
        torch.testing.assert_close(mirrored.descriptor(mirrored(PICTURES).features), wanted)
    assert mirrored.fingerprint() != plain.fingerprint()


def test_what_members_are_compared_by_is_part_of_the_fingerprint() -> None:
    one, other = (
        models.build("ensemble", 0, input_size=(64, 32), members={"a": MEMBERS["neck"] | {"retrieval": (name,)}})
        for name in ("neck", "global")
    )
    other.load_state_dict(one.state_dict())
    assert one.fingerprint() != other.fingerprint()
