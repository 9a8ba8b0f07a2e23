"""What a person carries, as tubes."""

import numpy as np

from personsearch.data.synthetic.attributes import Person, true_lab
from personsearch.data.synthetic.cloth import Cloth
from personsearch.data.synthetic.palette import Floats, lab_to_linear
from personsearch.data.synthetic.skeleton import Skeleton
from personsearch.data.synthetic.surfaces import Tube, X, Y, Z, ellipsoid, limb


def carried_tubes(person: Person, skeleton: Skeleton, phase: float) -> list[Tube]:
    """The bag, what is in the hand, the umbrella."""
    return [*_bag(person, skeleton, phase), *_handheld(person, skeleton), *_umbrella(person, skeleton)]


def box(part: str, cloth: Cloth, top: Floats, half: tuple[float, float, float]) -> Tube:
    """A rounded box that hangs from `top`: half width, height, half depth."""
    steps = np.array([0, 0.02, 0.5, 0.98, 1.0], np.float32)
    swell = np.array([0.75, 0.93, 1.0, 0.97, 0.8], np.float32)
    centres = top - steps[:, None] * half[1] * Y
    return Tube(
        part, cloth, centres.astype(np.float32), np.stack([swell * half[0], swell * half[2]], 1), X, Z, squareness=0.5
    )


def _bag(person: Person, skeleton: Skeleton, phase: float) -> list[Tube]:
    s = skeleton.scale
    size = s * (0.85 + 0.4 * (phase * 53 % 1))
    cloth = Cloth(lab_to_linear(true_lab(person, "bag")), folds=0.2, grain=0.08, gloss=0.08, phase=phase, zip_line=True)
    strap = Cloth(cloth.colour * 0.8, folds=0.1)
    carrying = skeleton.right if np.sin(phase * 37) > 0 else skeleton.left
    sign = -1.0 if carrying is skeleton.right else 1.0
    match person.bag:
        case "backpack":
            back = skeleton.neck - (0.03 * Y + 0.215 * Z) * s
            straps = [
                limb(
                    "bag",
                    strap,
                    [
                        side.shoulder * 0.72 + skeleton.neck * 0.28 + (0.055 * Y - 0.05 * Z) * s,
                        side.shoulder * 0.75 + skeleton.chest * 0.25 + (0.115 * Z) * s,
                        skeleton.chest + (0.85 * (side.shoulder - skeleton.chest) * X) - (0.12 * Y - 0.08 * Z) * s,
                    ],
                    [0.02 * s, 0.022 * s, 0.016 * s],
                )
                for side in (skeleton.left, skeleton.right)
            ]
            return [box("bag", cloth, back, (0.155 * size, 0.44 * size, 0.095 * size)), *straps]
        case "shoulder bag":
            hip = skeleton.pelvis + (sign * 0.235 * X + 0.1 * Y) * s
            high = skeleton.neck - (sign * 0.1 * X + 0.02 * Y) * s
            straps = [
                limb("bag", strap, [high + depth * s * Z * 0.5, skeleton.chest + depth * s * Z, hip], [0.016 * s] * 3)
                for depth in (0.15, -0.15)
            ]
            return [box("bag", cloth, hip, (0.075 * size, 0.27 * size, 0.17 * size)), *straps]
        case "handbag" | "plastic bag" | "briefcase":
            grip = carrying.wrist - 0.06 * s * Y
            depth, height = {"handbag": (0.15, 0.24), "plastic bag": (0.14, 0.32), "briefcase": (0.2, 0.28)}[person.bag]
            handle = limb("bag", strap, [grip, grip - 0.08 * s * Y], [0.012 * s, 0.014 * s])
            return [box("bag", cloth, grip - 0.06 * s * Y, (0.06 * size, height * size, depth * size)), handle]
        case "suitcase":
            floor = carrying.wrist * X - (0.25 * Z) * s + sign * 0.12 * s * X
            handle = limb("bag", strap, [carrying.wrist, floor + 0.6 * s * Y], [0.012 * s, 0.012 * s])
            return [box("bag", cloth, floor + 0.6 * s * Y, (0.18 * s, 0.56 * s, 0.11 * s)), handle]
        case _:
            return []


def _handheld(person: Person, skeleton: Skeleton) -> list[Tube]:
    s = skeleton.scale
    side = skeleton.left if person.handheld in ("phone", "bottle") else skeleton.right
    at = side.wrist + (side.wrist - side.elbow) * 0.3
    pale, dark = Cloth(np.full(3, 0.85, np.float32), folds=0.1), Cloth(np.full(3, 0.02, np.float32), gloss=0.5)
    match person.handheld:
        case "paper":
            return [box("handheld", pale, at + 0.1 * s * Y, (0.09 * s, 0.22 * s, 0.012 * s))]
        case "folder":
            return [
                box("handheld", Cloth(lab_to_linear((55, 20, 30))), at + 0.13 * s * Y, (0.03 * s, 0.3 * s, 0.13 * s))
            ]
        case "phone":
            return [box("handheld", dark, at + 0.07 * s * Y, (0.035 * s, 0.14 * s, 0.015 * s))]
        case "bottle":
            return [
                limb(
                    "handheld",
                    Cloth(lab_to_linear((70, -8, -12)), gloss=0.6),
                    [at + 0.12 * s * Y, at - 0.1 * s * Y],
                    [0.025 * s, 0.035 * s],
                )
            ]
        case _:
            return []


def _umbrella(person: Person, skeleton: Skeleton) -> list[Tube]:
    if person.umbrella_colour == "none":
        return []
    s, grip = skeleton.scale, skeleton.right.wrist
    cloth = Cloth(lab_to_linear(true_lab(person, "umbrella")), folds=0.2, gloss=0.1)
    top = skeleton.head + (0.36 * Y - 0.08 * X + 0.04 * Z) * s
    stick = limb("umbrella", Cloth(np.full(3, 0.1, np.float32)), [grip, top], [0.012 * s, 0.012 * s])
    return [stick, ellipsoid("umbrella", cloth, top - 0.12 * s * Y, (0.48 * s, 0.24 * s, 0.48 * s), bottom=0.05)]
