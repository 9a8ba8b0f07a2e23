"""What a person wears, cut to the skeleton as tubes: above the waist, below it, shoes, a scarf."""

import numpy as np

from personsearch.data.synthetic.attributes import JACKETS, Person, true_lab
from personsearch.data.synthetic.body import skin_cloth
from personsearch.data.synthetic.cloth import Cloth
from personsearch.data.synthetic.palette import lab_to_linear
from personsearch.data.synthetic.skeleton import Side, Skeleton
from personsearch.data.synthetic.surfaces import Tube, X, Y, Z, ellipsoid, limb

HEM_BELOW_PELVIS = {
    "coat": 0.34,
    "fur coat": 0.3,
    "parka": 0.26,
    "waistcoat": 0.07,
    "suit jacket": 0.14,
    "dress": 0.42,
    "hoodie": 0.09,
    "cardigan": 0.14,
    "t-shirt": 0.08,
    "shirt": 0.09,
}
BULK = {
    "coat": 1.16,
    "fur coat": 1.36,
    "parka": 1.28,
    "waistcoat": 1.06,
    "padded jacket": 1.3,
    "hooded jacket": 1.17,
    "jacket": 1.12,
    "leather jacket": 1.1,
    "hoodie": 1.14,
    "vest": 1.14,
    "sweater": 1.08,
    "suit jacket": 1.08,
    "tank top": 0.98,
    "blouse": 1.02,
}


def upper_cloth(person: Person, phase: float) -> Cloth:
    """The upper garment's material with its pattern, opening and folds."""
    colour, detail = lab_to_linear(true_lab(person, "upper")), lab_to_linear(true_lab(person, "detail"))
    shut_jacket = person.upper in JACKETS and not person.open_front
    v_neck = (shut_jacket and person.upper in ("suit jacket", "cardigan")) or person.upper == "waistcoat"
    fur = 0.6 if person.upper == "fur coat" else 0.0
    pattern = person.pattern if person.pattern != "logo" or np.sin(phase * 91) < 0.4 else "back-logo"
    opening = 0.42 + 0.2 * float(np.sin(phase * 13)) if person.open_front else 0.5 if v_neck else 0.0
    opening += 0.16 if person.suit and v_neck else 0.0
    return Cloth(
        colour,
        None if person.upper in ("fur coat", "parka") else detail,
        pattern=pattern,
        detail_part="inner" if opening else "pattern",
        opening=opening,
        opening_top=0.5 if person.suit and v_neck else 0.4 if v_neck else 0.0,
        zip_line=shut_jacket or person.upper in ("shirt", "parka", "waistcoat"),
        folds={"leather jacket": 0.5, "suit jacket": 0.2, "coat": 0.28, "t-shirt": 0.3}.get(person.upper, 0.36),
        grain=0.14 if person.upper in ("sweater", "cardigan") else 0.06,
        gloss={"leather jacket": 0.5, "padded jacket": 0.3, "jacket": 0.1}.get(person.upper, 0.03),
        quilted=0.4 if person.upper in ("padded jacket", "vest") else 0.0,
        fur=fur,
        phase=phase,
        pitch=0.035 + 0.05 * float(np.sin(phase * 31) ** 2),
    )


def upper_tubes(person: Person, skeleton: Skeleton, cloth: Cloth) -> list[Tube]:
    """Torso, sleeves, collar and hood of the upper garment (a dress: down to its hem)."""
    tubes = [_torso(person, skeleton, cloth), _shoulders(person, skeleton, cloth)]
    for side in (skeleton.left, skeleton.right):
        tubes += _sleeve(person, side, skeleton, cloth)
    return [*tubes, *_collar(person, skeleton, cloth)]


def _torso(person: Person, skeleton: Skeleton, cloth: Cloth) -> Tube:
    s, girth, bulk = skeleton.scale, skeleton.girth, BULK.get(person.upper, 1.04)
    width, hips = skeleton.shoulder_width, (0.17 if person.female else 0.15) * s
    waist = (0.112 if person.female else 0.142) * s * (0.6 + 0.4 * girth)
    belly = s * (0.105 + 0.09 * (girth - 0.9))
    hem = HEM_BELOW_PELVIS.get(person.upper, 0.05) * s
    pelvis, chest, neck = skeleton.pelvis, skeleton.chest, skeleton.neck
    flare = 1.0 + (0.9 if person.upper == "dress" else 0.35) * hem / s
    fitted = person.female or person.upper in ("suit jacket", "leather jacket")
    middle = waist if fitted and bulk < 1.2 else max(waist, hips * 0.94)
    centres = [
        neck + 0.012 * s * Y,
        neck - 0.045 * s * Y,
        neck - 0.085 * s * Y,
        chest - 0.03 * s * Y,
        pelvis + 0.17 * s * Y,
        pelvis - 0.02 * s * Y,
        pelvis - hem * Y,
    ]
    radii = [
        [0.065 * s, 0.06 * s], [0.8 * width, 0.085 * s], [0.98 * width, 0.1 * s],
        [0.93 * width * (0.5 + 0.5 * girth), (0.118 + 0.026 * person.female) * s * (0.4 + 0.6 * girth)],
        [middle, belly], [hips * (0.5 + 0.5 * girth), 0.112 * s * girth],
        [hips * (0.5 + 0.5 * girth) * flare, 0.12 * s * girth * flare],
    ]  # fmt: skip
    growth = np.array([1, 0.96 + 0.04 * bulk, 0.9 + 0.1 * bulk, bulk, bulk, bulk, bulk], np.float32)
    return Tube(
        "upper",
        cloth,
        np.array(centres, np.float32),
        np.array(radii, np.float32) * growth[:, None],
        X,
        Z,
        squareness=0.86,
    )


def _shoulders(person: Person, skeleton: Skeleton, cloth: Cloth) -> Tube:
    """The yoke that joins both sleeves to the neck."""
    s = skeleton.scale * (0.94 + 0.1 * (BULK.get(person.upper, 1.0) - 1))
    plain = Cloth(
        cloth.detail if cloth.pattern == "two-tone" and cloth.detail is not None else cloth.colour,
        folds=cloth.folds,
        gloss=cloth.gloss,
        fur=cloth.fur,
        phase=cloth.phase,
    )
    drop = -0.004 * s * Y
    return limb(
        "upper",
        plain,
        [skeleton.left.shoulder + drop, skeleton.neck - 0.045 * s * Y, skeleton.right.shoulder + drop],
        [0.058 * s, 0.07 * s, 0.058 * s],
    )


def _sleeve(person: Person, side: Side, skeleton: Skeleton, cloth: Cloth) -> list[Tube]:
    s, bulk = skeleton.scale * (0.75 + 0.25 * skeleton.girth), BULK.get(person.upper, 1.05)
    joints, widths = [side.shoulder, side.elbow, side.wrist], [0.058 * s, 0.045 * s, 0.035 * s]
    arm = limb("skin", skin_cloth(person, cloth.phase), joints, [w * 0.86 for w in widths])
    if person.sleeves == "none":
        return [arm]
    pattern = cloth.pattern if cloth.pattern in ("striped", "checked", "dotted", "two-tone") else "plain"
    sleeve_cloth = Cloth(
        lab_to_linear(true_lab(person, "detail")) if person.upper == "waistcoat" else cloth.colour,
        cloth.detail,
        pattern,
        "pattern",
        folds=cloth.folds,
        grain=cloth.grain,
        gloss=cloth.gloss,
        quilted=cloth.quilted,
        fur=cloth.fur,
        phase=cloth.phase,
        pitch=cloth.pitch,
    )
    part = "inner" if person.upper == "waistcoat" else "upper"
    if person.sleeves == "short":
        middle = side.shoulder + (side.elbow - side.shoulder) * 0.72
        return [arm, limb(part, sleeve_cloth, [side.shoulder, middle], [widths[0] * bulk, widths[1] * bulk * 1.22])]
    return [
        limb(
            part,
            sleeve_cloth,
            joints,
            [w * bulk * growth for w, growth in zip(widths, (1, 1.08, 1.12), strict=True)],
        )
    ]


def _collar(person: Person, skeleton: Skeleton, cloth: Cloth) -> list[Tube]:
    s, neck, head = skeleton.scale, skeleton.neck, skeleton.head
    plain = Cloth(cloth.colour, folds=cloth.folds, gloss=cloth.gloss, phase=cloth.phase)
    if person.headwear == "hood":
        centres = [
            head + 0.145 * s * Y - 0.02 * Z,
            head + 0.1 * s * Y - 0.025 * Z,
            head - 0.025 * Z,
            head - 0.1 * s * Y - 0.01 * Z,
            neck - 0.03 * s * Y,
        ]
        radii = np.array([[0.03, 0.04], [0.09, 0.1], [0.112, 0.11], [0.1, 0.1], [0.12, 0.1]], np.float32) * s
        opened = Cloth(
            cloth.colour,
            skin_cloth(person, cloth.phase).colour,
            opening=0.8,
            opening_top=9.0,
            folds=cloth.folds,
            phase=cloth.phase,
        )
        hood_up = Tube("headwear", opened, np.array(centres, np.float32), radii, X, Z)
        return [hood_up, *_fur_round_the_face(person, skeleton, cloth.phase)]
    if person.upper in ("hoodie", "hooded jacket"):
        hood = ellipsoid("hood", plain, neck + 0.015 * s * Y - 0.1 * s * Z, (0.115 * s, 0.075 * s, 0.062 * s))
        ring = ellipsoid("hood", plain, neck + 0.005 * s * Y, (0.098 * s, 0.04 * s, 0.09 * s))
        return [hood, ring]
    if person.upper in ("parka", "fur coat", "waistcoat"):
        return _uncommon_collar(person, skeleton, cloth)
    if person.upper in ("jacket", "leather jacket", "padded jacket", "coat", "shirt", "polo shirt", "vest"):
        return [limb("upper", plain, [neck - 0.04 * s * Y, neck + 0.035 * s * Y], [0.088 * s, 0.074 * s])]
    return []


def _uncommon_collar(person: Person, skeleton: Skeleton, cloth: Cloth) -> list[Tube]:
    s, neck = skeleton.scale, skeleton.neck
    plain = Cloth(cloth.colour, folds=cloth.folds, fur=cloth.fur, phase=cloth.phase)
    match person.upper:
        case "parka":
            hood = ellipsoid("hood", plain, neck + 0.015 * s * Y - 0.11 * s * Z, (0.13 * s, 0.1 * s, 0.075 * s))
            place = neck + 0.035 * s * Y - 0.025 * s * Z
            return [hood, ellipsoid("hood", _trim(person, cloth.phase), place, (0.145 * s, 0.058 * s, 0.135 * s))]
        case "fur coat":
            return [ellipsoid("upper", plain, neck + 0.01 * s * (Y - Z), (0.15 * s, 0.075 * s, 0.135 * s))]
        case _:
            shirt = Cloth(lab_to_linear(true_lab(person, "detail")), folds=0.1, phase=cloth.phase)
            return [limb("inner", shirt, [neck - 0.04 * s * Y, neck + 0.035 * s * Y], [0.088 * s, 0.07 * s])]


def _trim(person: Person, phase: float) -> Cloth:
    """The fur on a parka's hood."""
    return Cloth(lab_to_linear(true_lab(person, "detail")), folds=0.5, fur=0.7, phase=phase)


def _fur_round_the_face(person: Person, skeleton: Skeleton, phase: float) -> list[Tube]:
    if person.upper != "parka":
        return []
    s = skeleton.scale * (1.1 if person.child else 1.0)
    place = skeleton.head + (0.022 * Z - 0.005 * Y) * s
    return [ellipsoid("hood", _trim(person, phase), place, (0.15 * s, 0.175 * s, 0.04 * s))]


def tie_tubes(person: Person, skeleton: Skeleton) -> list[Tube]:
    """A tie on the shirt, as far down as the jacket or the waistcoat leaves it to be seen."""
    if person.tie_colour == "none":
        return []
    s, neck, chest = skeleton.scale, skeleton.neck, skeleton.chest
    depth = (0.118 + 0.026 * person.female) * (0.4 + 0.6 * skeleton.girth) * BULK[person.upper] * s
    end = 0.34 if person.open_front else 0.15
    joints = [
        neck - 0.02 * s * Y + 0.088 * s * Z,
        neck - 0.09 * s * Y + 0.118 * s * Z,
        chest - 0.03 * s * Y + (depth + 0.006 * s) * Z,
        chest - end * s * Y + (depth - 0.004 * s) * Z,
    ]
    cloth = Cloth(lab_to_linear(true_lab(person, "tie")), folds=0.05, gloss=0.15)
    return [limb("tie", cloth, joints, [0.024 * s, 0.026 * s, 0.034 * s, 0.03 * s], flat=0.35)]


def high_visibility_tubes(person: Person, skeleton: Skeleton, phase: float) -> list[Tube]:
    """A high-visibility vest with reflective bands over the upper garment."""
    if person.hi_vis_colour == "none":
        return []
    s = skeleton.scale
    silver = np.full(3, 0.72, np.float32)
    cloth = Cloth(
        lab_to_linear(true_lab(person, "hi-vis")), silver, "reflective", folds=0.22, zip_line=True, phase=phase
    )
    below = _torso(person, skeleton, cloth)
    centres, radii = below.centres[1:].copy(), below.radii[1:] * 1.05 + 0.008 * s
    centres[-1] = skeleton.pelvis - (0.05 + 0.06 * np.sin(phase * 19) ** 2) * s * Y
    radii[-1] = radii[-2] * 1.06
    radii[0] *= (0.86, 1.1)
    return [Tube("hi-vis", cloth, centres, radii, X, Z, squareness=0.86)]


def scarf(person: Person, skeleton: Skeleton, phase: float) -> list[Tube]:
    """A scarf round the neck with one end hanging in front."""
    if person.scarf_colour == "none":
        return []
    s, neck = skeleton.scale, skeleton.neck
    cloth = Cloth(lab_to_linear(true_lab(person, "scarf")), folds=0.6, grain=0.15, phase=phase)
    ring = ellipsoid("scarf", cloth, neck + 0.022 * s * Y, (0.098 * s, 0.056 * s, 0.098 * s))
    end = limb(
        "scarf",
        cloth,
        [neck + (0.03 * X + 0.1 * Z) * s, neck + (0.04 * X + 0.15 * Z - 0.3 * Y) * s],
        [0.035 * s, 0.04 * s],
        flat=0.5,
    )
    return [ring, end]


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
