"""Text augmentation: its rates, what each edit keeps, and that no colour becomes another."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from personsearch.augmentation.randomness import TEXT_STREAM, sample_generator
from personsearch.augmentation.text import (
    EDA,
    EDITS,
    PUNCTUATION,
    Edit,
    TextAugmentationConfig,
    approximate,
    augment_caption,
    crop_words,
    delete_words,
    edit_by_eda,
    insert_words,
    replace_words,
    swap_words,
    synonyms_of,
)
from personsearch.data.records import ImageRecord
from personsearch.data.synthetic.palette import PALETTE

CAPTION = "A girl wears blue jeans, a red coat and a backpack."
COLOURS = {word for colour in PALETTE.values() for name in colour.words for word in name.split()}
COLOURS |= {"teal", "turquoise", "cyan", "crimson", "lavender", "lilac", "magenta", "silver", "gold", "golden", "peach"}
COLOURS |= {"blond", "blonde", "ginger"}
WORD_EDITS = (*EDA, crop_words, edit_by_eda)
captions = st.lists(st.sampled_from([*CAPTION.split(), "Pants", "«élégant»", "…", "帽子"]), max_size=12).map(" ".join)


@given(captions, st.floats(0, 0.99), st.integers(0, 2**32), st.sampled_from(WORD_EDITS))
def test_an_edit_follows_from_its_generator_and_leaves_a_word(
    text: str, probability: float, seed: int, edit: Edit
) -> None:
    edited = edit(text, probability, np.random.default_rng(seed))
    assert edited == edit(text, probability, np.random.default_rng(seed))
    assert bool(edited) == bool(text)
    assert edit(text, 0.0, np.random.default_rng(seed)) == text


@given(captions, st.floats(0, 1), st.integers(0, 2**32))
def test_what_each_edit_may_do(text: str, probability: float, seed: int) -> None:
    before = text.split()
    swapped = swap_words(text, probability, np.random.default_rng(seed)).split()
    assert Counter(swapped) == Counter(before)
    inserted = iter(insert_words(text, probability, np.random.default_rng(seed)).split())
    assert all(word in inserted for word in before)
    replaced = replace_words(text, probability, np.random.default_rng(seed)).split()
    assert all(new == old or new in synonyms_of(old) for old, new in zip(before, replaced, strict=True))


@given(captions, st.floats(0.01, 1), st.integers(0, 2**32))
def test_a_crop_takes_one_run_of_its_share(text: str, share: float, seed: int) -> None:
    before, after = text.split(), crop_words(text, share, np.random.default_rng(seed)).split()
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


@pytest.mark.parametrize(("edit", "rate"), [(replace_words, 0.3), (swap_words, 0.1)])
def test_words_are_struck_at_the_given_rate(edit: Edit, rate: float) -> None:
    text, generator = "jeans phone hat trousers backpack girl young suitcase folder beard", np.random.default_rng(0)
    struck = [
        np.mean([old != new for old, new in zip(text.split(), edit(text, rate, generator).split(), strict=True)])
        for _ in range(2000)
    ]
    moved = 1 - (1 - rate) * (1 - rate / 9) ** 9 if edit is swap_words else rate
    assert np.mean(struck) == pytest.approx(moved, abs=0.02)


def test_eda_draws_one_of_four_and_approximation_one_of_three_at_half_the_captions() -> None:
    text = "jeans phone hat trousers backpack girl young suitcase folder beard"
    generator = np.random.default_rng(0)
    lengths = Counter(len(edit_by_eda(text, 0.9, generator).split()) for _ in range(2000))
    assert sum(count for length, count in lengths.items() if length < 10) / 2000 == pytest.approx(0.25, abs=0.04)
    assert sum(count for length, count in lengths.items() if length > 10) / 2000 == pytest.approx(0.25, abs=0.04)
    texts = [approximate(text, 0.5, generator) for _ in range(3000)]
    kept = 0.5 + 0.5 * (2 * 0.8**10) / 3  # replacing and deleting may strike no word
    assert texts.count(text) / 3000 == pytest.approx(kept, abs=0.03)
    runs = {" ".join(text.split()[:start] + text.split()[start + 2 :]) for start in range(9)}
    assert runs < set(texts)


RECORD = ImageRecord("1", "x", 1, "train", ["a red coat", "blue jeans"], "s", captions_bt=["a coat in red", " "])


@given(st.text(max_size=60), st.floats(0, 0.99), st.integers(0, 100))
def test_deletion_keeps_order_and_at_least_one_word(text: str, probability: float, seed: int) -> None:
    left = iter(text.split())
    result = delete_words(text, probability, np.random.default_rng(seed)).split()
    assert all(word in left for word in result)
    assert bool(result) == bool(text.split())


def test_words_go_at_the_given_rate() -> None:
    generator = np.random.default_rng(0)
    text = "one two three four five six seven eight nine ten"
    lengths = [len(delete_words(text, 0.05, generator).split()) for _ in range(3000)]
    assert np.mean(lengths) == pytest.approx(9.5, abs=0.05)


def test_back_translation_swaps_whole_sentences_at_its_rate() -> None:
    config = TextAugmentationConfig(back_translation=0.1, random_deletion=0.0)
    texts = [augment_caption(config, RECORD, 0, sample_generator(0, 0, pair, TEXT_STREAM)) for pair in range(4000)]
    assert set(texts) == {"a red coat", "a coat in red"}
    assert texts.count("a coat in red") / 4000 == pytest.approx(0.1, abs=0.02)


def test_a_missing_translation_leaves_the_caption() -> None:
    always = TextAugmentationConfig(back_translation=1.0, random_deletion=0.0)
    generator = np.random.default_rng(0)
    assert augment_caption(always, RECORD, 1, generator) == "blue jeans"
    assert augment_caption(always, ImageRecord("2", "x", 1, "train", ["a"], "s"), 0, generator) == "a"


def test_every_edit_has_its_setting_and_the_default_is_the_published_one() -> None:
    assert set(TextAugmentationConfig.model_fields) == {"back_translation", *EDITS}
    assert list(EDITS)[-1] == "approximate_text"
    assert TextAugmentationConfig().model_dump(exclude_defaults=True) == {}
    used = {name: value for name, value in TextAugmentationConfig() if value}
    assert used == {"back_translation": 0.1, "random_deletion": 0.05}
    with pytest.raises(ValidationError, match="synonyms"):
        TextAugmentationConfig.model_validate({"synonyms": 0.1})


@pytest.mark.parametrize("name", [name for name in EDITS if name != "random_deletion"])
def test_a_setting_turns_its_edit_on(name: str) -> None:
    record = ImageRecord("3", "x", 1, "train", ["a girl with a backpack in jeans and a hat"], "s")
    config = TextAugmentationConfig.model_validate({"random_deletion": 0.0, name: 0.9})
    none = TextAugmentationConfig(random_deletion=0.0)
    texts = [augment_caption(config, record, 0, np.random.default_rng(seed)) for seed in range(20)]
    assert set(texts) - {record.captions[0]}
    assert {augment_caption(none, record, 0, np.random.default_rng(seed)) for seed in range(20)} == {record.captions[0]}


def test_a_second_view_is_another_draw() -> None:
    config = TextAugmentationConfig(random_swap=0.5)
    record = ImageRecord("3", "x", 1, "train", ["a girl with a backpack in jeans and a hat"], "s")
    first, second, again = (
        [augment_caption(config, record, 0, sample_generator(0, 1, pair, stream)) for pair in range(50)]
        for stream in (TEXT_STREAM, 5, TEXT_STREAM)
    )
    assert first == again
    assert sum(one != other for one, other in zip(first, second, strict=True)) > 40
