"""What a person pushes or rides, as tubes: a bicycle, a pushchair, a shopping trolley."""

import numpy as np

from personsearch.data.synthetic.attributes import Person, true_lab
from personsearch.data.synthetic.cloth import Cloth
from personsearch.data.synthetic.palette import Floats, lab_to_linear
from personsearch.data.synthetic.skeleton import SADDLE, Skeleton
from personsearch.data.synthetic.surfaces import Tube, X, Y, Z, ellipsoid, limb

PART = "vehicle"
TYRE = Cloth(np.full(3, 0.015, np.float32), folds=0.05)
METAL = Cloth(np.full(3, 0.45, np.float32), folds=0.05, gloss=0.5)


def vehicle_tubes(person: Person, skeleton: Skeleton, phase: float) -> list[Tube]:
    """The bicycle beside or under the person, the pushchair or trolley before them; nothing for most."""
    if person.vehicle == "none":
        return []
    cloth = Cloth(lab_to_linear(true_lab(person, "vehicle")), folds=0.12, gloss=0.25, phase=phase)
    s, hands = skeleton.scale, (skeleton.left.wrist + skeleton.right.wrist) / 2
    match person.vehicle:
        case "ridden bicycle":
            return bicycle(cloth, np.zeros(3, np.float32), s, phase)
        case "bicycle":
            side = -1.0 if np.sin(phase * 37) > 0 else 1.0
            return bicycle(cloth, (side * 0.42 * X - 0.12 * Z) * s, s, phase)
        case "pushchair":
            return pushchair(cloth, hands * (Y + Z), s, phase)
        case _:
            return trolley(cloth, hands * (Y + Z), s)


def wheel(centre: Floats, radius: float, *, tyre: float, width: float = 0.016) -> Tube:
    """A ring round the axis to the body's left, open inside."""
    inner, offsets = radius - tyre, np.array([-0.8, -1, 1, 0.8], np.float32) * width
    radii = np.repeat(np.array([inner, radius, radius, inner], np.float32)[:, None], 2, axis=1)
    return Tube(PART, TYRE, (centre + offsets[:, None] * X).astype(np.float32), radii, Z, Y)


def _bars(cloth: Cloth, joints: dict[str, Floats], pairs: tuple[tuple[str, str], ...], radius: float) -> list[Tube]:
    return [limb(PART, cloth, [joints[start], joints[end]], [radius, radius]) for start, end in pairs]


def bicycle(cloth: Cloth, origin: Floats, s: float, phase: float) -> list[Tube]:
    """A bicycle that points forward, its pedals' axis above `origin` on the ground."""

    def at(x: float, y: float, z: float) -> Floats:
        return np.asarray(origin + s * np.array([x, y, z]), np.float32)

    joints = {
        "rear": at(0, 0.34, -0.45), "front": at(0, 0.34, 0.62), "pedals": at(0, 0.29, 0), "seat": at(0, 0.86, -0.2),
        "head": at(0, 0.84, 0.38), "crown": at(0, 0.64, 0.44), "stem": at(0, 1.02, 0.33),
    }  # fmt: skip
    frame = (
        ("seat", "pedals"), ("pedals", "crown"), ("seat", "head"), ("rear", "pedals"), ("rear", "seat"),
        ("stem", "crown"), ("crown", "front"),
    )  # fmt: skip
    basket = np.sin(phase * 61) > 0.45
    tubes = [wheel(joints[name], 0.34 * s, tyre=0.05 * s) for name in ("rear", "front")]
    tubes += _bars(cloth, joints, frame, 0.021 * s)
    tubes += _spokes(joints["rear"], s) + _spokes(joints["front"], s)
    tubes += [
        limb(PART, TYRE, [at(-0.29, 1.03, 0.26), at(0, 1.02, 0.33), at(0.29, 1.03, 0.26)], [0.02 * s] * 3),
        ellipsoid(PART, TYRE, at(0, SADDLE - 0.03, -0.22), (0.075 * s, 0.035 * s, 0.14 * s)),
        limb(PART, TYRE, [at(0.1, 0.29, 0.16), at(-0.1, 0.29, -0.16)], [0.022 * s, 0.022 * s]),
    ]
    if basket:
        woven = Cloth(lab_to_linear((45, 8, 20)), np.full(3, 0.02, np.float32), "checked", folds=0.1, pitch=0.05)
        tubes.append(ellipsoid(PART, woven, at(0, 0.9, 0.56), (0.17 * s, 0.16 * s, 0.14 * s), top=0.6))
    return tubes


def _spokes(axle: Floats, s: float) -> list[Tube]:
    turns = np.linspace(0, np.pi, 4, endpoint=False)
    reach = [(np.cos(turn) * Y + np.sin(turn) * Z) * 0.29 * s for turn in turns]
    return [limb(PART, METAL, [axle - arm, axle + arm], [0.005 * s, 0.005 * s]) for arm in reach]


def pushchair(cloth: Cloth, grip: Floats, s: float, phase: float) -> list[Tube]:
    """A seat with a canopy on a frame with four wheels, its handle in the hands."""

    def at(x: float, y: float, z: float) -> Floats:
        return np.asarray(grip * Z + s * np.array([x, y, z]), np.float32)

    dark = Cloth(np.full(3, 0.04, np.float32), folds=0.05, gloss=0.4)
    tubes = [limb(PART, dark, [at(-0.2, 0, 0) + grip * Y, at(0.2, 0, 0) + grip * Y], [0.022 * s, 0.022 * s])]
    for x in (-0.21, 0.21):
        tubes += [
            limb(PART, dark, [at(x, 0, 0) + grip * Y, at(x, 0.62, 0.3), at(x, 0.12, 0.68)], [0.018 * s] * 3),
            limb(PART, dark, [at(x, 0.6, 0.36), at(x, 0.12, 0.14)], [0.018 * s, 0.018 * s]),
            wheel(at(x, 0.1, 0.7), 0.1 * s, tyre=0.05 * s, width=0.02),
            wheel(at(x, 0.12, 0.12), 0.12 * s, tyre=0.05 * s, width=0.02),
        ]
    blanket = Cloth(lab_to_linear((62 + 22 * np.sin(phase * 71), 26 * np.sin(phase * 43), 24 * np.sin(phase * 29))))
    face = Cloth(lab_to_linear((70, 13, 18)), folds=0.05)
    return [
        *tubes,
        ellipsoid(PART, cloth, at(0, 0.6, 0.36), (0.21 * s, 0.25 * s, 0.33 * s)),
        ellipsoid(PART, blanket, at(0, 0.63, 0.52), (0.17 * s, 0.15 * s, 0.27 * s)),
        ellipsoid(PART, face, at(0, 0.83, 0.4), (0.07 * s, 0.085 * s, 0.075 * s)),
        ellipsoid(PART, cloth, at(0, 0.8, 0.24), (0.225 * s, 0.27 * s, 0.27 * s), bottom=-0.35),
    ]


def trolley(cloth: Cloth, grip: Floats, s: float) -> list[Tube]:
    """A supermarket's basket of wire on four small wheels, its handle in the hands."""

    def at(x: float, y: float, z: float) -> Floats:
        return np.asarray(grip * Z + s * np.array([x, y, z]), np.float32)

    wire = Cloth(cloth.colour, cloth.colour * 0.18, "checked", folds=0.02, gloss=0.4, pitch=0.07)
    steps = np.array([0, 0.02, 0.5, 0.98, 1.0], np.float32)[:, None]
    centres = at(0, 0.93, 0.5) + steps * (np.array([0, -0.42, -0.06], np.float32) * s)
    widths = np.array([[0.2, 0.3], [0.26, 0.4], [0.24, 0.36], [0.21, 0.32], [0.16, 0.26]], np.float32) * s
    goods = Cloth(lab_to_linear((60, 20, 30)), lab_to_linear((75, -20, 30)), "dotted", pitch=0.12)
    tubes = [
        Tube(PART, wire, centres.astype(np.float32), widths, X, Z, squareness=0.5),
        ellipsoid(PART, goods, at(0, 0.93, 0.5), (0.2 * s, 0.07 * s, 0.33 * s)),
        limb(PART, cloth, [at(-0.25, 0, 0) + grip * Y, at(0.25, 0, 0) + grip * Y], [0.025 * s, 0.025 * s]),
    ]
    for x in (-0.22, 0.22):
        tubes += [
            limb(PART, METAL, [at(x, 0, 0) + grip * Y, at(x, 0.55, 0.14), at(x, 0.14, 0.12)], [0.016 * s] * 3),
            limb(PART, METAL, [at(x, 0.16, 0.1), at(x, 0.16, 0.78)], [0.018 * s, 0.018 * s]),
            wheel(at(x, 0.07, 0.12), 0.07 * s, tyre=0.06 * s, width=0.02),
            wheel(at(x, 0.07, 0.76), 0.07 * s, tyre=0.06 * s, width=0.02),
        ]
    return tubes
