from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from resight import models
from resight.errors import ImageError, UsageError
from resight.inference import Extractor
from resight.models import ReIDModel

SIZE = (64, 32)


@pytest.fixture(scope="module")
def model() -> ReIDModel:
    torch.manual_seed(0)
    return models.build("strong_baseline", 4, input_size=list(SIZE), backbone={"name": "resnet10", "width": 8}).eval()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def test_every_kind_of_picture_gives_the_same_vector(model: ReIDModel, picture: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "p.png")
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    embed = Extractor(model, device="cpu")
    kinds = [
        str(tmp_path / "p.png"),
        tmp_path / "p.png",
        (tmp_path / "p.png").read_bytes(),
        Image.fromarray(picture),
        picture,
        tensor,
        tensor.float() / 255,
    ]
    expected = embed(picture)
    assert expected.shape == (1, model.embedding_dim)
    assert expected.dtype == np.float32
    for kind in kinds:
        np.testing.assert_allclose(embed(kind), expected, atol=1e-6)
    np.testing.assert_allclose(embed(kinds), np.repeat(expected, len(kinds), axis=0), atol=1e-6)
    np.testing.assert_allclose(embed(torch.stack([tensor, tensor])), np.repeat(expected, 2, axis=0), atol=1e-6)


def test_vectors_have_unit_length_whatever_the_batch(model: ReIDModel) -> None:
    pictures = list(np.random.default_rng(1).integers(0, 256, (7, 50, 20, 3), dtype=np.uint8))
    whole = Extractor(model, device="cpu", batch=7)(pictures)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(Extractor(model, device="cpu", batch=2)(pictures), whole, atol=1e-6)


def test_flip_makes_a_picture_and_its_mirror_one(model: ReIDModel, picture: np.ndarray) -> None:
    plain, flipped = Extractor(model, device="cpu"), Extractor(model, device="cpu", flip=True)
    mirror = np.ascontiguousarray(picture[:, ::-1])
    assert np.abs(plain(picture) - plain(mirror)).max() > 1e-4
    np.testing.assert_allclose(flipped(picture), flipped(mirror), atol=1e-6)


def test_a_broken_picture_is_named_or_listed(model: ReIDModel, picture: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "good.jpg")
    (tmp_path / "zero.jpg").write_bytes(b"")
    paths = [tmp_path / "good.jpg", tmp_path / "zero.jpg", tmp_path / "none.jpg", tmp_path / "good.jpg"]
    embed = Extractor(model, device="cpu", batch=2)
    with pytest.raises(ImageError, match="zero.jpg"):
        embed(paths)
    vectors, broken = embed.tolerant(paths)
    assert len(vectors) == 2
    assert [(item.index, item.path.name) for item in broken] == [(1, "zero.jpg"), (2, "none.jpg")]


def test_nothing_in_nothing_out(model: ReIDModel) -> None:
    assert Extractor(model, device="cpu")([]).shape == (0, model.embedding_dim)


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)])
def test_an_array_of_another_kind_is_a_sentence(model: ReIDModel, wrong: np.ndarray) -> None:
    with pytest.raises(ImageError, match="RGB uint8"):
        Extractor(model, device="cpu")([wrong])


def test_a_device_that_is_not_here_is_a_sentence(model: ReIDModel) -> None:
    with pytest.raises(UsageError, match="no device 'tpu9'"):
        Extractor(model, device="tpu9")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device"):
            Extractor(model, device="cuda:0")


def test_progress_hears_every_block(model: ReIDModel, picture: np.ndarray) -> None:
    heard: list[int] = []
    Extractor(model, device="cpu", batch=2)([picture] * 5, heard.append)
    assert heard == [2, 4, 5]
