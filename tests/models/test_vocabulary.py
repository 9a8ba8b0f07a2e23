"""Tokenizers: CLIP's token for token, small ones that know every text."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personsearch.models.vocabulary import clip_tokenizer, learn_tokenizer
from personsearch.tokenizer import Tokenizer

CONTEXT = 77
SENTENCES = [
    "A woman in a red coat with a black backpack.",
    "  She's   wearing\tblue jeans\n\n& white-and-grey trainers, size 42!  ",
    "the man's T-shirt reads 'HELLO 2024'; he'll've 3 bags (1 red/2 blue)",
    "“Curly quotes” and it’s a naïve café façade, Straße, ŁÓDŹ",
    "一个穿着红色外套的女人 🧥🎒 — émigré",
    "Кто-то в чёрной куртке; עברית; العربية; ไทย; ١٢٣",
    "<start_of_text> a <end_of_text> b",
    "",
    "!!!??? ... #hashtag @mention http://x.y/z?a=b%20c",
    "word " * 200,
    "antidisestablishmentarianism" * 8,
    "e\u0301 combining, \u00e9 composed",
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("clip") / "tokenizer.json"
    clip_tokenizer().save(str(path))
    return Tokenizer(path, CONTEXT)


@pytest.mark.parametrize("text", SENTENCES)
def test_clip_tokens_equal_open_clip(clip: Tokenizer, text: str) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    assert clip.encode([text]).tolist() == SimpleTokenizer()([text], CONTEXT).tolist()


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="ascii", exclude_characters="&<"), max_size=80))
def test_clip_tokens_equal_open_clip_on_any_ascii(clip: Tokenizer, text: str) -> None:
    from open_clip.tokenizer import tokenize

    printable = "".join(character for character in text if character.isprintable() or character.isspace())
    assert clip.encode([printable]).tolist() == tokenize([printable], CONTEXT).tolist()


def test_clip_vocabulary_is_complete(clip: Tokenizer) -> None:
    assert clip.vocab_size == 49408
    assert clip.end_id == 49407


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path: Path = tmp_path_factory.mktemp("small") / "tokenizer.json"
    learn_tokenizer(["a man in a red jacket", "a woman in red trousers"] * 5, 300).save(str(path))
    return Tokenizer(path, 24)


def test_a_learnt_vocabulary_knows_its_words_and_ends(small: Tokenizer) -> None:
    (row,) = small.encode(["A Man  in RED"]).tolist()
    assert row[0] == small.vocab_size - 2
    assert max(row) == small.end_id == small.vocab_size - 1
    assert row.index(small.end_id) <= 9
    assert not any(row[row.index(small.end_id) + 1 :])
    assert small.encode(["a man in red"]).tolist() == [row]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_a_learnt_vocabulary_loses_no_text(small: Tokenizer, text: str) -> None:
    (row,) = small.encode([text]).tolist()
    assert row[0] == small.vocab_size - 2
    assert row.count(small.end_id) >= 1
    if text.strip() and text.isascii() and text.isprintable():
        assert row[1] != small.end_id
