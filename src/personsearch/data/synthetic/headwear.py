"""What a person wears on the head, as tubes: caps, hats, helmets, a headscarf."""

import numpy as np

from personsearch.data.synthetic.attributes import Person, true_lab
from personsearch.data.synthetic.cloth import Cloth
from personsearch.data.synthetic.palette import Floats, lab_to_linear
from personsearch.data.synthetic.surfaces import Tube, X, Y, Z, ellipsoid

PART = "headwear"
HIDING_HAIR = ("hood", "headscarf")


def headwear_tubes(person: Person, head: Floats, s: float, phase: float) -> list[Tube]:
    """The headwear on a head; a hood is part of its garment."""
    if person.headwear in ("none", "hood"):
        return []
    cloth = Cloth(lab_to_linear(true_lab(person, "headwear")), folds=0.15, grain=0.1, phase=phase)
    crown = head + 0.035 * s * Y - 0.008 * s * Z
    match person.headwear:
        case "beanie":
            return [ellipsoid(PART, cloth, crown, (0.094 * s, 0.118 * s, 0.104 * s), bottom=0.05)]
        case "helmet" | "hard hat":
            return _helmet(person, cloth, crown, s)
        case "headscarf":
            return _headscarf(cloth, head, s, phase)
        case "straw hat" | "wide-brimmed hat":
            return _wide_hat(person, cloth, crown, s, phase)
    dome = ellipsoid(PART, cloth, crown, (0.09 * s, 0.1 * s, 0.102 * s), bottom=0.1)
    if person.headwear == "cap":
        brim = ellipsoid(PART, cloth, crown + (0.09 * Z + 0.012 * Y) * s, (0.07 * s, 0.012 * s, 0.1 * s))
    else:
        brim = ellipsoid(PART, cloth, crown + 0.015 * s * Y, (0.165 * s, 0.012 * s, 0.17 * s))
    return [dome, brim]


def _helmet(person: Person, cloth: Cloth, crown: Floats, s: float) -> list[Tube]:
    """A builder's hard shell with a ridge and a small brim; a cyclist's long one with dark vents."""
    if person.headwear == "hard hat":
        shell = Cloth(cloth.colour, folds=0.02, gloss=0.5)
        return [
            ellipsoid(PART, shell, crown + 0.012 * s * Y, (0.115 * s, 0.122 * s, 0.135 * s), bottom=0.0),
            ellipsoid(PART, shell, crown + 0.03 * s * Y, (0.022 * s, 0.118 * s, 0.14 * s), bottom=0.1),
            ellipsoid(PART, shell, crown + (0.012 * Y + 0.035 * Z) * s, (0.125 * s, 0.014 * s, 0.15 * s)),
        ]
    shell = Cloth(cloth.colour, cloth.colour * 0.1, "vents", folds=0.02, gloss=0.4)
    strap = Cloth(np.full(3, 0.02, np.float32))
    return [
        ellipsoid(PART, shell, crown + (0.022 * Y - 0.01 * Z) * s, (0.105 * s, 0.112 * s, 0.145 * s), bottom=-0.05),
        ellipsoid(PART, strap, crown - 0.06 * s * Y, (0.079 * s, 0.1 * s, 0.02 * s), top=0.4),
    ]


def _headscarf(cloth: Cloth, head: Floats, s: float, phase: float) -> list[Tube]:
    """Round the face and over the shoulders, down to the chest for some."""
    soft = Cloth(cloth.colour, folds=0.5, grain=0.05, phase=phase)
    shell = ellipsoid(PART, soft, head + (0.014 * Y - 0.024 * Z) * s, (0.091 * s, 0.132 * s, 0.096 * s))
    length = 0.27 + 0.16 * float(np.sin(phase * 47) ** 2)
    heights = np.array([0.065, 0.12, 0.17, 0.21, length], np.float32) * s
    radii = np.array([[0.075, 0.078], [0.088, 0.09], [0.11, 0.11], [0.155, 0.135], [0.18, 0.155]], np.float32) * s
    centres = head - heights[:, None] * Y - 0.012 * s * Z
    return [shell, Tube(PART, soft, centres.astype(np.float32), radii, X, Z)]


def _wide_hat(person: Person, cloth: Cloth, crown: Floats, s: float, phase: float) -> list[Tube]:
    straw = person.headwear == "straw hat"
    woven = Cloth(cloth.colour, cloth.colour * 0.72, "striped" if straw else "plain", folds=0.08, pitch=0.03)
    band = Cloth(
        lab_to_linear((22 + 14 * np.sin(phase * 33), 22 * np.sin(phase * 21), 8)) if straw else cloth.colour * 0.5
    )
    reach = (0.235 + 0.07 * float(np.sin(phase * 57) ** 2)) * s
    rim = crown + 0.018 * s * Y
    heights = np.array([0.02, 0.012, -0.03], np.float32)[:, None] * s * Y
    brim_radii = np.array([[0.09, 0.1], [0.15, 0.16], [1, 1.02]], np.float32) * s
    brim_radii[-1] = (reach, reach * 1.02)
    return [
        ellipsoid(PART, woven, rim, (0.096 * s, 0.13 * s, 0.108 * s), bottom=0.0),
        ellipsoid(PART, band, rim + 0.02 * s * Y, (0.1 * s, 0.03 * s, 0.112 * s)),
        Tube(PART, woven, (rim + heights).astype(np.float32), brim_radii, X, Z),
        ellipsoid(PART, woven, rim - 0.012 * s * Y, (reach * 0.98, 0.016 * s, reach)),
    ]
