"""A description is divided into what it names, with places and sentences."""

import pytest

from personsearch.search.phrases import MOST_PHRASES, phrases


@pytest.mark.parametrize(
    ("description", "sentences"),
    [
        (
            "a woman with long hair in a red coat and blue jeans carrying a backpack",
            [
                "a woman",
                "a person with long hair",
                "a person in a red coat",
                "a person in blue jeans",
                "a person carrying a backpack",
            ],
        ),
        (
            "A man is wearing a black and white striped shirt, dark trousers and a cap. He holds a phone in his hand.",
            [
                "A man",
                "a person wearing a black and white striped shirt",
                "a person wearing dark trousers",
                "a person wearing a cap",
                "a person holding a phone",
            ],
        ),
        ("The woman, who is slim, wears a hat", ["The woman", "a person with slim", "a person wearing a hat"]),
        ("a man in a helmet riding a bike", ["a man", "a person in a helmet", "a person riding a bike"]),
        ("red coat", ["red coat"]),
        ("in red", ["red"]),
        ("he is", []),
        ("with", []),
        ("", []),
    ],
)
def test_each_thing_is_asked_for_alone(description: str, sentences: list[str]) -> None:
    assert [phrase.sentence for phrase in phrases(description)] == sentences


def test_phrases_say_where_they_stand() -> None:
    description = "  a man who is wearing a Red hat, and holding   a folder  "
    found = phrases(description)
    assert [phrase.text for phrase in found] == ["a man", "a Red hat", "a folder"]
    assert [description[phrase.start : phrase.end] for phrase in found] == [phrase.text for phrase in found]


def test_a_long_list_ends() -> None:
    assert len(phrases(", ".join(f"thing {number}" for number in range(100)))) == MOST_PHRASES
