"""Sentences with one thing made wrong: the fixed ones of evaluation, and those that training draws."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from personsearch.data.facts.catalogue import FACT_INDEX, NEAR_TYPES, TYPES
from personsearch.data.facts.known import TRUE, fact_table
from personsearch.data.facts.lexicon import COLOUR_WORDS, WRONG_COLOURS, WRONG_NOUNS
from personsearch.data.facts.swaps import Swap, WrongCaptions, swapped
from personsearch.data.facts.words import facts_in, mentions
from personsearch.data.records import ImageRecord


@pytest.mark.parametrize(
    ("text", "kind", "wrong"),
    [
        ("A woman and her bag. She walks.", "gender", "A man and his bag. He walks."),
        ("he has a bag on the back", "bag", "he has a suitcase"),
        ("a black knitted hat", "headwear", "a black brimmed hat"),
        ("a grey sleeveless jacket", "upper garment", "a grey t-shirt"),
        ("an orange jacket", "colour", "a blue jacket"),
        ("a grey coat", "colour", "a red coat"),
        ("a dark green coat and black shoes", "colour", "a pink coat and black shoes"),
        ("a yellow coat", "upper garment", "a yellow t-shirt"),
        ("a black skirt", "lower garment", "black trousers"),
        ("Jeans", "lower garment", "Shorts"),
        ("a long-sleeved shirt", "sleeves", "a short-sleeved shirt"),
        ("a sleeveless top", "upper garment", "a jacket"),
        ("She has Long brown hair", "hair", "She has Short brown hair"),
        ("he wears dark glasses", "eyewear", "he wears a scarf"),
        ("his black glasses", "eyewear", "his scarf"),
        ("a pair of glasses and a hat", "eyewear", "a scarf and a hat"),
        ("She sees herself; the bag is hers. He is behind her, in her coat.", "gender", None),
        (
            "A girl looks at herself. The bag is hers. A cap covers her. ",
            "gender",
            "A boy looks at himself. The bag is his. A cap covers him. ",
        ),
        ("she is pushing a bike", "vehicle", "she is pushing a pushchair"),
        ("with an old pram", "vehicle", "with an old bicycle"),
        ("a yellow hard hat", "headwear", "a yellow beanie"),
        ("a hat with a wide brim", "headwear", "a beanie"),
        ("a scarf over the head", "headwear", "a cap"),
        ("a cyclist", "vehicle", None),
        ("a black suit", "upper garment", "a black t-shirt"),
        ("a dark waistcoat", "upper garment", "a dark t-shirt"),
        ("a lady with her bag behind her", "gender", "a gentleman with his bag behind him"),
    ],
)
def test_a_sentence_is_made_wrong_in_one_thing(text: str, kind: str, wrong: str | None) -> None:
    assert {swap.kind: swap.text for swap in swapped(text)}.get(kind) == wrong


def test_what_is_not_of_the_kind_stays() -> None:
    kinds = {swap.kind for swap in swapped("a person in a long coat with a black ponytail, no backpack")}
    assert kinds == {"upper garment"}
    assert "eyewear" not in {swap.kind for swap in swapped("glasses and a scarf")}
    assert swapped("nothing of the kind") == []


@pytest.mark.parametrize("part", sorted(WRONG_NOUNS))
def test_a_wrong_noun_is_never_a_name_for_the_right_one(part: str) -> None:
    for fact, noun in WRONG_NOUNS[part].items():
        stated = facts_in(noun)
        assert fact not in stated or not stated[fact]
        if part in ("bag", "lower", "upper") and fact:
            (other,) = {mention.fact for mention in mentions(noun)}
            assert not set(TYPES[part].get(other, ())) & set(NEAR_TYPES.get(fact, ())), (fact, other)


def test_a_wrong_colour_is_far_from_the_right_one() -> None:
    assert set(WRONG_COLOURS) == set(COLOUR_WORDS)
    for colour, wrong in WRONG_COLOURS.items():
        assert facts_in(f"a {wrong} coat")[f"{colour} upper"] is False


def test_what_is_denied_keeps_its_colour() -> None:
    assert {swap.kind: swap.text for swap in swapped("no black bag, red shoes")}[
        "colour"
    ] == "no black bag, green shoes"


CAPTION = "A woman in a black coat, blue jeans and a red cap, with a backpack. She wears glasses and her hair is tied."
WOMAN: dict[str, Any] = {
    "gender": "woman", "upper": "coat", "upper_colour": "black", "lower": "jeans", "lower_colour": "blue",
    "headwear": "cap", "headwear_colour": "red", "bag": "backpack", "bag_colour": "none", "eyewear": "glasses",
    "scarf_colour": "none",
}  # fmt: skip
OTHERS: list[dict[str, Any]] = [
    {"upper": "t-shirt", "upper_colour": "white", "lower": "skirt", "lower_colour": "red", "headwear": "beanie"},
    {"upper": "shirt", "lower": "shorts", "headwear": "hat", "headwear_colour": "green", "bag": "suitcase"},
    {"upper": "jacket", "upper_colour": "red", "bag": "handbag", "eyewear": "sunglasses", "scarf_colour": "red"},
]


def wrong_captions(*people: dict[str, Any], captions: tuple[str, ...] = ("a person",)) -> WrongCaptions:
    records = [
        ImageRecord(
            str(row), "x", row, "train", list(captions), "test", attributes=json.dumps(known) if known else None
        )
        for row, known in enumerate(people)
    ]
    wrong = WrongCaptions.of(records, fact_table(records))
    return replace(wrong, counts_F=(wrong.known_NF == TRUE).sum(axis=0))  # as if captions said all that is there


def drawn(wrong: WrongCaptions, text: str, times: int = 200) -> list[Swap]:
    swaps = (wrong.draw(0, text, np.random.default_rng(seed)) for seed in range(times))
    return [swap for swap in swaps if swap is not None]


def changed_words(before: str, after: str) -> tuple[set[str], set[str]]:
    old, new = (Counter(text.lower().replace(".", "").replace(",", "").split()) for text in (before, after))
    return set(old - new), set(new - old)


def test_each_kind_is_drawn_and_nothing_else_changes() -> None:
    swaps = drawn(wrong_captions(WOMAN, *OTHERS), CAPTION)
    kinds = Counter(swap.kind for swap in swaps)
    assert set(kinds) == {"gender", "upper garment", "lower garment", "headwear", "bag", "eyewear", "colour"}
    assert min(kinds.values()) >= 8
    assert kinds["eyewear"] > kinds["colour"]
    expected = {
        "gender": {"woman", "she", "her"}, "upper garment": {"coat"}, "lower garment": {"jeans"}, "headwear": {"cap"},
        "bag": {"backpack"}, "eyewear": {"glasses"}, "colour": {"black", "blue", "red"},
    }  # fmt: skip
    for swap in swaps:
        gone, come = changed_words(CAPTION, swap.text)
        assert come, swap
        assert gone <= expected[swap.kind], swap
        if swap.kind == "gender":
            assert (gone, come) == (expected["gender"], {"man", "he", "his"})


def test_a_wrong_word_is_false_of_the_image_and_true_of_others() -> None:
    swaps = [swap.text for swap in drawn(wrong_captions(WOMAN, *OTHERS), "a person in a coat")]
    nouns = {mention.fact for text in swaps for mention in mentions(text)}
    # a jacket may be called a coat, and nobody here wears a dress
    assert nouns == {"t-shirt", "shirt"}


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({"bag": "none"}, "a person with a backpack"),  # false as it stands
        (
            {"eyewear": "glasses", "facing": "back", "gender": "man"},
            "a person with sunglasses",
        ),  # cannot be made out from behind
        ({"gender": "man"}, "a man with a beard"),  # nobody has seen a woman with one
        ({"gender": "boy"}, "a boy"),
        ({"upper": "coat"}, "a person in a top"),
        ({"upper": "coat"}, "nothing of the kind"),
    ],
)
def test_nothing_is_made_wrong_where_the_image_cannot_tell(known: dict[str, Any], text: str) -> None:
    assert not drawn(wrong_captions(known, *OTHERS), text, 50)


def test_without_attributes_nothing_that_another_caption_says_is_wrong() -> None:
    captions = ("a man in a coat with a bag", "he wears a t-shirt under a coat", "someone in a shirt")
    wrong = wrong_captions({}, {}, captions=captions)
    assert {swap.text for swap in drawn(wrong, captions[0])} == {"a woman in a coat with a bag"}
    others = WrongCaptions(wrong.known_NF, wrong.told_N, wrong.counts_F + 1)
    nouns = {mention.fact for swap in drawn(others, captions[0]) for mention in mentions(swap.text)}
    assert "blouse" in nouns
    assert not nouns & {"t-shirt", "shirt", "jacket"}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("A person in a black skirt.", {"A person in black shorts."}),
        ("his skirt", {"his shorts"}),
        ("Skirt and bag", {"Shorts and bag"}),
        ("in a pair of blue skirts", set()),
    ],
)
def test_a_noun_agrees_in_number(text: str, wrong: set[str]) -> None:
    found = drawn(wrong_captions({"lower": "skirt"}, {"lower": "shorts"}), text)
    assert {swap.text.replace("short pants", "shorts").replace("Short pants", "Shorts") for swap in found} == wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("a pair of blue jeans", "a blue skirt"),
        ("wearing orange jeans.", "wearing an orange skirt."),
        ("Jeans", "A skirt"),
        ("their jeans", "their skirt"),
        ("sporting jeans", None),
    ],
)
def test_a_skirt_gets_its_article(text: str, wrong: str | None) -> None:
    found = {swap.text for swap in drawn(wrong_captions({"lower": "jeans"}, {"lower": "skirt"}), text)}
    assert found == ({wrong} if wrong else set())


def test_a_scarf_comes_with_a_colour_and_glasses_without() -> None:
    people = {"eyewear": "glasses", "scarf_colour": "none"}, {"eyewear": "none", "scarf_colour": "red"}
    for swap in drawn(wrong_captions(*people), "she wears glasses", 20):
        (scarf,) = (mention for mention in mentions(swap.text) if mention.part == "scarf")
        assert scarf.colours or set(scarf.adjectives) & {"dark", "pale"}
    texts = {swap.text for swap in drawn(wrong_captions(*reversed(people)), "she wears a red scarf", 20)}
    assert texts
    assert texts <= {"she wears glasses", "she wears eyeglasses", "she wears spectacles"}


def test_no_word_is_right_more_often_than_wrong() -> None:
    """Of 100 people four in five wear trousers: each becomes shorts as often as shorts become trousers."""
    said = ["trousers"] * 80 + ["shorts"] * 20
    records = [
        ImageRecord(str(row), "x", row, "train", [f"a person in {worn}"], "s", attributes=json.dumps({"lower": worn}))
        for row, worn in enumerate(said)
    ]
    wrong = WrongCaptions.of(records, fact_table(records))
    assert wrong.counts_F[FACT_INDEX["trousers"]] == 80
    assert wrong.counts_F[FACT_INDEX["shorts"]] == 20
    became: Counter[str] = Counter()
    for row, record in enumerate(records):
        for seed in range(40):
            swap = wrong.draw(row, record.captions[0], np.random.default_rng([row, seed]))
            became[said[row]] += swap is not None
    # 80 · 40 · .2 and 20 · 40 · .8, each 640 give or take 23
    assert 570 < became["trousers"] < 710
    assert 570 < became["shorts"] < 710


def test_the_same_generator_draws_the_same() -> None:
    wrong = wrong_captions(WOMAN, *OTHERS)
    assert drawn(wrong, CAPTION) == drawn(wrong, CAPTION)
