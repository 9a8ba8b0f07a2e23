"""What training knows of a batch: whom a short query fits, which captions fit a near twin as well."""

import json
from pathlib import Path

import numpy as np
import torch

from personsearch.data.facts.catalogue import FACT_INDEX, FACTS
from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN, fact_table
from personsearch.data.facts.layout import NO_LAYOUT, NUM_CELLS
from personsearch.data.facts.queries import fits
from personsearch.data.records import ImageRecord
from personsearch.training.facts import BatchFacts, FactSource

NOWHERE = torch.full((4, NUM_CELLS), NO_LAYOUT, dtype=torch.int8)
BAG, HAT = FACT_INDEX["backpack"], FACT_INDEX["headwear"]


def table(*rows: dict[int, int]) -> torch.Tensor:
    known = torch.full((len(rows), len(FACTS)), UNKNOWN, dtype=torch.int8)
    for row, facts in enumerate(rows):
        for index, value in facts.items():
            known[row, index] = value
    return known


def asking(*rows: tuple[int, ...]) -> torch.Tensor:
    asked = torch.zeros(len(rows), len(FACTS), dtype=torch.bool)
    for row, facts in enumerate(rows):
        asked[row, list(facts)] = True
    return asked


def test_a_query_fits_where_all_its_facts_are_true_and_none_is_unknown() -> None:
    known = table({BAG: TRUE, HAT: TRUE}, {BAG: TRUE}, {BAG: FALSE}, {})
    facts = BatchFacts(known, table({}, {}, {}, {}), asking((BAG,), (BAG, HAT), (HAT,), ()), torch.arange(4), NOWHERE)
    assert facts.fitting().tolist() == [
        [TRUE, TRUE, TRUE, UNKNOWN],
        [TRUE, UNKNOWN, UNKNOWN, UNKNOWN],
        [FALSE, FALSE, UNKNOWN, UNKNOWN],
        [UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN],
    ]


def test_a_caption_is_ambiguous_only_for_twins_of_whom_it_states_nothing_false() -> None:
    known = table({BAG: TRUE}, {BAG: FALSE}, {BAG: FALSE}, {BAG: FALSE})
    stated = table({BAG: TRUE}, {}, {BAG: FALSE}, {HAT: TRUE})
    people, groups = torch.tensor([1, 2, 3, 2]), torch.tensor([7, 7, 8, 7])
    ambiguous = BatchFacts(known, stated, asking((), (), (), ()), groups, NOWHERE).ambiguous(people)
    # rows: images, columns: captions; the first caption says "backpack", which is false of the twins in 1 and 3
    assert ambiguous.int().tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def records() -> list[ImageRecord]:
    attributes: list[dict[str, object]] = [
        {"gender": "woman", "bag": "backpack", "headwear": "none"},
        {"gender": "man", "bag": "none", "headwear": "cap", "headwear_colour": "red"},
    ]
    return [
        ImageRecord(str(row), "x", row, "train", ["a person"], "test", attributes=json.dumps(known))
        for row, known in enumerate(attributes)
    ]


def test_a_query_is_true_of_its_own_image_and_of_those_that_the_slow_rule_finds() -> None:
    source = FactSource.of(records())
    images = np.array([0, 1] * 20)
    queries = source.queries(images, (np.random.default_rng(seed) for seed in range(40)))
    facts = source.of_batch(images, np.zeros(40, np.int64), queries)
    fitting = facts.fitting()
    assert (fitting.diagonal() == TRUE).all()
    assert np.array_equal(fitting.numpy(), fits(queries, fact_table(records())[images]))
    assert len({query.text for query in queries}) > 10


def test_an_image_of_which_nothing_is_known_asks_nothing(tmp_path: Path) -> None:
    unknown = ImageRecord("a", "x", 1, "train", ["hello"], "test")
    source = FactSource.of([unknown])
    assert source.images_with_facts == 0
    (query,) = source.queries(np.array([0]), [np.random.default_rng(0)])
    assert (query.text, query.facts) == ("hello", ())
