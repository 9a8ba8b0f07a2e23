"""A body's joints in metres: x to its left, y up, z forward; feet at y = 0."""

from dataclasses import dataclass

import numpy as np

from personsearch.data.synthetic.attributes import Person
from personsearch.data.synthetic.palette import Floats

SADDLE = 0.97
"""The height of a bicycle's saddle, in metres."""


@dataclass(frozen=True, slots=True)
class Pose:
    """A moment of walking or standing. Angles in radians, `phase` of the walking cycle in 0..2π.

    `arms` names what (left, right) arm does: swing, pocket, phone, hold (forearm forward), hang, push (hands on a bar).
    """

    walking: bool
    phase: float
    stride: float
    lean: float
    arms: tuple[str, str]
    riding: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """The joints of one half of the body."""

    shoulder: Floats
    elbow: Floats
    wrist: Floats
    hip: Floats
    knee: Floats
    ankle: Floats
    toe: Floats


@dataclass(frozen=True, slots=True)
class Skeleton:
    """All joints, and the widths of the body that garments are cut to."""

    pelvis: Floats
    chest: Floats
    neck: Floats
    head: Floats
    left: Side
    right: Side
    girth: float
    shoulder_width: float
    scale: float


def build_skeleton(person: Person, pose: Pose) -> Skeleton:
    """Joints of a person in a pose; the lower foot touches the ground."""
    scale = {"short": 0.94, "average": 1.0, "tall": 1.05}[person.height] * (0.95 if person.female else 1.02)
    scale *= 0.72 if person.child else 1.0
    girth = {"slim": 0.88, "average": 1.0, "heavy": 1.22}[person.build] * (0.92 if person.female else 1.0)
    shoulder_width = (0.158 if person.female else 0.187) * (0.94 + 0.06 * girth)
    if pose.riding:
        return _grounded(_riding(pose, girth, shoulder_width), scale, lowest=0.0)
    bob = 0.012 * np.cos(2 * pose.phase) if pose.walking else 0.0
    pelvis = _vector(0, 0.92 + bob, 0)
    lean = np.sin(pose.lean)
    chest = pelvis + _vector(0, 0.36, 0.36 * lean)
    neck = pelvis + _vector(0, 0.545, 0.55 * lean)
    head = neck + _vector(0, 0.15, 0.02 + 0.15 * lean)
    left, right = (_side(pose, pelvis, neck, index=index, width=shoulder_width) for index in (0, 1))
    lowest = min(float(side.toe[1]) for side in (left, right)) - 0.035
    return _grounded(Skeleton(pelvis, chest, neck, head, left, right, girth, shoulder_width, 1.0), scale, lowest=lowest)


def _riding(pose: Pose, girth: float, shoulder_width: float) -> Skeleton:
    """On a bicycle whose pedals turn about (y 0.29, z 0): seated, both hands on the bar."""
    lean = 0.18 + 2.0 * max(pose.lean, 0.0)
    back = _vector(0, np.cos(lean), np.sin(lean))
    pelvis = _vector(0, SADDLE + 0.05, -0.21)
    neck = pelvis + back * 0.545
    head = neck + _vector(0, 0.145, 0.05)
    sides = []
    for sign, turn in ((1.0, pose.phase), (-1.0, pose.phase + np.pi)):
        hip = pelvis + _vector(sign * 0.088, -0.02, 0.02)
        ankle = _vector(sign * 0.1, 0.36 + 0.16 * np.sin(turn), -0.04 + 0.16 * np.cos(turn))
        knee = _bent(hip, ankle, 0.42, 0.41) + _vector(sign * 0.02, 0, 0)
        shoulder = neck + _vector(sign * shoulder_width, -0.065, 0)
        wrist = _vector(sign * 0.25, 1.06, 0.27)
        elbow = (shoulder + wrist) / 2 + _vector(sign * 0.07, -0.06, -0.04)
        sides.append(Side(shoulder, elbow, wrist, hip, knee, ankle, ankle + _vector(sign * 0.02, -0.05, 0.17)))
    return Skeleton(pelvis, pelvis + back * 0.36, neck, head, sides[0], sides[1], girth, shoulder_width, 1.0)


def _bent(start: Floats, end: Floats, first: float, second: float) -> Floats:
    """The joint between two bones from `start` to `end` that bends forward."""
    line = end - start
    reach = min(float(np.linalg.norm(line)), (first + second) * 0.999)
    along = (reach**2 + first**2 - second**2) / (2 * reach)
    across = np.sqrt(max(first**2 - along**2, 0.0))
    axis = line / np.linalg.norm(line)
    forward = np.cross(_vector(1, 0, 0), axis)
    forward *= np.sign(forward[2]) / np.linalg.norm(forward)
    return np.asarray(start + along * axis + across * forward, np.float32)


def _side(pose: Pose, pelvis: Floats, neck: Floats, *, index: int, width: float) -> Side:
    sign = -1.0 if index else 1.0
    phase = pose.phase + (np.pi if index else 0.0)
    swing = pose.stride * np.sin(phase) if pose.walking else 0.05 * sign
    # The knee bends most while the leg swings forward, just after it has passed the vertical.
    bend = (0.12 + 0.85 * pose.stride * max(0.0, np.cos(phase - 0.35)) * 1.5) if pose.walking else 0.04
    hip = pelvis + _vector(sign * 0.088, -0.02, 0)
    knee = hip + _swing(0.42, swing + bend * 0.45, sign * 0.03)
    ankle = knee + _swing(0.41, swing - bend * 0.75, sign * 0.01)
    foot_tilt = 0.55 * max(0.0, -np.sin(phase)) * pose.stride if pose.walking else 0.0
    toe = ankle + _vector(sign * 0.035, -0.055 - 0.15 * foot_tilt, 0.17)
    shoulder = neck + _vector(sign * width, -0.065, 0)
    elbow, wrist = _arm(pose.arms[index], -swing if pose.walking else 0.04, sign, shoulder)
    return Side(shoulder, elbow, wrist, hip, knee, ankle, toe)


def _arm(action: str, swing: float, sign: float, shoulder: Floats) -> tuple[Floats, Floats]:
    if action == "phone":
        elbow = shoulder + _vector(sign * 0.08, -0.23, 0.12)
        return elbow, shoulder + _vector(sign * -0.06, 0.08, 0.1)
    if action == "push":
        elbow = shoulder + _vector(sign * 0.06, -0.25, 0.03)
        return elbow, elbow + _vector(sign * -0.03, -0.1, 0.23)
    if action == "hold":
        elbow = shoulder + _vector(sign * 0.05, -0.27, 0.02)
        return elbow, elbow + _vector(sign * -0.09, 0.05, 0.22)
    if action == "pocket":
        elbow = shoulder + _vector(sign * 0.1, -0.25, -0.07)
        return elbow, elbow + _vector(sign * -0.05, -0.2, 0.1)
    lift = 0.8 * swing if action == "swing" else 0.15 * swing
    elbow = shoulder + _swing(0.28, lift - 0.06, sign * 0.13)
    return elbow, elbow + _swing(0.25, lift + 0.22 + 0.3 * max(0.0, lift), sign * 0.03)


def _swing(length: float, angle: float, outward: float) -> Floats:
    """A limb that hangs down, turned forward by `angle` and out to the side by `outward`."""
    return _vector(length * np.sin(outward), -length * np.cos(angle) * np.cos(outward), length * np.sin(angle))


def _grounded(skeleton: Skeleton, scale: float, *, lowest: float) -> Skeleton:
    """The skeleton at its size, with the height `lowest` on the ground."""
    shift = _vector(0, -lowest, 0)

    def move(joint: Floats) -> Floats:
        return np.asarray((joint + shift) * scale, np.float32)

    def move_side(side: Side) -> Side:
        joints = (side.shoulder, side.elbow, side.wrist, side.hip, side.knee, side.ankle, side.toe)
        return Side(*(move(joint) for joint in joints))

    return Skeleton(
        move(skeleton.pelvis),
        move(skeleton.chest),
        move(skeleton.neck),
        move(skeleton.head),
        move_side(skeleton.left),
        move_side(skeleton.right),
        girth=skeleton.girth,
        shoulder_width=skeleton.shoulder_width * scale,
        scale=scale,
    )


def _vector(x: float, y: float, z: float) -> Floats:
    return np.array([x, y, z], np.float32)
