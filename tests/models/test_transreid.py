"""TransReID: the count of patches, the jigsaw by hand, and what a camera does."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from resight import models
from resight.errors import UsageError
from resight.models.transreid import SideInformation, TransReID, deal

VIT = {"dim": 64, "depth": 2}
SIZE = (64, 32)


def build(**options: object) -> TransReID:
    torch.manual_seed(0)
    model = models.build("transreid", 3, **({"backbone": VIT, "input_size": SIZE} | options))
    assert isinstance(model, TransReID)
    return model


@pytest.mark.parametrize(("stride", "grid"), [(16, (16, 8)), (12, (21, 10)), (14, (18, 9))])
def test_patches_of_the_papers_strides(stride: int, grid: tuple[int, int]) -> None:
    with torch.device("meta"):
        model: Any = models.build("transreid", 0, backbone={"stride": stride})
        tokens = model.backbone.embed_patches(torch.empty(1, 3, 256, 128))
    assert model.backbone.grid == grid
    assert tokens.shape == (1, 1 + grid[0] * grid[1], 768)
    assert model.embedding_dim == 5 * 768


def test_the_jigsaw_by_hand() -> None:
    """Eight patches, shift 5: 4..7 0..3; two runs dealt in turn: 4 0 5 1 6 2 7 3; four groups of two."""
    patches = torch.arange(8.0)[None, :, None]
    assert [group.flatten().tolist() for group in deal(patches, shift=5, groups=2)] == [[4, 0], [5, 1], [6, 2], [7, 3]]
    odd = [group.flatten().tolist() for group in deal(torch.arange(9.0)[None, :, None], shift=1, groups=2)]
    assert odd == [[0, 5], [1, 6], [2, 7], [3, 8]]  # 0..8 and 7 again, in two runs of five


def test_parts_count_a_quarter() -> None:
    model = build().eval()
    with torch.no_grad():
        output = model(torch.rand(2, 3, *SIZE))
        expected = [output.features["global"], *(output.features[f"part/{i}"] / 4 for i in range(4))]
        torch.testing.assert_close(model.descriptor(output.features), torch.cat(expected, dim=1))


def test_a_camera_moves_the_descriptor_and_an_unknown_one_is_the_mean() -> None:
    side = SideInformation(3, 8, 2.0)
    told = side(torch.tensor([1, 3, 0, 4, -1]))  # (5, 1, 8)
    mean = 2 * side.vectors.mean(dim=0)
    torch.testing.assert_close(told[:2], 2 * side.vectors[[0, 2]])
    torch.testing.assert_close(told[2:], mean.expand(3, 1, 8))
    torch.testing.assert_close(side(None)[0], mean)
    model, images = build(cameras=2).eval(), torch.rand(2, 3, *SIZE)
    with torch.no_grad():
        first, second = (model.embed(images, torch.tensor([c, c])) for c in (1, 2))
        assert not torch.allclose(first, second)
        assert torch.equal(model.embed(images), model.embed(images, torch.tensor([-1, -1])))
    assert model.takes_cameras
    assert not build().takes_cameras


def test_lambda_is_part_of_the_space() -> None:
    assert build(cameras=2).fingerprint() != build(cameras=2, side_weight=1.0).fingerprint()


def test_the_class_token_of_a_transformer_for_any_method() -> None:
    options = {"name": "vit_tiny_patch16_224", "class_token": True}
    model = models.build("strong_baseline", 0, backbone=options, input_size=SIZE).eval()
    x = model.normalize(torch.rand(2, 3, *SIZE))
    with torch.no_grad():
        token = model.backbone.body.forward_features(x)[:, 0]  # type: ignore[operator, union-attr]
        torch.testing.assert_close(model.describe(x)["global"], token)
    with pytest.raises(UsageError, match="no such token"):
        models.build("strong_baseline", 0, backbone={"name": "resnet18", "class_token": True})
    with pytest.raises(UsageError, match="multiple of 64"):
        models.build("transreid", 0, backbone={"dim": 70})
