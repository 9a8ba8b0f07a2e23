"""Trimmed vocabularies: what stays is tokenised and embedded as before, and everything else is still spelt."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram, WordPiece
from tokenizers.processors import BertProcessing

from personsearch.bundle import TOKENIZER, Bundle, TextCleaning, write_spec
from personsearch.compression.vocabulary import trim_tokenizer, trim_vocabulary
from personsearch.encoders.torch import TorchEncoder
from personsearch.errors import UserError
from personsearch.models.vocabulary import clip_tokenizer, learn_tokenizer
from personsearch.models.wordpiece import UNKNOWN, learn_wordpiece

LEARNT_FROM = [
    "a woman in a dark red coat with a black backpack walks past the station entrance",
    "the tall man wears grey trousers, white sneakers and carries an umbrella",
    "someone in a green hooded jacket and blue jeans pushes a bicycle",
] * 4
USED = ["the woman wears a red jacket, blue jeans and white sneakers", "a man with a black umbrella"]
WORDS = " ".join(USED).replace(",", " ,").split()
CLIP: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 24, "width": 32, "heads": 2, "layers": 2},
}
DUAL_TRANSFORMER: dict[str, Any] = {
    "kind": "dual_transformer",
    "embed_dim": 32,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "stride": 8, "width": 32, "layers": 1, "heads": 2},
    "text_cfg": {
        "context_length": 24,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 24,
    },
}
KINDS = {
    "clip": (CLIP, clip_tokenizer),
    "learnt": (CLIP, lambda: learn_tokenizer(LEARNT_FROM, 420)),
    "wordpiece": (DUAL_TRANSFORMER, lambda: learn_wordpiece(LEARNT_FROM, 120)),
}


@dataclass
class Opened:
    """A bundle's tokenizer and encoder."""

    tokenizer: Tokenizer
    encoder: TorchEncoder

    def tokens(self, text: str) -> list[str]:
        return self.tokenizer.encode(text).tokens


def opened(bundle: Path) -> Opened:
    return Opened(Tokenizer.from_file(str(bundle / TOKENIZER)), TorchEncoder.from_bundle(Bundle.open(bundle), "cpu"))


@pytest.fixture(scope="module", params=list(KINDS))
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, make_model: Any, bundle_of: Any
) -> tuple[Opened, Opened]:
    """A bundle and its trimmed one."""
    architecture, make_tokenizer = KINDS[request.param]
    tokenizer, folder = make_tokenizer(), tmp_path_factory.mktemp(request.param)
    text = architecture["text_cfg"] | {"vocab_size": tokenizer.get_vocab_size()}
    bundle = bundle_of(folder / "bundle", make_model(architecture | {"text_cfg": text}), tokenizer)
    trimmed = trim_vocabulary(Bundle.open(bundle), USED, folder / "trimmed")
    assert trimmed.tokens_before == tokenizer.get_vocab_size()
    assert trimmed.tokens == Bundle.open(folder / "trimmed").spec.architecture["text_cfg"]["vocab_size"]
    saved_rows = (trimmed.tokens_before - trimmed.tokens) * 32 * 4
    assert trimmed.bytes_saved > saved_rows > 0
    return opened(bundle), opened(folder / "trimmed")


SENTENCES = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), min_size=1, max_size=8)


@settings(max_examples=8)
@given(texts=SENTENCES)
def test_texts_of_kept_tokens_are_tokenised_and_embedded_as_before(
    pair: tuple[Opened, Opened], texts: list[str]
) -> None:
    before, after = pair
    assert [after.tokens(text) for text in texts] == [before.tokens(text) for text in texts]
    wanted, found = (each.encoder.encode_texts(texts) for each in pair)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@settings(max_examples=50)
@given(text=st.text(max_size=20))
def test_any_text_is_still_spelt(pair: tuple[Opened, Opened], text: str) -> None:
    before, after = (each.tokens(text) for each in pair)
    assert "".join(after).replace("##", "") == "".join(before).replace("##", "")
    assert len(after) >= len(before)


def test_ids_keep_their_order(pair: tuple[Opened, Opened]) -> None:
    """The end token stays the highest, 0 stays what it was, and no number is left out."""
    before, after = (each.tokenizer for each in pair)
    vocabulary = after.get_vocab()
    kept = sorted(vocabulary, key=vocabulary.__getitem__)
    assert [vocabulary[token] for token in kept] == list(range(len(kept)))
    assert kept == sorted(kept, key=before.token_to_id)
    assert after.id_to_token(0) == before.id_to_token(0)
    end = before.encode("").ids[-1]
    if end == before.get_vocab_size() - 1:
        assert after.encode("").ids[-1] == after.get_vocab_size() - 1


def test_texts_are_cleaned_before_their_tokens_are_counted(tiny_bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(tiny_bundle, source)
    write_spec(source, Bundle.open(source).spec.model_copy(update={"text_cleaning": TextCleaning(ftfy=True)}))
    trim_vocabulary(Bundle.open(source), ["a &#112;erson"], tmp_path / "trimmed")
    (found,) = Bundle.open(tmp_path / "trimmed").tokenizer.encode(["a &#112;erson"])
    (expected,) = Bundle.open(source).tokenizer.encode(["a person"])
    assert (found != 0).sum() == (expected != 0).sum()


def test_a_token_no_longer_used_is_gone_and_its_parts_remain() -> None:
    letters = {letter: index for index, letter in enumerate("abcd")}
    merges = [("a", "b"), ("ab", "c"), ("c", "d"), ("ab", "cd")]
    tokenizer = Tokenizer(BPE(letters | {"ab": 4, "abc": 5, "cd": 6, "abcd": 7}, merges))
    assert tokenizer.encode("abcd").tokens == ["abc", "d"]
    trimmed = trim_tokenizer(tokenizer, ["abcd"])
    assert trimmed.get_vocab() == letters | {"ab": 4, "abc": 5}
    assert trimmed.encode("abcdcd").tokens == ["abc", "d", "c", "d"]


@st.composite
def byte_pair_encodings(draw: st.DrawFn) -> Tokenizer:
    """Merges in any order, two ways to the same token among them."""
    vocabulary, merges = list("abc"), []
    for _ in range(draw(st.integers(1, 14))):
        left, right = draw(st.sampled_from(vocabulary)), draw(st.sampled_from(vocabulary))
        if (left, right) not in merges:
            merges.append((left, right))
            vocabulary += [left + right] if left + right not in vocabulary else []
    order = draw(st.permutations(merges))
    return Tokenizer(BPE({token: index for index, token in enumerate(vocabulary)}, order))


TEXT = st.text("abc", max_size=12)


@settings(max_examples=200)
@given(tokenizer=byte_pair_encodings(), used=st.lists(TEXT, max_size=3), text=TEXT)
def test_any_byte_pair_encoding_keeps_what_stays(tokenizer: Tokenizer, used: list[str], text: str) -> None:
    trimmed = trim_tokenizer(tokenizer, used)
    for known in (*used, text):
        before = tokenizer.encode(known).tokens
        if set(before) <= set(trimmed.get_vocab()):
            assert trimmed.encode(known).tokens == before
        assert "".join(trimmed.encode(known).tokens) == known


PIECES = st.sets(TEXT.filter(bool), max_size=8)


@settings(max_examples=200)
@given(starts=PIECES, insides=PIECES, used=st.lists(TEXT, max_size=3), text=TEXT)
def test_any_wordpiece_keeps_what_stays(starts: set[str], insides: set[str], used: list[str], text: str) -> None:
    pieces = [UNKNOWN, *(starts | set("abc")), *(f"##{piece}" for piece in insides | set("abc"))]
    tokenizer = Tokenizer(WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token=UNKNOWN))
    trimmed = trim_tokenizer(tokenizer, used)
    for known in (*used, text):
        before = tokenizer.encode(known).tokens
        if set(before) <= set(trimmed.get_vocab()):
            assert trimmed.encode(known).tokens == before


def test_other_tokenizers_are_refused() -> None:
    with pytest.raises(UserError, match="a Unigram vocabulary cannot be trimmed"):
        trim_tokenizer(Tokenizer(Unigram([("a", -1.0)])), ["a"])
    tokenizer = Tokenizer(BPE({"a": 0, "b": 1}, []))
    tokenizer.post_processor = BertProcessing(("a", 0), ("b", 1))
    with pytest.raises(UserError, match="post-processor BertProcessing"):
        trim_tokenizer(tokenizer, ["a"])
