"""Edits of words: what they keep, how often they strike, and that no colour becomes another."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.augmentation import words
from personsearch.augmentation.synonyms import PUNCTUATION, synonyms_of
from personsearch.data.synthetic.palette import PALETTE

CAPTION = "A girl wears blue jeans, a red coat and a backpack."
COLOURS = {word for colour in PALETTE.values() for name in colour.words for word in name.split()}
COLOURS |= {"teal", "turquoise", "cyan", "crimson", "lavender", "lilac", "magenta", "silver", "gold", "golden", "peach"}
COLOURS |= {"blond", "blonde", "ginger"}
EDITS = (*words.EDA, words.crop_words, words.edit_by_eda)
captions = st.lists(st.sampled_from([*CAPTION.split(), "Pants", "«élégant»", "…", "帽子"]), max_size=12).map(" ".join)


@given(captions, st.floats(0, 0.99), st.integers(0, 2**32), st.sampled_from(EDITS))
def test_an_edit_follows_from_its_generator_and_leaves_a_word(
    text: str, probability: float, seed: int, edit: words.Edit
) -> None:
    edited = edit(text, probability, np.random.default_rng(seed))
    assert edited == edit(text, probability, np.random.default_rng(seed))
    assert bool(edited) == bool(text)
    assert edit(text, 0.0, np.random.default_rng(seed)) == text


@given(captions, st.floats(0, 1), st.integers(0, 2**32))
def test_what_each_edit_may_do(text: str, probability: float, seed: int) -> None:
    before = text.split()
    swapped = words.swap_words(text, probability, np.random.default_rng(seed)).split()
    assert Counter(swapped) == Counter(before)
    inserted = iter(words.insert_words(text, probability, np.random.default_rng(seed)).split())
    assert all(word in inserted for word in before)
    replaced = words.replace_words(text, probability, np.random.default_rng(seed)).split()
    assert all(new == old or new in synonyms_of(old) for old, new in zip(before, replaced, strict=True))


@given(captions, st.floats(0.01, 1), st.integers(0, 2**32))
def test_a_crop_takes_one_run_of_its_share(text: str, share: float, seed: int) -> None:
    before, after = text.split(), words.crop_words(text, share, np.random.default_rng(seed)).split()
    if len(before) < 2:
        assert after == before
        return
    gone = len(before) - len(after)
    assert gone == min(max(round(share * len(before)), 1), len(before) - 1)
    assert any(before[:start] + before[start + gone :] == after for start in range(len(after) + 1))


def test_a_synonym_keeps_capital_and_comma() -> None:
    assert synonyms_of("jeans,") == ("denims,", "dungarees,")
    assert synonyms_of("(Backpack") == ("(Knapsack", "(Packsack", "(Rucksack", "(Haversack")
    assert synonyms_of("--") == synonyms_of("") == synonyms_of("帽子") == ()


@pytest.mark.parametrize("colour", sorted(COLOURS))
def test_no_colour_has_synonyms(colour: str) -> None:
    assert synonyms_of(colour) == ()


def test_no_word_becomes_a_colour_and_no_little_word_anything() -> None:
    import gzip
    from importlib.resources import files

    rows = gzip.decompress(files("personsearch.augmentation").joinpath("synonyms.tsv.gz").read_bytes()).decode()
    table = {word: others.split() for word, _, others in (row.partition("\t") for row in rows.splitlines())}
    assert len(table) > 40_000
    assert not any(COLOURS & {*other.split("-")} for others in table.values() for other in others)
    assert not table.keys() & {"a", "an", "the", "in", "on", "with", "and", "her", "his", "has", "is", "two", "wearing"}
    assert not any(word in others or not others for word, others in table.items())
    assert not any(set(PUNCTUATION) - {"-"} & set(word) for word in table)
    assert table["trousers"] == ["pants"]
    assert table["phone"] == ["telephone"]


def test_the_table_comes_with_its_licence() -> None:
    from importlib.resources import files

    licence = files("personsearch.augmentation").joinpath("WORDNET_LICENSE.txt").read_text()
    assert "WordNet 3.1 Copyright 2011 by Princeton University" in licence
    assert "Permission to use, copy, modify and distribute" in licence


@pytest.mark.parametrize(("edit", "rate"), [(words.replace_words, 0.3), (words.swap_words, 0.1)])
def test_words_are_struck_at_the_given_rate(edit: words.Edit, rate: float) -> None:
    text, generator = "jeans phone hat trousers backpack girl young suitcase folder beard", np.random.default_rng(0)
    struck = [
        np.mean([old != new for old, new in zip(text.split(), edit(text, rate, generator).split(), strict=True)])
        for _ in range(2000)
    ]
    moved = 1 - (1 - rate) * (1 - rate / 9) ** 9 if edit is words.swap_words else rate
    assert np.mean(struck) == pytest.approx(moved, abs=0.02)


def test_eda_draws_one_of_four_and_approximation_one_of_three_at_half_the_captions() -> None:
    text = "jeans phone hat trousers backpack girl young suitcase folder beard"
    generator = np.random.default_rng(0)
    lengths = Counter(len(words.edit_by_eda(text, 0.9, generator).split()) for _ in range(2000))
    assert sum(count for length, count in lengths.items() if length < 10) / 2000 == pytest.approx(0.25, abs=0.04)
    assert sum(count for length, count in lengths.items() if length > 10) / 2000 == pytest.approx(0.25, abs=0.04)
    texts = [words.approximate(text, 0.5, generator) for _ in range(3000)]
    kept = 0.5 + 0.5 * (2 * 0.8**10) / 3  # replacing and deleting may strike no word
    assert texts.count(text) / 3000 == pytest.approx(kept, abs=0.03)
    runs = {" ".join(text.split()[:start] + text.split()[start + 2 :]) for start in range(9)}
    assert runs < set(texts)
