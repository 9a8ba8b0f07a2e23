"""What is asked says what it asks for."""

import numpy as np
import pytest

from personsearch.data.facts.catalogue import FACT_INDEX, FACTS
from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN
from personsearch.data.facts.words import facts_in
from personsearch.evaluation.attributes.questions import GROUPS, SHORT_QUERIES, Question, fact_text

BEYOND_THE_LEXICON = {"something held", "eyewear", "dark hair", "open jacket", "skirt or dress", "no sleeves", "hood"}


def test_the_short_queries_are_25_that_say_what_they_ask_for() -> None:
    assert len({query.text for query in SHORT_QUERIES}) == 25
    for query in SHORT_QUERIES:
        stated = {name for name, value in facts_in(query.text).items() if value}
        assert set(query.facts) <= stated, query
    kinds = {FACTS[FACT_INDEX[name]].kind for query in SHORT_QUERIES for name in query.facts}
    assert kinds >= {
        "gender",
        "bag",
        "headwear",
        "hair",
        "hair colour",
        "eyewear",
        "beard",
        "upper",
        "lower",
        "sleeves",
    }
    assert kinds >= {"handheld", "upper colour", "lower colour"}


@pytest.mark.parametrize("name", [fact.name for fact in FACTS])
def test_the_text_of_a_fact_states_it(name: str) -> None:
    text = fact_text(name)
    assert text.startswith(("a ", "an "))
    assert "{" not in text
    assert not any(f" a {vowel}" in text for vowel in "aeio")
    if name not in BEYOND_THE_LEXICON:
        assert facts_in(text)[name], text


def test_groups_have_names_of_their_own_and_ask_for_facts() -> None:
    assert len({group.name for group in GROUPS}) == len(GROUPS)
    for question in (question for group in GROUPS for question in group.questions):
        assert {question.fact, question.opposite} - {""} <= set(FACT_INDEX)


def test_with_an_opposite_only_images_of_either_count() -> None:
    table = np.full((4, len(FACTS)), UNKNOWN, np.int8)
    table[:, FACT_INDEX["long hair"]] = [TRUE, FALSE, FALSE, UNKNOWN]
    table[:, FACT_INDEX["short hair"]] = [FALSE, TRUE, FALSE, UNKNOWN]
    assert Question("long hair", "short hair").answers(table).tolist() == [TRUE, FALSE, UNKNOWN, UNKNOWN]
    assert Question("long hair").answers(table).tolist() == [TRUE, FALSE, FALSE, UNKNOWN]
    assert Question("man", "woman").texts == ("a man", "a woman")
