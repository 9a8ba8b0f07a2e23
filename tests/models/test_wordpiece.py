"""BERT's tokenizers: token for token transformers', and small ones learnt from captions."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.errors import UserError
from personsearch.models.wordpiece import SPECIAL, bert_tokenizer, learn_wordpiece, wordpiece_tokenizer
from personsearch.tokenizer import Tokenizer, trim

CAPTIONS = ["A man in a red jacket.", "a woman in red trousers", "the man's bag, red"] * 3
WORDS = ["the", "man", "wear", "##ing", "##s", "a", "red", "t", "-", "shirt", "cafe", "é", "wearing", ".", "'", "人"]
LENGTH = 12


@pytest.fixture(scope="module", params=[True, False], ids=["uncased", "cased"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertTokenizer

    path = tmp_path_factory.mktemp("tokenizer")
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *WORDS])}
    BertTokenizer(vocab=vocabulary, do_lower_case=request.param).save_pretrained(path)
    (path / "config.json").write_text('{"model_type": "bert"}')
    return path


@pytest.fixture(scope="module")
def saved(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("saved") / "tokenizer.json"
    bert_tokenizer(folder).save(str(path))
    return Tokenizer(path, LENGTH)


@pytest.mark.parametrize(
    "text",
    ["", "The man wearing a red T-shirt.", "mans RED café é wears 人人", "unknown [MASK] \t a\n", "a red " * 40, "🧥"],
)
def test_a_bert_s_tokens_equal_transformers(folder: Path, saved: Tokenizer, text: str) -> None:
    from transformers import AutoTokenizer

    reference = AutoTokenizer.from_pretrained(folder)
    wanted = reference(text, padding="max_length", max_length=LENGTH, truncation=True)["input_ids"]
    assert saved.encode([text]).tolist() == [wanted]


def test_vocab_txt_alone_is_enough(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]) + "\n", encoding="utf-8")
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    text = "The man wearing a Red T-shirt"
    assert bert_tokenizer(tmp_path).encode(text).ids == bert_tokenizer(folder).encode(text).ids


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tokenizer"):
        bert_tokenizer(tmp_path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("small") / "tokenizer.json"
    learn_wordpiece(CAPTIONS, 80).save(str(path))
    return Tokenizer(path, 24)


def test_frequent_words_are_whole_and_others_spelt() -> None:
    tokenizer = learn_wordpiece(CAPTIONS, 80)
    assert tokenizer.encode("a RED jacket").tokens == ["[CLS]", "a", "red", "jacket", "[SEP]"]
    assert tokenizer.encode("mans jet").tokens == ["[CLS]", "man", "##s", "j", "##e", "##t", "[SEP]"]
    assert tokenizer.encode("").ids == [2, 3]
    assert [tokenizer.token_to_id(token) for token in SPECIAL] == [0, 1, 2, 3, 4]


def test_the_most_frequent_words_come_first() -> None:
    letters = 2 * len(set("".join(CAPTIONS).lower()) - {" "})
    tokenizer = learn_wordpiece(CAPTIONS, 5 + letters + 3)
    assert tokenizer.get_vocab_size() == 5 + letters + 3
    assert [tokenizer.id_to_token(5 + letters + index) for index in range(3)] == ["red", "in", "man"]


def test_learning_is_the_same_each_time_and_knows_its_least_size() -> None:
    assert learn_wordpiece(CAPTIONS, 60).to_str() == learn_wordpiece(iter(CAPTIONS), 60).to_str()
    with pytest.raises(UserError, match="20 is too small"):
        learn_wordpiece(CAPTIONS, 20)


def test_a_bert_brings_its_own_and_without_one_a_size_is_wanted(folder: Path) -> None:
    assert wordpiece_tokenizer("clip", list, str(folder)).to_str() == bert_tokenizer(folder).to_str()
    assert wordpiece_tokenizer(80, lambda: CAPTIONS, None).to_str() == learn_wordpiece(CAPTIONS, 80).to_str()
    with pytest.raises(UserError, match="'clip'; without text_weights, expected a number of tokens"):
        wordpiece_tokenizer("clip", lambda: CAPTIONS, None)


@given(st.text(max_size=60))
def test_any_text_starts_and_ends_as_bert_s(small: Tokenizer, text: str) -> None:
    (row,) = trim(small.encode([text])).tolist()
    assert row[0] == 2
    assert row[-1] == small.end_id == 3
