"""Tokenizers: CLIP's token for token, small ones that know every text."""

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from personsearch.bundle import TextCleaning
from personsearch.models.vocabulary import clip_tokenizer, learn_tokenizer
from personsearch.tokenizer import Tokenizer, pre_caption

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
    "ｆｕｌｌ－ｗｉｄｔｈ　ｌｅｔｔｅｒｓ，　１２３",
    "red，green、blue。（bag）ﾊﾛｰ",
    "a ﬁne ﬂeece, oﬃce ﬀ ﬄ ﬅ ﬆ; ĳ ǆ ŉ",
    "&quot;red&quot; &amp;amp; &lt;b&gt; &#39;s &#x27; &nbsp; &eacute; &EACUTE; &notit; &unknown; &quot",
    "<b>a &quot;red&quot; ｃｏａｔ&#xff0c; &amp;lt;</b>",
    "a\x1b[31mred\x1b[0m coat\x07\x00 and\ufeff a\ufffc bag",
    "a \x93red\x94 coat, a man\x92s bag, a\u2028b\u2029c\r\nd\x85",
    "ʼtis ‚a‘ „quoted‟ text",
    "Å Ω ﷺ ㎏ ² ½ ℃ ¼ — – … ・ ～",
    "\ud83e\uddf3 a lone \ud83e",
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("clip") / "tokenizer.json"
    clip_tokenizer().save(str(path))
    return Tokenizer(path, CONTEXT, TextCleaning(ftfy=True))


@pytest.mark.parametrize("text", SENTENCES)
def test_clip_tokens_equal_open_clip(clip: Tokenizer, text: str) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    assert clip.encode([text]).tolist() == SimpleTokenizer()([text], CONTEXT).tolist()


PIECES = [
    "&",
    "quot",
    "amp",
    ";",
    "#39",
    "#x27",
    "<",
    "\n",
    "\x1b[1m",
    "\x93",
    "ﬁ",
    "ｆ",
    "，",
    "　",
    "’",
    "„",
    "é",
    "e\u0301",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(st.characters(codec="ascii"), max_size=8)), max_size=12))
def test_clip_tokens_equal_open_clip_on_any_text_that_is_no_mojibake(clip: Tokenizer, parts: list[str]) -> None:
    import ftfy
    from open_clip.tokenizer import tokenize

    text = "".join(parts)
    one_line = not ("<" in text and "\n" in text)  # ftfy leaves the escapes of a line with a tag, and of those after it
    assume(one_line and ftfy.fix_text(text) == ftfy.fix_text(text, fix_encoding=False))
    assert clip.encode([text]).tolist() == tokenize([text], CONTEXT).tolist()


PRE_CAPTIONS = [
    ('A Man (in "RED") #1: tall; ~ok!  Yes...', "a man in red 1 tall ok yes"),
    ("word " * 90, " ".join(["word"] * 77)),
    ("It's half-way, 50% & more?", "it's half-way, 50% & more?"),
    ("  one\ttab\n\n", "one\ttab"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "expected"), PRE_CAPTIONS)
def test_pre_caption_is_that_of_tbps_clip(text: str, expected: str, tmp_path: Path) -> None:
    clip_tokenizer().save(str(tmp_path / "tokenizer.json"))
    assert pre_caption(text) == expected
    plain, prepared = (
        Tokenizer(tmp_path / "tokenizer.json", CONTEXT, TextCleaning(pre_caption=value)) for value in (False, True)
    )
    assert prepared.encode([text]).tolist() == plain.encode([expected]).tolist()


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
