from __future__ import annotations

import copy
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from resight import models
from resight.errors import ImageError, UsageError
from resight.inference import Extractor, resolve_device
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
    kinds: list[Any] = [
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


@pytest.mark.slow
def test_a_compiled_model_gives_the_same_vectors(model: ReIDModel) -> None:
    pictures = list(np.random.default_rng(1).integers(0, 256, (7, 50, 20, 3), dtype=np.uint8))
    embed = Extractor(model, device="cpu", batch_size=4, precision="fp32", compile=True)
    expected = Extractor(model, device="cpu", precision="fp32")(pictures)
    np.testing.assert_allclose(embed(pictures), expected, atol=1e-5)  # of which the last batch is not full
    np.testing.assert_allclose(embed(pictures[5]), expected[5:6], atol=1e-5)


def test_vectors_have_unit_length_whatever_the_batch(model: ReIDModel) -> None:
    pictures = list(np.random.default_rng(1).integers(0, 256, (7, 50, 20, 3), dtype=np.uint8))
    whole = Extractor(model, device="cpu", batch_size=7)(pictures)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(Extractor(model, device="cpu", batch_size=2)(pictures), whole, atol=1e-6)


def test_flip_makes_a_picture_and_its_mirror_one(model: ReIDModel, picture: np.ndarray) -> None:
    plain, flipped = Extractor(model, device="cpu"), Extractor(model, device="cpu", flip=True)
    mirror = np.ascontiguousarray(picture[:, ::-1])
    assert np.abs(plain(picture) - plain(mirror)).max() > 1e-4
    np.testing.assert_allclose(flipped(picture), flipped(mirror), atol=1e-6)


def test_a_broken_picture_is_named_or_listed(model: ReIDModel, picture: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "good.jpg")
    (tmp_path / "zero.jpg").write_bytes(b"")
    paths = [tmp_path / "good.jpg", tmp_path / "zero.jpg", tmp_path / "none.jpg", tmp_path / "good.jpg"]
    embed = Extractor(model, device="cpu", batch_size=2)
    with pytest.raises(ImageError, match="zero.jpg"):
        embed(paths)
    vectors, broken = embed.tolerant(paths)
    assert len(vectors) == 2
    assert [(item.index, Path(item.name).name) for item in broken] == [(1, "zero.jpg"), (2, "none.jpg")]


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
    if not torch.backends.mps.is_available():
        with pytest.raises(UsageError, match="no MPS device"):
            Extractor(model, device="mps")


def test_a_device_beyond_those_that_are_here_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UsageError, match="of that number, only 2"):
        resolve_device("cuda:2")


def test_progress_hears_every_block(model: ReIDModel, picture: np.ndarray) -> None:
    heard: list[int] = []
    Extractor(model, device="cpu", batch_size=2)([picture] * 5, heard.append)
    assert heard == [2, 4, 5]


def test_one_picture_has_one_vector_alone_or_in_a_batch_and_however_it_comes(model: ReIDModel, tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (90, 41, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    embed = Extractor(model, device="cpu", precision="fp32")
    expected = embed(tmp_path / "turned.png")
    with Image.open(tmp_path / "turned.png") as opened:
        np.testing.assert_array_equal(embed(opened), expected)
    np.testing.assert_array_equal(embed(io.BytesIO((tmp_path / "turned.png").read_bytes())), expected)
    upright = np.ascontiguousarray(np.rot90(pixels, -1))
    np.testing.assert_array_equal(embed(torch.from_numpy(upright).permute(2, 0, 1).float() / 255), expected)
    batch = embed([np.zeros((50, 20, 3), np.uint8)] * 4 + [upright])
    np.testing.assert_allclose(batch[4:], expected, atol=1e-6)


def test_the_model_embeds_in_evaluation_mode_and_is_left_as_it_was(model: ReIDModel, picture: np.ndarray) -> None:
    other = copy.deepcopy(model)
    embed = Extractor(other, device="cpu", precision="fp32")
    expected = embed([picture] * 3)
    other.train()
    next(other.children()).eval()
    modes = [part.training for part in other.modules()]
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    np.testing.assert_array_equal(embed([picture] * 3), expected)  # batch statistics would differ
    assert [part.training for part in other.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


def test_bad_items_are_listed_one_by_one(model: ReIDModel, picture: np.ndarray) -> None:
    jpeg = io.BytesIO()
    Image.fromarray(picture).save(jpeg, "JPEG")
    torn = Image.open(io.BytesIO(jpeg.getvalue()[: len(jpeg.getvalue()) // 2]))
    nan = torch.full((3, *SIZE), torch.nan)
    items: list[Any] = [picture, Image.fromarray(picture).crop((3, 3, 3, 9)), torn, nan, nan.nan_to_num() + 200, None]
    embed = Extractor(model, device="cpu", batch_size=4, precision="fp32")
    vectors, broken = embed.tolerant([*items, picture])
    assert [item.index for item in broken] == [1, 2, 3, 4, 5]
    assert [item.name for item in broken][:2] == ["picture 1", "picture 2"]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    with pytest.raises(ImageError, match="picture 1 is empty"):
        embed(items)


@pytest.mark.parametrize(
    ("precision", "sentence"), [("fp8", "no precision 'fp8'; choose auto"), ("fp16", "for GPUs; on the CPU")]
)
def test_a_precision_is_honored_or_refused(model: ReIDModel, precision: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Extractor(model, device="cpu", precision=precision)


def test_half_precision_is_honored(model: ReIDModel, picture: np.ndarray) -> None:
    exact, half = (Extractor(model, device="cpu", precision=p)(picture)[0] for p in ("fp32", "bf16"))
    assert 0.999 < float(exact @ half) < 1 - 1e-7


def test_auto_takes_what_a_trial_shows_to_be_faster_and_says_so(
    model: ReIDModel, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    took = {"fp32": 100.0, "bf16": 40.0}
    tried: list[str] = []

    def clock(name: str, *_: object) -> float:
        tried.append(name)
        return took[name]

    monkeypatch.setattr("resight.inference.precision._seconds", clock)
    embed = Extractor(model, device="cpu")
    np.testing.assert_array_equal(embed(picture), Extractor(model, device="cpu", precision="bf16")(picture))
    embed([picture] * 3)
    assert tried == ["fp32", "bf16"]  # once
    assert str(embed.chosen) == "bf16 (auto: bf16 is 2.5 times as fast as fp32 here)"
    took["bf16"] = 180.0  # as depthwise convolutions do it
    slow = Extractor(model, device="cpu")
    np.testing.assert_array_equal(slow(picture), Extractor(model, device="cpu", precision="fp32")(picture))
    assert str(slow.chosen) == "fp32 (auto: bf16 is 0.6 times as fast as fp32 here)"


def test_boxes_of_a_frame_are_its_crops(model: ReIDModel, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    frame = np.random.default_rng(5).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    embed = Extractor(model, device="cpu", precision="fp32")
    inside = [[10, 20, 50, 100], [60.4, 5.0, 99.7, 80.2], [-9, -9, 30, 300]]
    outside = [[50, 20, 10, 100], [200, 0, 300, 50], [np.nan, 0, 1, 1], [5, 5, 5, 5]]
    vectors = embed.boxes(frame, np.array(inside + outside))
    crops = [frame[20:100, 10:50], frame[5:81, 60:100], frame[:, :30]]
    np.testing.assert_allclose(vectors[:3], embed(crops), atol=1e-6)
    assert np.isnan(vectors[3:]).all()
    assert [record.args[0] for record in caplog.records] == [3, 4, 5, 6]  # type: ignore[index]
    assert embed.boxes(frame, []).shape == (0, model.embedding_dim)
    with pytest.raises(UsageError, match="x1 y1 x2 y2"):
        embed.boxes(frame, [[1, 2, 3]])


def test_a_model_by_its_name_and_what_is_no_model() -> None:
    embed = Extractor("synth_small", device="cpu", precision="fp32")
    assert embed(np.zeros((60, 30, 3), np.uint8)).shape == (1, embed.model.embedding_dim)
    assert embed.embedded == 1 and embed.rate > 0
    with pytest.raises(UsageError, match="cannot embed: it has no input_size"):
        Extractor(torch.nn.Linear(2, 2))  # type: ignore[arg-type]


def test_a_model_that_takes_cameras_is_given_them(picture: np.ndarray) -> None:
    """Picture by picture, those that cannot be read left out; without cameras each is an unknown one."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"backbone": {"dim": 64, "depth": 1}, "input_size": (64, 32), "cameras": 2}
    model = models.build("transreid", 0, **options)
    embed = Extractor(model, device="cpu", batch_size=2, precision="fp32")
    first, second = (embed.tolerant([picture], camids=[camid])[0][0] for camid in (1, 2))
    vectors, broken = embed.tolerant([picture, b"no picture", picture, picture], camids=[1, 1, 2, 9])
    assert [item.index for item in broken] == [1]
    np.testing.assert_allclose(vectors, [first, second, embed(picture)[0]], atol=1e-5)
    assert np.abs(first - second).max() > 1e-3
