"""The tubes of a person's body that no garment covers: head, hair, hands."""

import numpy as np

from personsearch.data.synthetic.attributes import Person
from personsearch.data.synthetic.cloth import Cloth
from personsearch.data.synthetic.headwear import HIDING_HAIR, headwear_tubes
from personsearch.data.synthetic.palette import HAIR_LAB, SKIN_LAB, Floats, lab_to_linear
from personsearch.data.synthetic.skeleton import Side, Skeleton
from personsearch.data.synthetic.surfaces import Tube, X, Y, Z, ellipsoid, limb


def skin_cloth(person: Person, phase: float) -> Cloth:
    """The person's skin."""
    lightness, a, b = SKIN_LAB[person.skin]
    return Cloth(lab_to_linear((lightness + 5 * np.sin(phase * 50), a, b)), folds=0.05, grain=0.02)


def head_tubes(person: Person, skeleton: Skeleton, phase: float) -> list[Tube]:
    """Neck, head with eyes, nose and beard, glasses, hair and headwear."""
    s = skeleton.scale * (1.16 if person.child else 1.0)
    head = skeleton.head
    skin = skin_cloth(person, phase)
    face = ellipsoid("skin", skin, head, (0.074 * s, 0.112 * s, 0.092 * s))
    thin = 0.88 if person.female else 1.0
    neck = limb("skin", skin, [skeleton.neck - 0.02 * Y, head - 0.05 * s * Y], [0.062 * thin * s, 0.055 * thin * s])
    nose = ellipsoid(
        "skin", skin, head + np.float32(0.09 * s) * Z - np.float32(0.015 * s) * Y, (0.015 * s, 0.028 * s, 0.018 * s)
    )
    tubes = [face, neck, nose, *_eyes(person, head, s)]
    if person.beard:
        beard = Cloth(hair_colour(person, phase), folds=0.2)
        tubes.append(
            ellipsoid("beard", beard, head - 0.045 * s * Y + 0.014 * s * Z, (0.071 * s, 0.075 * s, 0.086 * s), top=0.05)
        )
    return [*tubes, *_hair(person, head, s, phase), *headwear_tubes(person, head, s, phase)]


def hair_colour(person: Person, phase: float) -> Floats:
    """Linear RGB of the hair, a little different for each person."""
    lightness, a, b = HAIR_LAB[person.hair_colour]
    return lab_to_linear((lightness + 4 * float(np.sin(phase * 77)), a, b))


def _eyes(person: Person, head: Floats, s: float) -> list[Tube]:
    dark = Cloth(np.full(3, 0.015, np.float32), folds=0)
    eye_line = head + 0.018 * s * Y
    if person.eyewear == "none":
        return [
            ellipsoid("skin", dark, eye_line + sign * 0.03 * s * X + 0.08 * s * Z, (0.009 * s, 0.005 * s, 0.01 * s))
            for sign in (-1, 1)
        ]
    size = 0.034 if person.eyewear == "sunglasses" else 0.027
    lenses = [
        ellipsoid(
            "eyewear", dark, eye_line + sign * 0.033 * s * X + 0.082 * s * Z, (size * s, size * 0.75 * s, 0.014 * s)
        )
        for sign in (-1, 1)
    ]
    rim = ellipsoid("eyewear", dark, eye_line + 0.04 * s * Z, (0.08 * s, 0.009 * s, 0.056 * s))
    return [*lenses, rim]


def _hair(person: Person, head: Floats, s: float, phase: float) -> list[Tube]:
    if person.headwear in HIDING_HAIR:
        return []
    hair = Cloth(
        hair_colour(person, phase),
        folds=0.35 if person.hair_style != "curly" else 0.6,
        grain=0.2,
        gloss=0.12,
        phase=phase,
    )
    if person.hair_length == "bald":
        fringe = ellipsoid(
            "hair", hair, head - 0.012 * s * Z, (0.078 * s, 0.085 * s, 0.086 * s), top=0.25, bottom=-0.55
        )
        return [fringe]
    volume = {"short": 1.0, "medium": 1.12, "long": 1.1}[person.hair_length] * (
        1.22 if person.hair_style == "curly" else 1.0
    )
    cap = ellipsoid(
        "hair", hair, head + (0.026 * Y - 0.026 * Z) * s, (0.084 * s * volume, 0.103 * s * volume, 0.088 * s * volume)
    )
    tubes = [cap]
    if person.hair_length == "medium":
        tubes.append(
            ellipsoid("hair", hair, head - (0.05 * Y + 0.03 * Z) * s, (0.098 * s * volume, 0.125 * s, 0.07 * s))
        )
    if person.hair_length == "long":
        tubes += _long_hair(person, hair, head, s)
    return tubes


def _long_hair(person: Person, hair: Cloth, head: Floats, s: float) -> list[Tube]:
    back = head - 0.095 * s * Z
    if person.hair_style == "bun":
        return [ellipsoid("hair", hair, back + 0.055 * s * Y, (0.048 * s, 0.045 * s, 0.045 * s))]
    if person.hair_style == "ponytail":
        return [
            limb(
                "hair",
                hair,
                [back + 0.04 * s * Y, back - (0.06 * Y + 0.05 * Z) * s, back - (0.22 * Y + 0.03 * Z) * s],
                [0.028 * s, 0.036 * s, 0.02 * s],
            )
        ]
    centres = np.stack(
        [
            head + (0.03 * Y - 0.03 * Z) * s,
            head - (0.12 * Y + 0.035 * Z) * s,
            head - (0.25 * Y + 0.07 * Z) * s,
            head - (0.33 * Y + 0.08 * Z) * s,
        ]
    )
    radii = np.array([[0.08, 0.075], [0.098, 0.07], [0.105, 0.055], [0.06, 0.03]], np.float32) * s
    return [Tube("hair", hair, centres.astype(np.float32), radii, X, Z)]


def hands(person: Person, skeleton: Skeleton, phase: float, *, hidden: tuple[bool, bool]) -> list[Tube]:
    """Both hands, except those in a pocket."""
    skin = skin_cloth(person, phase)
    sides: tuple[Side, Side] = (skeleton.left, skeleton.right)
    return [_hand(skin, side, skeleton.scale) for side, in_pocket in zip(sides, hidden, strict=True) if not in_pocket]


def _hand(skin: Cloth, side: Side, s: float) -> Tube:
    reach = side.wrist - side.elbow
    reach = reach / (np.linalg.norm(reach) + 1e-6)
    return limb("skin", skin, [side.wrist, side.wrist + reach * 0.1 * s], [0.03 * s, 0.033 * s], flat=0.8)
