"""What sentences state, and sentences made wrong."""

import pytest

from personsearch.data.facts.catalogue import FACT_INDEX, NEAR_TYPES, TYPES
from personsearch.data.facts.lexicon import COLOUR_WORDS, NOUNS, WRONG_COLOURS, WRONG_NOUNS
from personsearch.data.facts.words import facts_in, mentions, swapped


@pytest.mark.parametrize(
    ("text", "true", "false"),
    [
        ("a woman with a backpack", {"woman", "backpack", "a bag"}, {"man"}),
        ("A man in a Red coat", {"man", "coat", "red upper"}, {"woman", "green upper", "black upper"}),
        ("a dark red coat", {"coat", "dark red upper"}, {"green upper"}),
        ("his coat is dark red", {"coat", "dark red upper", "man"}, {"white upper"}),
        ("a bag over the shoulder", {"shoulder bag", "a bag"}, set()),
        ("a red and black shirt", {"shirt"}, set()),
        ("she has long black hair", {"woman", "long hair", "dark hair"}, {"short hair", "bald", "blond hair"}),
        ("short dark blond hair", {"short hair", "blond hair"}, {"dark hair", "long hair"}),
        ("a man, not wearing a hat, and no bag", {"man"}, {"headwear", "a bag"}),
        ("no hat but a bag", {"a bag"}, {"headwear"}),
        ("without a backpack", set(), {"backpack"}),
        ("blue jeans", {"jeans", "blue lower"}, {"shorts", "skirt", "skirt or dress", "red lower"}),
        ("a white dress", {"dress", "skirt or dress", "white upper"}, set()),
        ("a dress shirt", {"shirt"}, set()),
        ("long-sleeved", {"long sleeves"}, {"short sleeves", "no sleeves"}),
        ("nothing of the kind", set(), set()),
    ],
)
def test_a_sentence_states_facts(text: str, true: set[str], false: set[str]) -> None:
    stated = facts_in(text)
    assert {name for name, value in stated.items() if value} == true
    assert false <= {name for name, value in stated.items() if not value}
    assert set(stated) <= set(FACT_INDEX)


@pytest.mark.parametrize("text", ["trousers", "a dark blue coat"])
def test_what_another_viewer_might_say_is_not_ruled_out(text: str) -> None:
    stated = facts_in(text)
    assert not {"jeans", "leggings", "blue upper", "black upper"} & set(stated)


def test_mentions_say_where_a_noun_stands() -> None:
    (coat, bag) = mentions("A woman-like figure in a dark red coat with a bag on the back")
    assert (coat.fact, coat.start, coat.end, coat.adjectives) == ("coat", 7, 8, ("dark", "red"))
    assert (bag.fact, bag.end - bag.start, bag.colours) == ("backpack", 4, ())


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
        ("a black skirt", "lower garment", "a black pair of trousers"),
        ("Jeans", "lower garment", "Shorts"),
        ("a long-sleeved shirt", "sleeves", "a short-sleeved shirt"),
        ("a sleeveless top", "upper garment", "a jacket"),
        ("She has Long brown hair", "hair", "She has Short brown hair"),
        ("he wears dark glasses", "eyewear", "he wears a scarf"),
    ],
)
def test_a_sentence_is_made_wrong_in_one_thing(text: str, kind: str, wrong: str) -> None:
    assert {swap.kind: swap.text for swap in swapped(text)}[kind] == wrong


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


def test_every_word_of_the_lexicon_is_found() -> None:
    for part, facts in NOUNS.items():
        for fact, phrases in facts.items():
            for phrase in phrases:
                assert (part, fact) in {(mention.part, mention.fact) for mention in mentions(f"x {phrase} x")}
