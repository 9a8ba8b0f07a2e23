"""How much of a text fits into the context."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers

from personsearch.bundle import TextCleaning
from personsearch.models.vocabulary import clip_tokenizer, learn_tokenizer
from personsearch.models.wordpiece import learn_wordpiece
from personsearch.tokenizer import Tokenizer

CAPTIONS = ["a person in a red coat", "she wears black shoes and a hat of straw"] * 20
KINDS: dict[str, Callable[[], tokenizers.Tokenizer]] = {
    "clip": clip_tokenizer,
    "learnt": lambda: learn_tokenizer(CAPTIONS, 400),
    "wordpiece": lambda: learn_wordpiece(CAPTIONS, 200),
}


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[int], Tokenizer]:
    path = tmp_path / "tokenizer.json"
    path.write_text(KINDS[request.param]().to_str())
    return lambda context: Tokenizer(path, context)


@pytest.mark.parametrize(
    "text",
    ["a person in a red coat", "a 🧥 red  COAT, and black shoes", "Straßenschuhe and a hat of straw", "红色外套 coat"],
)
def test_what_is_read_is_the_longest_beginning_that_fits(tokenizer: Callable[[int], Tokenizer], text: str) -> None:
    def tokens(part: str) -> int:
        return int((tokenizer(200).encode([part])[0] != 0).sum())

    assert tokenizer(tokens(text)).cut_after(text) is None
    for context in range(3, tokens(text)):
        end = tokenizer(context).cut_after(text)
        assert end is not None
        assert text[end:].strip()
        assert tokens(text[:end]) <= context
        if end > len(text.split(maxsplit=1)[0]):
            assert text[end].isspace()
            following = text[end:].split(maxsplit=1)[0]
            assert tokens(text[: text.index(following, end) + len(following)]) > context


def test_a_description_is_cut_after_a_whole_word(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(clip_tokenizer().to_str())
    text = "a woman in a red jacket, blue jeans and a backpack"
    assert Tokenizer(path, 77).cut_after(text) is None
    end = Tokenizer(path, 9).cut_after(text)  # start, seven words and signs, end
    assert text[:end] == "a woman in a red jacket,"
    long = " ".join(["the person wears a dark blue jacket"] * 20)
    end = Tokenizer(path, 77).cut_after(long)
    assert end is not None
    assert len(long[:end].split()) == 75


def test_an_endless_word_is_cut_where_the_context_ends(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(clip_tokenizer().to_str())
    assert Tokenizer(path, 10).cut_after("zq" * 100) == 8


def test_what_cleaning_leaves_out_needs_no_room(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(clip_tokenizer().to_str())
    text = "a woman ( in ) a red * jacket , blue jeans"
    cleaned = Tokenizer(path, 9, TextCleaning(pre_caption=True)).cut_after(text)
    assert text[:cleaned] == "a woman ( in ) a red * jacket ,"
    many = "a " * 80 + "hat"
    end = Tokenizer(path, 200, TextCleaning(pre_caption=True)).cut_after(many)
    assert end is not None
    assert len(many[:end].split()) == 77
    assert Tokenizer(path, 200).cut_after(many) is None
