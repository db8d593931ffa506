from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from resight.data import Augment, Augmenter
from resight.data.augment.color import LUMA, ColorTransform
from resight.data.augment.random_crop import cropped_shape, stretched
from resight.data.augment.random_erasing import MEAN, PRESETS, STD, boxes, erase, erased_shape, fill_in_pixel_units
from resight.data.augment.random_patch import READY, PatchPool
from resight.errors import UsageError

OFF = {"flip": 0.0, "crop": "none"}
EVERYTHING = Augment(erase=0.5, patch=0.5, brightness=0.3, contrast=0.2, saturation=0.4, hue=0.1, gray=0.2, jitter=0.8)


def _seed(number: int = 0) -> Generator:
    return Generator().manual_seed(number)


def _images(batch: int = 6, height: int = 32, width: int = 16) -> Tensor:
    return torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8, generator=_seed(9))


def _augment(images: Tensor, seed: int = 0, **config: object) -> Tensor:
    return Augmenter(Augment(**{**OFF, **config}))(images, _seed(seed))  # type: ignore[arg-type]


class _Drawn:
    """Uniform numbers for testing a part alone."""

    def __init__(self, batch: int, seed: int = 0) -> None:
        self.batch, self.generator = batch, _seed(seed)

    def take(self, count: int) -> Tensor:
        return torch.rand(self.batch, count, generator=self.generator, dtype=torch.float64)


def test_with_everything_off_pixels_are_only_scaled() -> None:
    images = _images()
    assert torch.equal(_augment(images), images.float() / 255)


def test_a_certain_flip_mirrors_left_and_right() -> None:
    images = _images()
    assert torch.equal(_augment(images, flip=1.0), images.flip(-1).float() / 255)


def test_half_the_pictures_are_flipped() -> None:
    images = torch.zeros(2000, 3, 1, 2, dtype=torch.uint8)
    images[..., 0] = 255
    assert abs(float(_augment(images, flip=0.5)[:, 0, 0, 0].mean()) - 0.5) < 0.04


def test_a_padded_crop_is_the_picture_moved_over_black() -> None:
    images = _images(200, 6, 5)
    cut = (_augment(images, crop="pad", pad=2) * 255).round().to(torch.uint8)
    seen = set()
    for image, window in zip(images, cut, strict=True):
        padded = torch.nn.functional.pad(image, (2, 2, 2, 2))
        places = [(y, x) for y in range(5) for x in range(5) if torch.equal(padded[:, y : y + 6, x : x + 5], window)]
        assert places
        seen |= set(places)
    assert len(seen) == 25  # every offset, both ends included


def test_zooming_cuts_the_size_out_of_a_larger_picture() -> None:
    gray = torch.full((50, 3, 32, 16), 128, dtype=torch.uint8)
    assert torch.equal(_augment(gray, crop="zoom"), gray.float() / 255)
    images = _images(50)
    changed = (_augment(images, crop="zoom") != images.float() / 255).flatten(1).any(dim=1)
    assert 10 < int(changed.sum()) < 40


def test_a_sized_crop_keeps_its_bounds_and_reaches_both_ends() -> None:
    """open-reid's, as Mancs uses it: 0.64 to 1 of the area, two to three times as high as wide."""
    shape, size = cropped_shape((0.64, 1.0), (2.0, 3.0)), (256, 128)
    top, left, h, w = boxes(_Drawn(4000), size, shape).double().unbind(1)
    assert (h > 0).double().mean() > 0.99  # ten tries
    tall, area = (h / w)[h > 0], (h * w / (256 * 128))[h > 0]
    assert 1.98 < tall.min() < 2.02 and 2.9 < tall.max() < 3.02
    assert 0.635 < area.min() < 0.66 and area.max() > 0.97
    assert (top + h <= 256).all() and (left + w <= 128).all() and (h == 256).any()
    assert (top == 0).any() and (left == 0).any() and ((left + w) == 128).any()


def test_stretching_a_box_is_cutting_and_resizing_it() -> None:
    """Against torch's own resize of the cut: neither sees a pixel beyond the box."""
    images = _images(4, 40, 20)
    where = torch.tensor([[3, 2, 30, 15], [0, 0, 40, 20], [10, 5, 30, 15], [0, 0, 0, 0]])
    turned = torch.tensor([False, False, True, False])
    found = stretched(images, where, turned)
    assert found.dtype == torch.uint8 and torch.equal(found[1], images[1])
    assert torch.equal(found[3], images[3])  # no box was found: the whole picture
    for row in (0, 2):
        top, left, h, w = where[row].tolist()
        cut = images[row : row + 1, :, top : top + h, left : left + w].float()
        grown = torch.nn.functional.interpolate(cut, size=(40, 20), mode="bilinear")[0]
        expected = grown.flip(-1) if turned[row] else grown
        torch.testing.assert_close(stretched(images.float(), where, turned)[row], expected, atol=1e-3, rtol=0)
        assert (found[row].float() - expected).abs().max() <= 0.501


def test_every_sized_crop_is_another_one() -> None:
    images = _images(1, 64, 32).expand(20, -1, -1, -1)
    cut = _augment(images, crop="sized")
    assert cut.shape == images.shape and float(cut.min()) >= 0 and float(cut.max()) <= 1
    assert len(torch.unique(cut, dim=0)) == 20
    assert torch.equal(cut, _augment(images, crop="sized"))
    flat = torch.full((5, 3, 64, 32), 128, dtype=torch.uint8)
    assert torch.equal(_augment(flat, crop="sized", flip=0.5), flat.float() / 255)


def test_bounds_of_erasing_may_be_given() -> None:
    """Mancs erases 0.02 to 0.2 of the area."""
    shape = erased_shape("original", (0.02, 0.2), (1.0, 1.5))
    assert (shape.low, shape.high, shape.narrow, shape.wide, shape.tries) == (0.02, 0.2, 1.0, 1.5, 100)
    black = (
        _augment(
            torch.full((400, 3, 64, 32), 255, dtype=torch.uint8), erase=1.0, erase_area=(0.02, 0.2), erase_fill="black"
        )
        == 0
    )
    area = black.all(dim=1).double().mean(dim=(1, 2))
    assert area.max() < 0.22 and area.max() > 0.18 and 0.1 < area.mean() < 0.12


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_erased_boxes_keep_the_presets_bounds(name: str) -> None:
    shape, size = PRESETS[name], (128, 64)  # type: ignore[index]
    found = boxes(_Drawn(4000), size, shape).double()
    top, left, h, w = found.unbind(1)
    assert (top >= 0).all() and (left >= 0).all() and (top + h <= 128).all() and (left + w <= 64).all()
    assert (h < 128).all() and (w < 64).all()
    assert (top == 0).any() and (top + h == 128).any() and (left + w == 64).any()  # both ends included
    area, aspect = h * w / (128 * 64), h / w
    slack = 0.03
    assert area.min() > shape.low - slack / 2 and area.max() < shape.high + slack
    assert aspect.min() > shape.narrow * 0.85 and aspect.max() < shape.wide * 1.2
    assert (h > 0).double().mean() > 0.99
    assert shape.numbers == 2 * shape.tries + 2


def test_the_two_presets_differ_as_published() -> None:
    original, theirs = PRESETS["original"], PRESETS["torchvision"]
    assert (original.low, original.high, original.tries, original.log) == (0.02, 0.4, 100, False)
    assert original.narrow == 0.3 and math.isclose(original.wide, 1 / 0.3)
    assert (theirs.low, theirs.high, theirs.tries, theirs.log) == (0.02, 0.33, 10, True)
    assert (theirs.narrow, theirs.wide) == (0.3, 3.3)


def test_a_fill_is_what_the_paper_says_once_normalised() -> None:
    """ "mean" is zero after normalisation; the strong baseline writes the mean itself there."""
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    for fill, value in {"mean": torch.zeros(3), "strong_baseline": torch.tensor(MEAN)}.items():
        images = torch.zeros(40, 3, 32, 16, dtype=torch.uint8)
        erased = _augment(images, erase=1.0, erase_fill=fill)
        normalized = (erased - mean) / std
        marked = (erased != 0).all(dim=1)
        assert marked.any()
        found = normalized.permute(0, 2, 3, 1)[marked]
        torch.testing.assert_close(found, value.expand_as(found), atol=1e-6, rtol=0)
    assert fill_in_pixel_units((2.0, 0.0, -1.0)) == (
        2.0,
        0.0,
        -1.0,
    )  # outside [0, 1] where a paper asks for it


def test_erasing_fills_the_box_of_the_chosen_alone() -> None:
    images = torch.rand(2, 3, 8, 6, generator=_seed())
    before = images.clone()
    where = torch.tensor([[1, 2, 3, 4], [0, 0, 8, 6]])
    erased = erase(images, where, torch.tensor([True, False]), (0.1, 0.2, 0.3))
    assert torch.equal(images, before) and torch.equal(erased[1], images[1])
    assert torch.equal(erased[0, :, 1:4, 2:6], torch.tensor([0.1, 0.2, 0.3])[:, None, None].expand(3, 3, 4))
    assert int((erased[0] != images[0]).any(dim=0).sum()) == 12


def test_half_the_pictures_are_erased() -> None:
    images = torch.full((2000, 3, 16, 8), 255, dtype=torch.uint8)
    touched = (_augment(images, erase=0.5) != 1).flatten(1).any(dim=1)
    assert abs(float(touched.float().mean()) - 0.5) < 0.04


def test_sizes_of_patches_are_those_of_the_papers_code() -> None:
    """h = round(sqrt(A r)), w = round(sqrt(A / r)), r from U(0.1, 10): four of five are higher than wide."""
    count, pool, rng = 4000, PatchPool(4000), np.random.default_rng(0)
    pool(torch.zeros(count, 3, 64, 32), _Drawn(count), 0.0)
    ours = np.array([patch.shape[1:] for patch in pool.patches])
    area, r = 64 * 32 * rng.uniform(0.01, 0.5, (count, 100)), rng.uniform(0.1, 10, (count, 100))
    tries = np.stack([np.sqrt(area * r).round(), np.sqrt(area / r).round()], axis=-1)
    theirs = tries[np.arange(count), (tries < (64, 32)).all(axis=-1).argmax(axis=1)]
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), rtol=0.03)
    assert (ours[:, 0] > ours[:, 1]).mean() == pytest.approx((theirs[:, 0] > theirs[:, 1]).mean(), abs=0.03)


def test_a_pasted_patch_is_the_patch_and_nothing_else() -> None:
    augmenter = Augmenter(Augment(**OFF, patch=1.0, patch_pool=READY))  # type: ignore[arg-type]
    augmenter.pool.patches = [torch.full((3, 5, 4), 255, dtype=torch.uint8)] * READY
    out = augmenter(torch.zeros(1, 3, 32, 16, dtype=torch.uint8), _seed())
    # the image gave a patch of its own, all black, before it received one
    assert int((out[0] == 1).all(dim=0).sum()) in (20, 0)
    assert int((out[0] != 0).any(dim=0).sum()) in (20, 0)
    found = [
        int((augmenter(torch.zeros(1, 3, 32, 16, dtype=torch.uint8), _seed(i))[0] == 1).all(dim=0).sum())
        for i in range(20)
    ]
    assert set(found) <= {20, 0} and 20 in found


def test_nothing_is_pasted_before_the_pool_is_ready() -> None:
    augmenter = Augmenter(Augment(**OFF, patch=1.0))  # type: ignore[arg-type]
    images = _images(READY - 1)
    assert torch.equal(augmenter(images, _seed()), images.float() / 255)
    assert len(augmenter.pool.patches) == READY - 1
    later = _images(20)
    assert not torch.equal(augmenter(later, _seed(1)), later.float() / 255)


def test_the_pool_replaces_its_oldest() -> None:
    augmenter = Augmenter(Augment(**OFF, patch=0.5, patch_pool=READY))  # type: ignore[arg-type]
    augmenter(_images(150), _seed())
    assert len(augmenter.pool.patches) == READY and augmenter.pool.next == 50


def test_patches_are_copies() -> None:
    augmenter = Augmenter(Augment(**OFF, patch=0.5))  # type: ignore[arg-type]
    images = torch.rand(3, 3, 16, 8, generator=_seed())
    augmenter(images, _seed())
    kept = [patch.clone() for patch in augmenter.pool.patches]
    images.zero_()
    assert all(map(torch.equal, kept, augmenter.pool.patches))


def test_a_resumed_pool_goes_on_as_if_nothing_had_happened() -> None:
    one, two = Augmenter(EVERYTHING), Augmenter(EVERYTHING)
    for step in range(5):
        one(_images(40), _seed(step))
    two.load_state_dict(one.state_dict())
    assert torch.equal(one(_images(40), _seed(7)), two(_images(40), _seed(7)))
    empty = Augmenter(EVERYTHING)
    empty.load_state_dict(Augmenter(EVERYTHING).state_dict())
    assert not empty.pool.patches


def test_chunks_change_nothing() -> None:
    images = _images(150)
    whole = Augmenter(EVERYTHING)(images, _seed(4))
    augmenter, generator = Augmenter(EVERYTHING), _seed(4)
    parts = torch.cat([augmenter(part, generator) for part in torch.split(images, [1, 50, 17, 82])])
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_pixels_stay_in_range_and_the_argument_as_it_was(dtype: torch.dtype) -> None:
    images = _images(130)
    images = images if dtype == torch.uint8 else images.float() / 255
    before = images.clone()
    out = Augmenter(EVERYTHING)(images, _seed())
    assert torch.equal(images, before)
    assert out.dtype == torch.float32 and out.shape == images.shape
    assert float(out.min()) >= 0 and float(out.max()) <= 1


def test_bytes_and_their_floats_are_augmented_alike() -> None:
    images = _images(120)
    a = Augmenter(EVERYTHING)(images, _seed(1))
    b = Augmenter(EVERYTHING)(images.float() / 255, _seed(1))
    torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_the_order_in_memory_does_not_matter() -> None:
    images = _images(20)
    last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(Augmenter(EVERYTHING)(images, _seed()), Augmenter(EVERYTHING)(last, _seed()))


def test_no_global_randomness_is_used() -> None:
    state = torch.random.get_rng_state()
    Augmenter(EVERYTHING)(_images(), _seed())
    assert torch.equal(state, torch.random.get_rng_state())


# colour


def _recolor(image: Tensor, **change: float) -> Tensor:
    recoloring = ColorTransform(len(image))
    for name, factor in change.items():
        getattr(recoloring, name)(torch.full((len(image),), factor, dtype=torch.float64))
    return recoloring(image)


def test_colour_changes_are_their_equations() -> None:
    image = torch.rand(2, 3, 8, 4, generator=_seed(), dtype=torch.float64) * 0.5 + 0.25
    luma = torch.einsum("bchw,c->bhw", image, LUMA)[:, None]
    torch.testing.assert_close(_recolor(image, brighten=1.2), (image * 1.2).clamp(0, 1))
    mean = luma.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(_recolor(image, contrast=0.7), 0.7 * image + 0.3 * mean)
    torch.testing.assert_close(_recolor(image, saturate=0.6), 0.6 * image + 0.4 * luma)
    torch.testing.assert_close(_recolor(image, saturate=0.0), luma.expand_as(image))
    bright = image * 1.1
    mean = torch.einsum("bchw,c->bhw", bright, LUMA)[:, None].mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(_recolor(image, brighten=1.1, contrast=0.5), 0.5 * bright + 0.5 * mean)


def test_a_third_of_the_circle_turns_red_to_green_and_leaves_grey() -> None:
    red = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)[None, :, None, None]
    turned = _recolor(red, turn=2 * math.pi / 3)[0, :, 0, 0]
    torch.testing.assert_close(turned, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    gray = torch.full((1, 3, 1, 1), 0.4, dtype=torch.float64)
    torch.testing.assert_close(_recolor(gray, turn=1.0), gray)


def test_grey_pictures_have_equal_channels() -> None:
    out = _augment(_images(), gray=1.0)
    torch.testing.assert_close(out[:, 0], out[:, 2])


def test_a_cast_gives_each_channel_its_own_gain() -> None:
    images = torch.full((400, 3, 8, 4), 0.25)
    gains = (_augment(images, flip=0.0, crop="none", cast=0.5) / 0.25)[:, :, 0, 0]
    assert gains.min() >= math.exp(-0.5) - 1e-6 and gains.max() <= math.exp(0.5) + 1e-6
    assert gains.log().std() == pytest.approx(0.5 / math.sqrt(3), rel=0.1)
    assert gains.log().T.corrcoef().fill_diagonal_(0).abs().max() < 0.2


def test_a_blurred_picture_keeps_its_mean_and_loses_its_detail() -> None:
    images = torch.randint(0, 256, (64, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    plain = Augment(flip=0, crop="none")
    sharp = Augmenter(plain)(images, torch.Generator().manual_seed(0))
    blurred = Augmenter(replace(plain, blur=0.5))(images, torch.Generator().manual_seed(0))
    detail = (blurred.diff(dim=3).abs().mean(dim=(1, 2, 3)) / sharp.diff(dim=3).abs().mean(dim=(1, 2, 3))).tolist()
    assert 0.3 < sum(value < 0.9 for value in detail) / 64 < 0.7
    assert sum(value == 1.0 for value in detail) > 15
    torch.testing.assert_close(blurred.mean(dim=(2, 3)), sharp.mean(dim=(2, 3)), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"flip": 1.5}, "augment.flip is 1.5"),
        ({"hue": 0.7}, "augment.hue is 0.7"),
        ({"crop": "middle"}, "none, pad, zoom or sized"),
        ({"crop_area": (0.9, 0.6)}, "augment.crop_area is 0.9 to 0.6"),
        ({"erase_area": (0.0, 0.2)}, "augment.erase_area is 0.0 to 0.2"),
        ({"erase_aspect": (-1.0, 2.0)}, "augment.erase_aspect is -1.0 to 2.0"),
        ({"pad": -1}, "pad must be 0 or more"),
        ({"erase_fill": "pink"}, "mean, strong_baseline, black"),
        ({"erase_preset": "mine"}, "original or torchvision"),
    ],
)
def test_a_wrong_setting_gets_a_sentence(config: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Augment(**config)  # type: ignore[arg-type]
