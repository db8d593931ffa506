"""A body and how it stands: proportions, walking, and the bare shapes clothes are cut to.

Segment lengths are fractions of stature after Drillis and Contini 1966 (upper arm 0.186, forearm 0.146, thigh
0.245, shank 0.246, foot 0.152); widths, depths and girths are ours, set by eye.  Walking follows the usual course of
hip, knee and foot angles over a gait cycle (heel strike at phase 0), simplified to a few smooth bumps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resight.synth.scene.surface import Array, smooth, turned, unit

# Height of a torso section (fraction of stature), half width, front depth, back depth (metres at stature 1.75 m).
_TORSO = {
    0: [  # male
        (0.465, 0.110, 0.080, 0.085), (0.485, 0.160, 0.100, 0.115), (0.520, 0.172, 0.108, 0.128),
        (0.560, 0.164, 0.110, 0.112), (0.610, 0.152, 0.110, 0.098), (0.660, 0.158, 0.114, 0.100),
        (0.715, 0.170, 0.126, 0.108), (0.760, 0.178, 0.120, 0.112), (0.795, 0.178, 0.100, 0.104),
        (0.818, 0.150, 0.080, 0.086), (0.836, 0.095, 0.068, 0.070), (0.852, 0.062, 0.060, 0.060),
    ],
    1: [  # female
        (0.465, 0.105, 0.080, 0.090), (0.485, 0.166, 0.098, 0.125), (0.520, 0.178, 0.104, 0.138),
        (0.560, 0.162, 0.102, 0.112), (0.615, 0.130, 0.096, 0.088), (0.660, 0.138, 0.108, 0.090),
        (0.710, 0.150, 0.144, 0.096), (0.755, 0.156, 0.118, 0.100), (0.795, 0.156, 0.088, 0.094),
        (0.818, 0.130, 0.070, 0.078), (0.836, 0.084, 0.058, 0.062), (0.852, 0.052, 0.052, 0.052),
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Body:
    """What does not change between pictures.  Factors are 1 for an average person of that sex; lengths in metres."""

    sex: int  # 0 male, 1 female
    height: float
    girth: float = 1.0  # limbs and torso
    belly: float = 0.0  # extra front depth at the waist, metres
    shoulders: float = 1.0
    hips: float = 1.0
    stoop: float = 0.0  # radians the upper back leans forward
    head: float = 1.0

    def torso(self, z: Array) -> Array:
        """Half width, front depth, back depth (m, 3) of the trunk at heights z (m,), measured on an upright body."""
        table = np.array(_TORSO[self.sex])
        scale, level = self.height / 1.75, np.asarray(z) / self.height
        width, front, back = (np.interp(level, table[:, 0], table[:, k]) * scale for k in (1, 2, 3))
        broad = np.interp(
            level,
            [0.56, 0.72, 0.80, 0.84],
            [self.hips, (self.hips + self.shoulders) / 2, self.shoulders, 1.0],
        )
        trunk = np.interp(level, [0.80, 0.84], [self.girth, 0.5 + 0.5 * self.girth])
        bulge = self.belly * np.exp(-(((level - 0.60) / 0.07) ** 2))
        return np.stack([width * broad * trunk, front * trunk + bulge, back * trunk], axis=1)

    @property
    def hip_half(self) -> float:
        return 0.049 * self.height * self.hips

    @property
    def shoulder_half(self) -> float:
        return (0.107 if self.sex == 0 else 0.096) * self.height * self.shoulders

    def arm_radius(self, t: Array) -> Array:
        """Radius (m,) of the bare arm; t is 0 at the wrist, 1 at the elbow, 2 at the shoulder."""
        shape = np.interp(t, [0, 0.15, 0.7, 1.0, 1.5, 1.85, 2.0], [0.025, 0.027, 0.040, 0.039, 0.045, 0.047, 0.040])
        return np.asarray(shape * self.girth * (1.0 if self.sex == 0 else 0.86) * self.height / 1.75)

    def leg_radius(self, t: Array) -> Array:
        """Radius (m,) of the bare leg; t is 0 at the ankle, 1 at the knee, 2 at the hip."""
        shape = np.interp(
            t,
            [0, 0.12, 0.45, 0.68, 1.0, 1.4, 1.8, 2.0],
            [0.038, 0.038, 0.049, 0.057, 0.054, 0.068, 0.079, 0.078],
        )
        return np.asarray(shape * self.girth * (1.0 if self.sex == 0 else 0.98) * self.height / 1.75)


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


def _bump(phase: float, centre: float, width: float) -> float:
    away = (phase - centre + 0.5) % 1.0 - 0.5
    return float(np.exp(-((away / width) ** 2)))


def _leg_angles(phase: float, stride: float) -> tuple[float, float, float]:
    """Hip flexion, knee flexion and pitch of the foot (toes down positive) of one leg."""
    phase %= 1.0
    hip = 0.14 + 0.40 * np.cos(2 * np.pi * (phase - 0.02)) - 0.06 * np.cos(4 * np.pi * phase)
    knee = 0.08 + 0.24 * _bump(phase, 0.14, 0.09) + 1.00 * _bump(phase, 0.72, 0.125)
    pitch = 0.75 * _bump(phase, 0.63, 0.10) + 0.25 * _bump(phase, 0.76, 0.10) - 0.30 * _bump(phase, 0.97, 0.07)
    return stride * hip, 0.04 + stride * knee, stride * pitch


@dataclass(frozen=True)
class Limb:
    """A two-bone limb.  joints (3, 3) from the far end (wrist, ankle) to the near one."""

    joints: Array
    hint: Array  # the direction across the limb, (3,)

    def path(self, t: Array) -> Array:
        """Points (m, 3) at t, 0 the far joint, 1 the middle one (rounded off), 2 the near one."""
        far, middle, near = self.joints
        t = np.asarray(t, float)
        straight = np.where(
            t[:, None] < 1, far + t[:, None] * (middle - far), middle + (t[:, None] - 1) * (near - middle)
        )
        u = np.clip((t - 0.84) / 0.32, 0, 1)[:, None]
        below, above = far + 0.84 * (middle - far), middle + 0.16 * (near - middle)
        rounded = (1 - u) ** 2 * below + 2 * u * (1 - u) * middle + u**2 * above
        return np.asarray(np.where((u > 0) & (u < 1), rounded, straight))


@dataclass(frozen=True)
class Stance:
    """A body in a pose: where the limbs are.  The feet touch z = 0 and the pelvis is above the origin."""

    body: Body
    pose: Pose
    arms: tuple[Limb, Limb]  # right, left
    legs: tuple[Limb, Limb]
    pitch: tuple[float, float]  # of the feet, toes down
    lift: float  # how much the pelvis is above its height in an upright stand
    yaws: tuple[float, float]  # of pelvis and shoulders

    def spine(self, z: Array) -> tuple[Array, Array, Array]:
        """Centre, across and front (m, 3) of the trunk's section at upright heights z (m,)."""
        low, high = 0.52 * self.body.height, 0.82 * self.body.height
        u = np.clip((np.asarray(z) - low) / (high - low), 0, 1.35)
        bend = self.pose.lean * u + self.body.stoop * np.clip(u - 0.3, 0, None) ** 2  # radians, growing upwards
        rise = np.asarray(z) - low
        centre = np.stack(
            [
                0 * rise,
                np.sin(bend) * np.maximum(rise, 0),
                low + self.lift + np.where(rise > 0, np.cos(bend), 1) * rise,
            ],
            axis=1,
        )
        yaw = self.yaws[0] + (self.yaws[1] - self.yaws[0]) * np.clip(u, 0, 1)
        across = np.stack([np.cos(yaw), np.sin(yaw), 0 * yaw], axis=1)
        front = np.stack([-np.sin(yaw) * np.cos(bend), np.cos(yaw) * np.cos(bend), -np.sin(bend)], axis=1)
        return centre, across, front

    def skin(self, z: Array, theta: Array, ease: float | Array = 0.0) -> Array:
        """Points (m, n, 3) at upright heights z (m,) and angles theta (n,) or (m, n), `ease` metres off the trunk."""
        centre, across, front = self.spine(z)
        size = smooth(self.body.torso(z), 2)
        theta = np.broadcast_to(theta, (len(centre), np.shape(theta)[-1]))
        sine, cosine = np.sin(theta), np.cos(theta)
        wide = (size[:, :1] + ease) * np.sign(sine) * np.abs(sine) ** 0.9
        deep = (np.where(cosine > 0, size[:, 1:2], size[:, 2:3]) + ease) * np.sign(cosine) * np.abs(cosine) ** 0.85
        return centre[:, None] + wide[..., None] * across[:, None] + deep[..., None] * front[:, None]


def stand(body: Body, pose: Pose) -> Stance:
    """Forward kinematics: from angles to joints."""
    H = body.height
    swing = pose.stride * np.cos(2 * np.pi * pose.phase)
    yaws = (0.10 * swing, -0.12 * swing * pose.swing)  # the right hip goes forward with the right leg
    legs, pitch = _legs(body, pose, turned(yaws[0]))
    lift = -min(_lowest(leg, angle, H) for leg, angle in zip(legs, pitch, strict=True))
    legs = (_raised(legs[0], lift), _raised(legs[1], lift))
    bare = Stance(body, pose, legs, legs, pitch, lift, yaws)  # the arms hang on the trunk, which needs no arms
    right, left = (_arm(bare, side) for side in (0, 1))
    return Stance(body, pose, (right, left), legs, pitch, lift, yaws)


def _legs(body: Body, pose: Pose, turn: Array) -> tuple[tuple[Limb, Limb], tuple[float, float]]:
    limbs, pitches = [], []
    for side, sign in ((0, 1.0), (1, -1.0)):
        flexion, knee, pitch = _leg_angles(pose.phase + 0.5 * side, pose.stride)
        hip = turn @ np.array([sign * body.hip_half, 0, 0]) + [0, 0, 0.52 * body.height]
        splay = -0.025 * sign  # the feet stand a little closer than the hips
        thigh = unit(turn @ np.array([splay, np.sin(flexion), -np.cos(flexion)]))
        shank = unit(turn @ np.array([splay, np.sin(flexion - knee), -np.cos(flexion - knee)]))
        middle = hip + 0.245 * body.height * thigh
        limbs.append(Limb(np.stack([middle + 0.236 * body.height * shank, middle, hip]), turn @ np.array([1.0, 0, 0])))
        pitches.append(pitch)
    return (limbs[0], limbs[1]), (pitches[0], pitches[1])


def _lowest(leg: Limb, pitch: float, height: float) -> float:
    """Height of the lowest point of the foot: heel or toe."""
    sole = 0.039 * height
    toe = -0.11 * height * np.sin(pitch) - sole * np.cos(pitch)
    heel = 0.04 * height * np.sin(pitch) - sole * np.cos(pitch)
    return float(leg.joints[0, 2] + min(toe, heel))


def _raised(limb: Limb, lift: float) -> Limb:
    return Limb(limb.joints + np.array([0, 0, lift]), limb.hint)


def _arm(stance: Stance, side: int) -> Limb:
    body, pose, sign = stance.body, stance.pose, 1.0 - 2.0 * side
    centre, across, front = (part[0] for part in stance.spine(np.array([0.789 * body.height])))
    swing = -0.42 * pose.swing * pose.stride * np.cos(2 * np.pi * (pose.phase + 0.5 * side))
    flexion, bend, spread = (
        swing + pose.raised[side],
        pose.bent[side] + 0.35 * max(swing, 0.0),
        pose.spread[side],
    )
    down = np.cross(front, across) * 1.0  # front x across = -z
    upper = unit(np.cos(flexion) * down + np.sin(flexion) * front + np.sin(spread) * sign * across)
    inward = -0.22 * np.sin(min(bend, 1.6)) * sign * across
    lower = unit(np.cos(flexion + bend) * down + np.sin(flexion + bend) * front + inward)
    shoulder = centre + sign * body.shoulder_half * across
    elbow = shoulder + 0.180 * body.height * upper
    return Limb(np.stack([elbow + 0.146 * body.height * lower, elbow, shoulder]), across)
