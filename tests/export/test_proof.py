"""What the proof measures, and the gates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from resight.export import DEFAULT_GATES, Gates
from resight.export.proof import agreement, size_agreement, some_crops
from tests.export.examples import people, ready

if TYPE_CHECKING:
    from resight.models.exported import ExportedModel

LEVELS = "largest difference of a pixel, levels of 255"

RNG = np.random.default_rng(0)
A = RNG.normal(size=(5, 8)).astype(np.float32)


def test_agreement_is_the_least_cosine() -> None:
    b = A + RNG.normal(size=A.shape).astype(np.float32) * np.array([[0.1], [0.2], [0.9], [0.0], [0.3]], np.float32)
    cosines = (A * b).sum(1) / np.linalg.norm(A, axis=1) / np.linalg.norm(b, axis=1)
    assert agreement(A, b, "cosine") == pytest.approx(cosines.min(), abs=1e-6)
    assert agreement(3 * A, A, "cosine") == pytest.approx(1)


def test_a_euclidean_space_is_not_that_of_longer_vectors() -> None:
    assert agreement(A, A, "euclidean") == 1
    assert agreement(1.2 * A, A, "euclidean") == pytest.approx(1 - 0.2**2 / 2, abs=1e-6)
    unit = A / np.linalg.norm(A, axis=1, keepdims=True)
    assert agreement(unit, unit[::-1], "euclidean") == pytest.approx(agreement(unit, unit[::-1], "cosine"), abs=1e-6)


def test_vectors_that_are_no_numbers_pass_no_gate() -> None:
    broken = A.copy()
    broken[3, 2] = np.nan
    value = agreement(broken, A, "cosine")
    assert math.isnan(value)
    gates = Gates(consistency=0.9, cosine=0.9, mAP=1.0).check(value, {"every crop": value}, value)
    assert [gate["passed"] for gate in gates.values()] == [False, False, False]
    assert [gate["value"] for gate in gates.values()] == [None, None, None]


def test_the_bounds_are_those_of_each_precision() -> None:
    fp32, bf16, int8 = (DEFAULT_GATES[name] for name in ("fp32", "bf16", "int8"))
    assert (fp32.cosine, fp32.mAP) == (0.99999, None)
    assert (bf16.cosine, bf16.mAP) == (0.999, 0.2)
    assert (int8.cosine, int8.mAP) == (None, 1.0)
    assert all(gate["passed"] for gate in int8.check(1.0, {"every crop": 0.5}, 0.9).values())
    assert not int8.check(1.0, {"every crop": 0.5}, 1.1)["loss of mAP"]["passed"]
    assert not int8.check(0.99, {"every crop": 1.0}, 0.0)["consistency"]["passed"]
    assert not fp32.check(1.0, {"batch of 1": 0.9999}, 0.0)["batch of 1"]["passed"]


def test_resized_pixels_have_a_gate_of_their_own() -> None:
    fine = {"share of differing pixels": 0.009, "largest difference of a pixel, levels of 255": 1.0}
    for change, passed in ({}, True), ({"share of differing pixels": 0.011}, False), ({LEVELS: 3.0}, False):
        gates = DEFAULT_GATES["int8"].check(1.0, {}, 0.0, {"96x57": {**fine, **change}})
        assert gates["pixels of 96x57"]["passed"] is passed


@pytest.mark.parametrize("antialias", [True, False])
def test_a_file_that_resizes_in_another_way_is_seen(antialias: bool) -> None:
    model = ready()

    class File(torch.nn.Module):
        """What an exported file does, with or without antialias."""

        input_size, metric, embedding_dim = model.input_size, model.metric, model.embedding_dim

        def fingerprint(self) -> str:
            return model.fingerprint()

        def embed(self, images: torch.Tensor) -> torch.Tensor:
            pixels = images.float()
            for shape in ((pixels.shape[2], self.input_size[1]), self.input_size):
                pixels = F.interpolate(pixels, size=shape, mode="bilinear", antialias=antialias).add(0.5).floor()
            return model.embed(pixels.byte())

    found = size_agreement(model, cast("ExportedModel", File()), some_crops(people(2), 8))
    larger, smaller = (sizes["agreement"] for sizes in found.values())
    assert smaller > 0.99999  # nothing to smooth where pictures grow
    assert (larger > 0.99999) is antialias
    assert all(sizes[LEVELS] <= 1 for sizes in found.values())


def test_crops_are_of_the_tested_people_and_enough() -> None:
    crops = some_crops(people(2), 32)
    assert len(crops) == 32
    assert all(crop.ndim == 3 and crop.dtype == np.uint8 for crop in crops)
    assert len({crop.tobytes() for crop in crops}) > 5
