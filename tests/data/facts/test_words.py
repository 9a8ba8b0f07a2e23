"""What sentences state."""

import pytest

from personsearch.data.facts.catalogue import FACT_INDEX
from personsearch.data.facts.lexicon import NOUNS
from personsearch.data.facts.words import facts_in, mentions


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
        ("a hi-vis vest over a jacket", {"high-visibility vest", "jacket"}, set()),
        ("a suit vest", {"vest", "waistcoat"}, set()),
        ("a dress vest over a shirt", {"vest", "waistcoat", "shirt"}, set()),
        ("a suit and a tie", {"suit", "suit jacket", "tie"}, set()),
        ("a hard hat", {"hard hat", "helmet", "headwear"}, set()),
        ("a bike helmet", {"helmet", "headwear"}, set()),
        ("a red scarf over the head", {"headscarf", "headwear", "red headwear"}, set()),
        ("a hat with a wide brim", {"brimmed hat", "wide-brimmed hat", "headwear"}, set()),
        ("a white fluffy coat", {"fur coat", "coat", "white upper"}, set()),
        ("a cyclist", {"riding", "bicycle"}, set()),
        ("riding a black bike", {"riding", "bicycle"}, set()),
        ("a bike", {"bicycle"}, set()),
        ("pushing a pram and a trolley case", {"pushchair", "suitcase", "a bag"}, set()),
        ("a shopping trolley", {"shopping trolley"}, set()),
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


def test_every_word_of_the_lexicon_is_found() -> None:
    for part, facts in NOUNS.items():
        for fact, phrases in facts.items():
            for phrase in phrases:
                assert (part, fact) in {(mention.part, mention.fact) for mention in mentions(f"x {phrase} x")}
