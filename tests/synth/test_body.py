"""Bodies keep their bones, their balance and their feet on the ground; clothes lie outside the skin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("anny", reason="the body model is not installed")

from resight.synth.body.figure import figure, shape_of
from resight.synth.body.model import Rest, Shape, body_model
from resight.synth.body.parts import Part, cut, refined, region, rigid, strongest
from resight.synth.body.pose import Pose, about, bone_transforms, skin
from resight.synth.body.suit import clothes_base
from resight.synth.cast import draw_person
from resight.synth.clothing import tailoring
from resight.synth.clothing.fabric import Fabric
from resight.synth.clothing.wardrobe import Bottom
from resight.synth.scene.surface import Array, block

AVERAGE = Shape(0.0, 0.67, 0.5, 0.5, 0.5, 1.78)
WALKING = Pose(phase=0.1, raised=(0.5, 0.0), bent=(1.5, 0.2))


@pytest.fixture(scope="module")
def rest() -> Rest:
    return body_model().rest(AVERAGE)


def joint(rest: Rest, pose: Pose, name: str) -> Array:
    model = body_model()
    bone = model.bone[name]
    transform = bone_transforms(model, rest, pose)[bone]
    return np.asarray(transform[:, :3] @ rest.heads[bone] + transform[:, 3])


@pytest.mark.parametrize("stature", [1.2, 1.65, 1.95])
def test_a_body_is_as_tall_as_asked_and_stands_on_the_ground(stature: float) -> None:
    body = body_model().rest(replace(AVERAGE, stature=stature))
    height = body.vertices[: body_model().skin_end, 2]
    assert (height.min(), height.max()) == pytest.approx((0.0, stature), abs=1e-5)


def test_weight_widens_the_waist() -> None:
    def girth(weight: float) -> float:
        body = body_model().rest(replace(AVERAGE, weight=weight)).vertices[: body_model().skin_end]
        waist = body[np.abs(body[:, 2] - 1.08) < 0.03]
        return float(np.ptp(waist[np.abs(waist[:, 0]) < 0.3][:, 1]))

    assert girth(0.9) > 1.1 * girth(0.2)


def test_the_person_looks_ahead_and_the_right_side_is_right(rest: Rest) -> None:
    model = body_model()
    assert rest.heads[model.bone["toe1-1.R"], 1] > rest.heads[model.bone["foot.R"], 1] + 0.05
    assert rest.heads[model.bone["wrist.R"], 0] > 0.2 > -0.2 > rest.heads[model.bone["wrist.L"], 0]


@pytest.mark.parametrize("phase", np.linspace(0, 1, 5)[:-1])
def test_bones_keep_their_length(rest: Rest, phase: float) -> None:
    pose = replace(WALKING, phase=float(phase))
    for near, far in (("upperarm01.R", "lowerarm01.R"), ("lowerarm01.L", "wrist.L"), ("lowerleg01.R", "foot.R")):
        model = body_model()
        there = np.linalg.norm(rest.heads[model.bone[near]] - rest.heads[model.bone[far]])
        # the forearm turns about the line from elbow to wrist, off which its middle joint lies a little
        assert np.linalg.norm(joint(rest, pose, near) - joint(rest, pose, far)) == pytest.approx(there, rel=0.01)


def test_half_a_cycle_later_left_and_right_have_changed_places(rest: Rest) -> None:
    now, later = Pose(phase=0.2), Pose(phase=0.7)
    for name in ("foot", "wrist", "lowerleg01"):
        mirrored = joint(rest, later, f"{name}.L") * [-1, 1, 1]
        np.testing.assert_allclose(joint(rest, now, f"{name}.R"), mirrored, atol=0.02)


def test_legs_and_opposite_arms_swing_together(rest: Rest) -> None:
    pose = Pose(phase=0.0)  # the right heel strikes: right leg ahead, left arm ahead
    assert joint(rest, pose, "foot.R")[1] > joint(rest, pose, "foot.L")[1] + 0.3
    assert joint(rest, pose, "wrist.L")[1] > joint(rest, pose, "wrist.R")[1] + 0.15


def test_hanging_arms_hang(rest: Rest) -> None:
    elbow, shoulder = (joint(rest, Pose(stride=0.0), name) for name in ("lowerarm01.R", "upperarm01.R"))
    down = (elbow - shoulder) / np.linalg.norm(elbow - shoulder)
    assert down[2] < -0.95


def test_skinning_by_one_bone_is_its_rotation() -> None:
    turn = np.concatenate([about((0.0, 0.0, 1.0), 0.5), [[1.0], [2.0], [3.0]]], axis=1)[None]
    points = np.random.default_rng(0).normal(size=(7, 3))
    moved = skin(points, np.ones((7, 1), np.float32), np.zeros((7, 1), int), turn)
    np.testing.assert_allclose(moved, points @ turn[0, :, :3].T + [1, 2, 3], atol=1e-5)


def test_strongest_adds_up_a_bone_that_occurs_twice() -> None:
    weights, bones = strongest(np.array([[0.3, 0.3, 0.4]]), np.array([[7, 7, 2]]), 2)
    assert bones.tolist() == [[7, 2]]
    assert weights[0].tolist() == pytest.approx([0.6, 0.4])


def test_refining_keeps_the_vertices_and_rounds_a_ball() -> None:
    ball = block((2.0, 2.0, 2.0), (0.5, 0.5, 0.5), roundness=1.0, n=12)
    part = rigid(ball, "head")
    finer = refined(part)
    assert len(finer.faces) == 4 * len(part.faces)
    np.testing.assert_array_equal(finer.vertices[: len(part.vertices)], part.vertices)
    away = np.abs(np.linalg.norm(finer.vertices[len(part.vertices) :], axis=1) - 1.0)
    flat = np.abs(np.linalg.norm(part.vertices[part.faces].mean(axis=1), axis=1) - 1.0)
    assert np.median(away) < 0.5 * np.median(flat)


def test_a_cut_is_a_straight_line() -> None:
    ball = rigid(block((2.0, 2.0, 2.0), (0.5, 0.5, 0.5), roundness=1.0, n=16), "head")
    half = cut(ball, ball.vertices[:, 2] - 0.1)
    assert half.vertices[:, 2].min() == pytest.approx(0.1, abs=1e-9)
    assert len(half.vertices) < len(ball.vertices)


def outside(part: Part, rest: Rest) -> float:
    """Share of a garment's vertices that lie off the skin, seen along the skin's normals."""
    body = region(rest, "body")
    mesh = body.posed(np.repeat(np.eye(4)[None, :3], len(body_model().labels), axis=0), 0)
    nearest = [int(((body.vertices - vertex) ** 2).sum(axis=1).argmin()) for vertex in part.vertices[::25]]
    off = ((part.vertices[::25] - body.vertices[nearest]) * mesh.normals[nearest]).sum(axis=1)
    return float((off > -0.002).mean())


def test_clothes_lie_outside_the_skin(rest: Rest) -> None:
    person = draw_person(5, 1, 1)
    for part in tailoring.top(rest, replace(person.top, kind="tee", sleeve=1.4, hem=0.5)):
        assert outside(part, rest) > 0.9


@pytest.mark.parametrize("hem", [0.0, 1.2])
def test_a_hem_is_where_it_should_be(rest: Rest, hem: float) -> None:
    garment = Bottom("shorts" if hem else "trousers", Fabric((0.1, 0.1, 0.1)), hem, 0.01)
    (part,) = tailoring.bottom(rest, garment)
    knee = rest.heads[body_model().bone["lowerleg01.R"]][2]
    lowest = part.vertices[:, 2].min()
    assert lowest > knee if hem else lowest < 0.10
    assert part.vertices[:, 2].max() == pytest.approx(0.60 * rest.stature, abs=0.03)


def test_limbs_are_told_apart(rest: Rest) -> None:
    base = clothes_base(rest)
    assert base.height[base.on("foot")].max() < 0.2 < 0.8 < base.height[base.on("arm")].min()
    arm = base.on("arm") & (base.part.vertices[:, 0] > 0)
    wrist = rest.heads[body_model().bone["wrist.R"]]
    near = np.linalg.norm(base.part.vertices[arm] - wrist, axis=1) < 0.05
    assert base.along[arm][near].max() < 0.4


@pytest.mark.parametrize("pid", [1, 2, 3])
def test_a_figure_stands_on_the_ground_and_has_its_height(pid: int) -> None:
    person = replace(draw_person(5, pid, pid), hat=None)
    matte, shiny = figure(person, Pose(stride=0.0, lean=0.0), 1)
    height = np.concatenate([matte.vertices, shiny.vertices])[:, 2]
    assert height.min() == pytest.approx(0.0, abs=1e-6)
    assert height.max() == pytest.approx(person.body.height, abs=0.12)
    assert np.isfinite(matte.normals).all()
    assert 0 <= matte.colors.min() <= matte.colors.max() <= 1


def test_the_moment_moves_the_folds_only() -> None:
    person = draw_person(5, 4, 4)
    one, two = figure(person, WALKING, 1)[0], figure(person, WALKING, 2)[0]
    apart = np.linalg.norm(one.vertices - two.vertices, axis=1)
    assert 0.0005 < apart.max() < 0.05


def test_build_follows_the_person() -> None:
    person = draw_person(5, 1, 1)
    shapes = [shape_of(replace(person, body=replace(person.body, girth=girth))) for girth in (0.9, 1.15)]
    assert shapes[1].weight > shapes[0].weight + 0.3
    assert shapes[0].stature == person.body.height
