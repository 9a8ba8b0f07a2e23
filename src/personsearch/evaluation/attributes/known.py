"""What is known of the measured images: attributes, else what their captions mention and leave out.

Shapes: N images, F facts.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from personsearch.data.facts.catalogue import FACT_INDEX, FACTS, NEAR_TYPES, TYPES
from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN, fact_table, facts_in_attributes
from personsearch.data.records import ImageRecord

MAY_BE_ABSENT = (
    "bag", "headwear", "handheld", "eyewear", "beard", "scarf", "umbrella", "pattern", "vehicle",
    "high-visibility vest",
)  # fmt: skip
"""Kinds of things that people need not have; whoever describes a person mentions them."""


def known_table(records: Sequence[ImageRecord]) -> tuple[NDArray[np.int8], int]:
    """TRUE, FALSE or UNKNOWN for each image and fact [N, F], and of how many images captions alone tell.

    Where captions alone tell, a bag that none of them mentions counts as absent, and so does a type of garment where
    they name another one. Describers leave things out, so the model may be right where this says that it is wrong:
    figures from captions are a lower bound.
    """
    table_NF = fact_table(records)
    told_N = np.array([bool(record.captions) and not facts_in_attributes(record) for record in records], dtype=bool)
    table_NF[told_N] = _with_absent(table_NF[told_N])
    return table_NF, int(told_N.sum())


def _with_absent(table_NF: NDArray[np.int8]) -> NDArray[np.int8]:
    filled_NF = table_NF.copy()
    for index, fact in enumerate(FACTS):
        part = fact.kind.removesuffix(" colour")
        absent_N = np.zeros(len(table_NF), dtype=bool)
        if part in MAY_BE_ABSENT:
            absent_N |= ~_mentioned(table_NF, (other.name for other in FACTS if other.kind == part))
        if fact.kind != "hair" and fact.name in TYPES.get(fact.kind, ()):  # a ponytail is long hair too
            names = [name for name in TYPES[fact.kind] if name != fact.name]
            alike = [name for name in names if _alike(fact.kind, name, fact.name)]
            others = [name for name in names if name not in alike]
            absent_N |= _mentioned(table_NF, others) & ~_mentioned(table_NF, alike)
        filled_NF[(table_NF[:, index] == UNKNOWN) & absent_N, index] = FALSE
    return filled_NF


def _mentioned(table_NF: NDArray[np.int8], names: Iterable[str]) -> NDArray[np.bool_]:
    mentioned_N: NDArray[np.bool_] = (table_NF[:, [FACT_INDEX[name] for name in names]] == TRUE).any(axis=1)
    return mentioned_N


def _alike(kind: str, one: str, other: str) -> bool:
    """Whether people call one type by the other's name."""
    of_one, of_other = set(TYPES[kind][one]), set(TYPES[kind][other])
    return bool(of_one & {*NEAR_TYPES.get(other, ()), *of_other} or of_other & set(NEAR_TYPES.get(one, ())))
