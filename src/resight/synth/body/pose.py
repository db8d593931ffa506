"""Poses: joint rotations of a walk, and the skinning of surfaces that follow the bones.

Rotations are given about axes of the rest pose (x to the person's right, y ahead, z up) and applied from the root
outwards, so that no bone needs axes of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.synth.scene.surface import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.synth.body.model import BodyModel, Rest

_ROLL, _CURL = 0.55, 0.45  # radians, of each of two bones
_SIDES = (("R", 1.0), ("L", -1.0))  # suffix of the bones, sign of x


@dataclass(frozen=True)
class Pose:
    """What changes from picture to picture.  Angles in radians."""

    phase: float = 0.0  # of the gait cycle, 0..1; the right heel strikes at 0
    stride: float = 1.0  # 0 stands still, 1 walks
    swing: float = 1.0  # of the arms
    lean: float = 0.03  # of the trunk, forward
    nod: float = 0.0  # of the head, forward
    look: float = 0.0  # of the head, to the right
    bent: tuple[float, float] = (0.25, 0.25)  # elbows, right and left, at rest
    raised: tuple[float, float] = (0.0, 0.0)  # upper arms, forward, on top of the swing
    spread: tuple[float, float] = (0.10, 0.10)  # upper arms, sideways
    seated: bool = False  # on a bicycle


def bone_transforms(model: BodyModel, rest: Rest, pose: Pose) -> Array:
    """Transforms (J, 3, 4) from rest to posed world positions, before the feet are put on the ground."""
    turns = _rotations(model, rest, pose)
    world = np.zeros((len(model.labels), 3, 4))
    for bone, parent in enumerate(model.parents):
        turn = turns.get(model.labels[bone])
        local = np.eye(4)
        if turn is not None:
            local[:3, :3] = turn
            local[:3, 3] = rest.heads[bone] - turn @ rest.heads[bone]
        above = np.eye(4)
        if parent >= 0:
            above[:3] = world[parent]
        world[bone] = (above @ local)[:3]
    return world


def skin(vertices: Array, weights: NDArray[np.float32], bones: NDArray[np.int64], transforms: Array) -> Array:
    """Linear blend skinning: vertices (V, 3) with weights and bones (V, K) under transforms (J, 3, 4) -> (V, 3)."""
    blended = np.einsum("vk,vkij->vij", weights, transforms.astype(np.float32)[bones], optimize=True)
    return np.asarray(np.einsum("vij,vj->vi", blended[:, :, :3], vertices) + blended[:, :, 3])


def about(axis: tuple[float, float, float] | Array, angle: float) -> Array:
    """The (3, 3) rotation about a unit axis, counter-clockwise looking against it."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def _rotations(model: BodyModel, rest: Rest, pose: Pose) -> dict[str, Array]:
    """Bone name -> rotation, for the bones that turn."""
    swing = pose.stride * np.cos(2 * np.pi * pose.phase)
    pelvis, chest = 0.10 * swing, -0.12 * swing * pose.swing
    turns = {"root": about(_Z, pelvis)}
    for name, share in (("spine04", 0.2), ("spine03", 0.3), ("spine02", 0.3), ("spine01", 0.2)):
        turns[name] = about(_Z, share * (chest - pelvis)) @ about(_X, -share * pose.lean)
    for name in ("neck01", "neck03"):
        turns[name] = about(_Z, -0.5 * pose.look) @ about(_X, -0.5 * (pose.nod - 0.6 * pose.lean))
    for side, (suffix, sign) in enumerate(_SIDES):
        turns |= _leg(pose, side, suffix, sign) | _arm(model, rest, pose, side, suffix, sign)
    return turns


def _leg(pose: Pose, side: int, suffix: str, sign: float) -> dict[str, Array]:
    hip, knee, pitch = _leg_angles(pose.phase + 0.5 * side, pose.stride)
    if pose.seated:
        hip, knee, pitch = 1.0 + 0.35 * np.sin(2 * np.pi * (pose.phase + 0.5 * side)), 1.3, 0.2
    inward = sign * 0.085  # the rest pose stands with the feet apart
    return {
        f"upperleg01.{suffix}": about(_X, hip) @ about(_Y, inward),
        f"lowerleg01.{suffix}": about(_X, -knee),
        f"foot.{suffix}": about(_X, knee - hip - pitch) @ about(_Z, sign * 0.06),
    }


def _arm(model: BodyModel, rest: Rest, pose: Pose, side: int, suffix: str, sign: float) -> dict[str, Array]:
    shoulder, elbow = (rest.heads[model.bone[f"{name}.{suffix}"]] for name in ("upperarm01", "lowerarm01"))
    wrist = rest.heads[model.bone[f"wrist.{suffix}"]]
    down = elbow - shoulder
    lower = sign * float(np.arctan2(abs(down[0]), -down[2])) - sign * pose.spread[side]
    swing = -0.42 * pose.swing * pose.stride * np.cos(2 * np.pi * (pose.phase + 0.5 * side))
    bend = pose.bent[side] + 0.35 * max(swing, 0.0)
    upper = about(_X, swing + pose.raised[side]) @ about(_Y, lower)
    fore = wrist - elbow
    there = float(np.arctan2(fore[1], float(np.hypot(fore[0], fore[2]))))  # the elbow is a little bent at rest
    axis = about(_Y, -lower) @ np.array(_X)
    turn = about(_Z, -sign * 0.22 * np.sin(min(bend, 1.6))) if bend > 0.5 else np.eye(3)
    along = fore / np.linalg.norm(fore)
    roll = about(along, sign * _ROLL)  # palms towards the thighs
    return _fingers(model, rest, suffix, sign) | {
        f"shoulder01.{suffix}": about(_Y, 0.12 * lower),
        f"upperarm01.{suffix}": upper @ about(_Y, -0.12 * lower),
        f"lowerarm01.{suffix}": turn @ about(axis, bend - there),
        f"lowerarm02.{suffix}": roll,
        f"wrist.{suffix}": roll,
    }


def _fingers(model: BodyModel, rest: Rest, suffix: str, sign: float) -> dict[str, Array]:
    """Half closed fingers."""
    first, last = (rest.heads[model.bone[f"finger{number}-1.{suffix}"]] for number in (2, 5))
    across = (last - first) / np.linalg.norm(last - first)
    bent = about(across, sign * _CURL)
    return {f"finger{number}-{joint}.{suffix}": bent for number in range(2, 6) for joint in (1, 2)}


def _bump(phase: float, center: float, width: float) -> float:
    away = (phase - center + 0.5) % 1.0 - 0.5
    return float(np.exp(-((away / width) ** 2)))


def _leg_angles(phase: float, stride: float) -> tuple[float, float, float]:
    """Hip flexion, knee flexion and pitch of the foot (toes down positive) of one leg over the gait cycle."""
    phase %= 1.0
    hip = 0.14 + 0.40 * np.cos(2 * np.pi * (phase - 0.02)) - 0.06 * np.cos(4 * np.pi * phase)
    knee = 0.08 + 0.24 * _bump(phase, 0.14, 0.09) + 1.00 * _bump(phase, 0.72, 0.125)
    pitch = 0.75 * _bump(phase, 0.63, 0.10) + 0.25 * _bump(phase, 0.76, 0.10) - 0.30 * _bump(phase, 0.97, 0.07)
    return stride * hip, 0.04 + stride * knee, stride * pitch
