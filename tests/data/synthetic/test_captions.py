"""Captions tell only what can be seen, and tell it in many ways."""

from dataclasses import replace

import numpy as np
import pytest

from personsearch.data.synthetic.attributes import Person, draw_person
from personsearch.data.synthetic.captions import Sight, write_captions
from personsearch.data.synthetic.vocabulary import BAG_WORDS, HANDHELD_WORDS, LOWER_WORDS, SHOE_WORDS

EVERYTHING = frozenset({"upper", "lower", "hair", "shoes", "bag", "headwear", "handheld", "pattern", "inner", "scarf"})


def dressed_person() -> Person:
    """A woman with one of everything."""
    person = draw_person(np.random.default_rng(0))
    labs = dict.fromkeys(("upper:red", "detail:white", "lower:blue", "shoes:black", "bag:green"), (50.0, 0.0, 0.0))
    labs |= {"headwear:pink": (50.0, 0.0, 0.0), "scarf:yellow": (50.0, 0.0, 0.0), "umbrella:none": (0.0, 0.0, 0.0)}
    return replace(
        person,
        gender="woman",
        upper="hooded jacket",
        upper_colour="red",
        pattern="plain",
        detail_colour="white",
        lower="jeans",
        lower_colour="blue",
        shoes="boots",
        shoes_colour="black",
        bag="backpack",
        bag_colour="green",
        headwear="cap",
        headwear_colour="pink",
        handheld="bottle",
        scarf_colour="yellow",
        umbrella_colour="none",
        eyewear="none",
        beard=False,
        labs=labs,
    )


def many_captions(visible: frozenset[str], count: int = 120) -> list[str]:
    rng = np.random.default_rng(1)
    person = dressed_person()
    texts = []
    for _ in range(count):
        written = write_captions(person, Sight(visible, "back", True), rng)
        texts += [*written.captions, *written.captions_bt]
    return [text.lower() for text in texts]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("bag", {word for words in BAG_WORDS.values() for word in words}),
        ("shoes", {word for words in SHOE_WORDS.values() for word in words}),
        ("lower", {word for words in LOWER_WORDS.values() for word in words} - {"skirt"}),
        ("handheld", {word for words in HANDHELD_WORDS.values() for word in words}),
        ("scarf", {"scarf"}),
        ("hair", {"hair"}),
        ("headwear", {"cap", "hat"}),
    ],
)
def test_captions_mention_a_part_only_where_it_is_visible(part: str, words: set[str]) -> None:
    def mentions(text: str) -> bool:
        return any(f" {word}" in text for word in words)

    assert any(map(mentions, many_captions(EVERYTHING)))
    assert not any(map(mentions, many_captions(EVERYTHING - {part})))


def test_a_shirt_under_a_jacket_and_a_pattern_are_told_only_where_they_show() -> None:
    assert not any("white" in text for text in many_captions(EVERYTHING - {"inner"}))
    assert any("over a white" in text for text in many_captions(EVERYTHING))


def test_captions_of_an_image_differ_and_are_retold_in_other_words() -> None:
    rng = np.random.default_rng(2)
    for seed in range(100):
        person = draw_person(np.random.default_rng(seed))
        written = write_captions(person, Sight(frozenset({"upper", "lower", "hair", "shoes"}), "front", False), rng)
        assert len(set(written.captions)) == len(written.captions) == len(written.captions_bt) == 2
        assert all(a != b for a, b in zip(written.captions, written.captions_bt, strict=True))


def test_captions_vary_and_reach_from_queries_to_long_descriptions() -> None:
    texts = many_captions(EVERYTHING)
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) <= 6
    assert max(lengths) >= 30
    assert len(set(texts)) > 0.9 * len(texts)


def test_the_person_is_walking_away_only_when_walking_and_seen_from_behind() -> None:
    rng = np.random.default_rng(3)
    texts = [
        text
        for _ in range(200)
        for text in write_captions(dressed_person(), Sight(EVERYTHING, "front", False), rng).captions
    ]
    assert not any("walking" in text or "behind" in text for text in texts)
    assert any("standing" in text for text in texts)
