"""The grammar of captions: which colour belongs to which garment, and how the same is said in another colour."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.augmentation.pdg.colours import TARGETS, cloth_named
from personsearch.augmentation.pdg.garments import PART_OF_WORD
from personsearch.augmentation.pdg.phrases import colour_phrases, speaks_of_whole_outfit, with_colour


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man in a red jacket and dark blue jeans.", [("red", "jacket", "upper"), ("dark blue", "jeans", "lower")]),
        ("a black short sleeved polo shirt", [("black", "shirt", "upper")]),
        ("red and black jacket", [("red", "jacket", "upper"), ("black", "jacket", "upper")]),
        ("a blue/white t-shirt", [("blue", "t-shirt", "upper"), ("white", "t-shirt", "upper")]),
        (
            "Her shirt is light blue and her pants are black.",
            [("light blue", "shirt", "upper"), ("black", "pants", "lower")],
        ),
        ("a jacket that is bright red with white stripes", [("bright red", "jacket", "upper")]),
        ("navy-blue skirt, off-white shoes", [("navy-blue", "skirt", "lower"), ("off-white", "shoes", "shoes")]),
        ("a pair of gray slacks and a black backpack", [("gray", "slacks", "lower"), ("black", "backpack", "bag")]),
        ("black hair and wearing a white tank top", [("white", "top", "upper")]),
        ("a white shirt collar over a green sweater", [("green", "sweater", "upper")]),
        ("a shirt is black shoes", [("black", "shoes", "shoes")]),
        ("a man in black with a jacket", []),
        ("green, and a bag", []),
        ("穿红色夹克的男人", []),
        ("", []),
    ],
)
def test_colours_find_their_garment(caption: str, expected: list[tuple[str, str, str]]) -> None:
    found = colour_phrases(caption)
    assert [(phrase.colour, phrase.garment, phrase.part) for phrase in found] == expected
    assert all(caption[phrase.start : phrase.end] == phrase.colour for phrase in found)


def test_several_colours_of_one_garment_are_shared() -> None:
    assert [phrase.shared for phrase in colour_phrases("red and black jacket, blue jeans")] == [True, True, False]


@pytest.mark.parametrize(
    ("caption", "colour", "expected"),
    [
        ("A man in a red jacket.", "orange", "A man in an orange jacket."),
        ("An orange coat", "light blue", "A light blue coat"),
        ("Black shoes and a gray hat", "grey", "Gray shoes and a gray hat"),
        ("His shirt is white.", "dark blue", "His shirt is dark blue."),
    ],
)
def test_articles_capitals_and_spelling_follow(caption: str, colour: str, expected: str) -> None:
    assert with_colour(caption, colour_phrases(caption)[:1], colour) == expected


@given(
    st.sampled_from(["red", "dark blue", "navy", "light grey", "olive green", "khaki"]),
    st.sampled_from(TARGETS),
    st.sampled_from(sorted(PART_OF_WORD)),
    st.sampled_from(["", "short ", "zip-up ", "long leather "]),
)
def test_what_is_said_otherwise_reads_back_as_that(old: str, new: str, garment: str, filler: str) -> None:
    caption = f"the person wears a {old} {filler}{garment}."
    phrases = colour_phrases(with_colour(caption, colour_phrases(caption), new))
    assert [(phrase.colour, phrase.part) for phrase in phrases] == [(new, PART_OF_WORD[garment])]


@given(st.text(alphabet="abc redjacket,./&- isblue", max_size=60))
def test_any_text_is_read(text: str) -> None:
    for phrase in colour_phrases(text):
        assert text[phrase.start : phrase.end] == phrase.colour
        assert phrase.cloth


def test_words_of_colour() -> None:
    assert cloth_named("grey") == ("grey", "dark grey", "light grey")
    assert cloth_named("dark olive green") == cloth_named("khaki")[:1] == ("olive",)
    assert cloth_named("Light  Blue") == cloth_named("sky blue") == ("light blue",)
    assert cloth_named("plaid") == cloth_named("") == ()


def test_outfits_are_told_from_garments() -> None:
    assert speaks_of_whole_outfit("dressed all in black")
    assert not speaks_of_whole_outfit("a red jacket")
