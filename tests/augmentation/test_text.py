"""Text augmentation by its probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from personsearch.augmentation.randomness import TEXT_STREAM, sample_generator
from personsearch.augmentation.text import EDITS, TextAugmentationConfig, augment_caption
from personsearch.augmentation.words import delete_words
from personsearch.data.records import ImageRecord

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
