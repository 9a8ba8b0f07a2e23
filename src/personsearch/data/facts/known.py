"""What is known of the images of a data set: facts that are true, false or unknown.

Shapes: N images, F facts.
"""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from personsearch.data.facts.attributes import facts_of_attributes
from personsearch.data.facts.catalogue import FACT_INDEX, FACTS
from personsearch.data.facts.words import facts_in
from personsearch.data.records import ImageRecord

TRUE, FALSE, UNKNOWN = 1, 0, -1


def known_facts(record: ImageRecord) -> dict[str, bool]:
    """The facts known of an image: from its attributes, else from the words of its captions."""
    return facts_in_attributes(record) or facts_in_captions(record.captions)


def facts_in_attributes(record: ImageRecord) -> dict[str, bool]:
    """What the attributes of an image say; nothing if it has none, or none that is a fact."""
    return facts_of_attributes(json.loads(record.attributes)) if record.attributes else {}


def facts_in_captions(captions: Sequence[str]) -> dict[str, bool]:
    """What the captions of one image state; what they contradict each other in is left out."""
    known: dict[str, bool] = {}
    disputed: set[str] = set()
    for caption in captions:
        for name, value in facts_in(caption).items():
            if known.setdefault(name, value) != value:
                disputed.add(name)
    return {name: value for name, value in known.items() if name not in disputed}


def fact_table(records: Sequence[ImageRecord]) -> NDArray[np.int8]:
    """TRUE, FALSE or UNKNOWN for each image and fact, int8 [N, F] in the order of `FACTS`."""
    table_NF = np.full((len(records), len(FACTS)), UNKNOWN, np.int8)
    for row, record in enumerate(records):
        for name, value in known_facts(record).items():
            table_NF[row, FACT_INDEX[name]] = value
    return table_NF
