"""What captions leave out."""

import pytest

from personsearch.data.facts.catalogue import FACT_INDEX
from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN
from personsearch.data.records import ImageRecord
from personsearch.evaluation.attributes.known import known_table

WORDS = {TRUE: True, FALSE: False, UNKNOWN: None}


def known(captions: list[str], attributes: str | None = None) -> tuple[dict[str, bool | None], int]:
    record = ImageRecord("i", "i.jpg", 1, "test", captions, "x", attributes=attributes)
    table, from_captions = known_table([record])
    return {name: WORDS[int(table[0, index])] for name, index in FACT_INDEX.items()}, from_captions


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        (
            ["a man in a jacket"],
            {"backpack": False, "a bag": False, "headwear": False, "stripes": False, "red bag": False},
        ),
        (["a man in a jacket"], {"jacket": True, "t-shirt": False, "coat": None, "jeans": None, "long hair": None}),
        (["a woman with a ponytail"], {"ponytail": True, "long hair": None, "short hair": False, "bald": False}),
        (["a person"], {"man": None, "jacket": None, "black upper": None, "sleeveless": None}),
        (["he has a bag"], {"a bag": True, "backpack": None, "handbag": None, "red bag": None}),
        (["with a handbag"], {"a bag": True, "handbag": True, "backpack": False, "shoulder bag": None}),
        (["a hat", "a red cap"], {"cap": True, "brimmed hat": False, "beanie": None, "red headwear": True}),
        (["a man", "a bag"], {"a bag": True, "backpack": None, "man": True}),
    ],
)
def test_what_no_caption_mentions_counts_as_absent(captions: list[str], expected: dict[str, bool | None]) -> None:
    found, from_captions = known(captions)
    assert {name: found.get(name) for name in expected} == expected
    assert from_captions == 1


def test_attributes_are_taken_at_their_word() -> None:
    found, from_captions = known(["a man with a bag"], '{"gender": "woman"}')
    assert (found["woman"], found["a bag"], from_captions) == (True, None, 0)


def test_an_image_without_captions_and_attributes_is_unknown() -> None:
    found, from_captions = known([])
    assert set(found.values()) == {None}
    assert from_captions == 0
