from __future__ import annotations

import torch

from resight.inference import RawPixels, StripeHistogram
from resight.types import Embedder


def test_both_are_embedders() -> None:
    for reference in (RawPixels(), StripeHistogram()):
        images = torch.randint(0, 256, (3, 3, *reference.input_size), dtype=torch.uint8)
        assert isinstance(reference, Embedder)
        assert reference.embed(images).shape == (3, reference.embedding_dim)
        torch.testing.assert_close(reference.embed(images), reference.embed(images.float() / 255))


def test_the_histogram_counts_colours_by_stripe_and_forgets_their_place() -> None:
    image = torch.zeros(1, 3, 96, 48, dtype=torch.uint8)
    image[:, 0, :32] = 255  # a red head over black
    stripes = StripeHistogram().embed(image).view(3, 512)
    assert stripes.argmax(dim=1).tolist() == [7 * 64, 0, 0]
    torch.testing.assert_close(stripes.square().sum(dim=1), torch.ones(3))
    shuffled = image[:, :, torch.cat([torch.randperm(32), torch.arange(32, 96)])]
    torch.testing.assert_close(StripeHistogram().embed(shuffled), stripes.reshape(1, -1))
