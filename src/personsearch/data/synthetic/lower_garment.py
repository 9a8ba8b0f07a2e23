"""What is worn below the waist, cut to a skeleton as tubes."""

import numpy as np

from personsearch.data.synthetic.attributes import Person, true_lab
from personsearch.data.synthetic.body import X, Y, Z, ellipsoid, skin_cloth
from personsearch.data.synthetic.cloth import Cloth
from personsearch.data.synthetic.palette import lab_to_linear
from personsearch.data.synthetic.skeleton import Side, Skeleton
from personsearch.data.synthetic.surfaces import Tube, limb


def lower_tubes(person: Person, skeleton: Skeleton, phase: float) -> list[Tube]:
    """Bare legs, and what covers them."""
    cloth = _lower_cloth(person, phase)
    tubes = [tube for side in (skeleton.left, skeleton.right) for tube in _leg(person, side, skeleton, cloth)]
    s, hips = skeleton.scale, 0.155 * skeleton.scale * (0.5 + 0.5 * skeleton.girth)
    pelvis = skeleton.pelvis
    if person.lower == "skirt":
        centres = [
            pelvis + 0.14 * s * Y,
            pelvis,
            pelvis - 0.22 * s * Y,
            pelvis - (0.4 + 0.1 * np.sin(phase * 17)) * s * Y,
        ]
        radii = np.array(
            [[0.7 * hips, 0.1 * s], [hips, 0.12 * s], [hips * 1.2, 0.16 * s], [hips * 1.32, 0.2 * s]], np.float32
        )
        return [*tubes, Tube("lower", cloth, np.array(centres, np.float32), radii, X, Z)]
    if person.lower != "dress":
        tubes.append(ellipsoid("lower", cloth, pelvis + 0.0 * Y, (hips * 1.0, 0.15 * s, 0.118 * s * skeleton.girth)))
    return tubes


def _lower_cloth(person: Person, phase: float) -> Cloth:
    colour = lab_to_linear(true_lab(person, "lower"))
    if person.lower == "jeans":
        return Cloth(colour, folds=0.55, grain=0.14, phase=phase + 1)
    if person.lower == "tracksuit bottoms":
        stripe = np.full(3, 0.8, np.float32) if colour.mean() < 0.4 else np.full(3, 0.05, np.float32)
        return Cloth(colour, stripe, pattern="stripe", folds=0.4, phase=phase + 1)
    return Cloth(colour, folds={"leggings": 0.15, "dress": 0.5}.get(person.lower, 0.38), grain=0.05, phase=phase + 1)


def _leg(person: Person, side: Side, skeleton: Skeleton, cloth: Cloth) -> list[Tube]:
    s = skeleton.scale * (0.7 + 0.3 * skeleton.girth)
    joints, widths = [side.hip, side.knee, side.ankle], [0.084 * s, 0.056 * s, 0.036 * s]
    tights = np.sin(cloth.phase * 23) > 0.2 and person.lower in ("skirt", "dress")
    under = Cloth(np.full(3, 0.012, np.float32)) if tights else skin_cloth(person, cloth.phase)
    bare = limb("skin", under, joints, [w * 0.9 for w in widths])
    match person.lower:
        case "skirt" | "dress":
            return [bare]
        case "shorts":
            end = side.knee + (side.hip - side.knee) * 0.12
            return [bare, limb("lower", cloth, [side.hip, end], [widths[0] * 1.12, widths[1] * 1.5])]
        case "leggings":
            return [limb("lower", cloth, joints, [w * 0.98 for w in widths])]
        case _:
            cut = 1.0 + 0.35 * float(np.sin(cloth.phase * 5) ** 2)
            return [limb("lower", cloth, joints, [widths[0] * 1.06, widths[1] * 1.12 * cut, widths[2] * 1.35 * cut])]


def shoe_tubes(person: Person, skeleton: Skeleton) -> list[Tube]:
    """Both shoes."""
    colour = lab_to_linear(true_lab(person, "shoes"))
    sole = np.full(3, 0.75, np.float32) if person.shoes == "sneakers" else np.full(3, 0.02, np.float32)
    cloth = Cloth(colour, sole, pattern="sole", folds=0.15, gloss=0.15 if person.shoes in ("shoes", "boots") else 0.0)
    tubes = []
    for side in (skeleton.left, skeleton.right):
        s = skeleton.scale
        heel = side.ankle - 0.035 * s * Y - (side.toe - side.ankle) * 0.25
        tubes.append(
            limb(
                "shoes",
                cloth,
                [heel, side.ankle + (side.toe - side.ankle) * 0.5 - 0.02 * s * Y, side.toe],
                [0.038 * s, 0.046 * s, 0.036 * s],
                flat=0.8,
            )
        )
        if person.shoes == "boots":
            tubes.append(
                limb(
                    "shoes",
                    cloth,
                    [side.ankle + (side.knee - side.ankle) * 0.45, side.ankle - 0.02 * s * Y],
                    [0.062 * s, 0.05 * s],
                )
            )
    return tubes
