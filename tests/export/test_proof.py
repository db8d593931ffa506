"""What the proof measures, and the gates."""

from __future__ import annotations

import math

import numpy as np
import pytest

from resight.export import DEFAULT_GATES, Gates
from resight.export.proof import agreement, some_crops
from tests.export.examples import people

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


def test_crops_are_of_the_tested_people_and_enough() -> None:
    crops = some_crops(people(2), 32)
    assert len(crops) == 32
    assert all(crop.ndim == 3 and crop.dtype == np.uint8 for crop in crops)
    assert len({crop.tobytes() for crop in crops}) > 5
