"""Surfaces face outwards and enclose what they should."""

from __future__ import annotations

import numpy as np
import pytest

from resight.synth.scene.surface import Mesh, block, circle, join, linear, tube, turned


def volume(mesh: Mesh) -> float:
    """Signed volume inside a closed surface: positive where faces run counter-clockwise seen from outside."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_an_ellipsoid_has_its_volume() -> None:
    size = np.array([0.4, 0.6, 1.0])
    assert volume(block(size, (0.5, 0.5, 0.5), roundness=1.0, n=60)) == pytest.approx(np.pi / 6 * size.prod(), rel=0.01)


@pytest.mark.parametrize("direction", [(0, 0, 1), (0, 0, -1), (0, 1, 0), (0.3, -0.5, 0.8)])
def test_a_tube_in_any_direction_is_a_cylinder_inside_out_never(direction: tuple[float, float, float]) -> None:
    along = np.array(direction) / np.linalg.norm(direction)
    mesh = tube(np.linspace(0, 2, 9)[:, None] * along, 0.1, (0.5, 0.5, 0.5), n=64)
    assert volume(mesh) == pytest.approx(np.pi * 0.01 * 2, rel=0.01)


def test_normals_point_away_from_the_axis() -> None:
    mesh = tube(np.linspace((0, 0, 0), (0, 0, 1), 5), 0.2, (0.5, 0.5, 0.5), caps=False)
    radial = mesh.vertices * [1, 1, 0] / 0.2
    np.testing.assert_allclose((mesh.normals * radial).sum(axis=1), 1.0, atol=0.03)


def test_the_front_is_in_the_middle_and_right_is_positive() -> None:
    theta, ring = circle(8)
    np.testing.assert_allclose(ring[np.argmin(np.abs(theta))], [0, 1], atol=1e-12)
    np.testing.assert_allclose(ring[np.argmin(np.abs(theta - np.pi / 2))], [1, 0], atol=1e-12)


def test_joining_keeps_every_triangle_in_place() -> None:
    one, two = block((1, 1, 1), (1, 0, 0), n=6), block((1, 1, 1), (0, 1, 0), n=6).moved(to=(5, 0, 0))
    both = join([one, two])
    assert volume(both) == pytest.approx(volume(one) + volume(two))


def test_turning_is_counter_clockwise() -> None:
    np.testing.assert_allclose(turned(np.pi / 2) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_screen_colours_become_linear_by_the_standard() -> None:
    np.testing.assert_allclose(linear([0.0, 0.04045, 0.5, 1.0]), [0.0, 0.0031308, 0.2140411, 1.0], atol=1e-5)
