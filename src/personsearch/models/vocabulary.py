"""Tokenizers as `tokenizer.json`: CLIP's own, and small ones learnt from captions.

In both, the end-of-text token has the highest id (open_clip pools at `ids.argmax(-1)`) and 0 pads.
"""

import gzip
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, NFKC, Lowercase, Replace, Sequence, Strip
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreSequence
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

from personsearch.bundle import TOKENIZER
from personsearch.errors import UserError
from personsearch.models.weights import HUB, download

START, END, PADDING = "<start_of_text>", "<end_of_text>", "<padding>"
WORDS = r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
CLIP_MERGES = 49152 - 256 - 2


def clip_tokenizer() -> Tokenizer:
    """CLIP's byte-pair encoding from the merges that open_clip carries.

    After `TextCleaning.ftfy` it gives the tokens of open_clip's SimpleTokenizer, except for mojibake, which only ftfy
    repairs.
    """
    from open_clip.tokenizer import bytes_to_unicode, default_bpe

    lines = gzip.decompress(Path(default_bpe()).read_bytes()).decode("utf-8").split("\n")
    merges = [(left, right) for left, right in (line.split() for line in lines[1 : CLIP_MERGES + 1])]
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges), START, END]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(BPE(vocabulary, merges, end_of_word_suffix="</w>"))
    tokenizer.normalizer = Sequence([NFC(), Replace(Regex(r"\s+"), " "), Strip(), Lowercase()])
    tokenizer.pre_tokenizer = PreSequence(
        [Split(Regex(WORDS), "removed", invert=True), ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    return _with_ends(tokenizer)


def learn_tokenizer(captions: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """A lower-cased byte-level vocabulary of at most `vocabulary_size` tokens learnt from captions.

    Every byte is in it, so no text is unknown.
    """
    learner = Tokenizer(BPE())
    _prepare_text(learner)
    trainer = BpeTrainer(
        vocab_size=vocabulary_size - 2,  # start and end come last, so that the end has the highest id
        special_tokens=[PADDING],
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    learner.train_from_iterator(captions, trainer)
    model = BPE(*_vocabulary_and_merges(learner))
    tokenizer = Tokenizer(model)
    _prepare_text(tokenizer)
    return _with_ends(tokenizer)


def _prepare_text(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = Sequence([NFKC(), Lowercase(), Replace(Regex(r"\s+"), " "), Strip()])
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)


def _vocabulary_and_merges(learner: Tokenizer) -> tuple[dict[str, int], list[tuple[str, str]]]:
    import json

    model = json.loads(learner.to_str())["model"]
    vocabulary = dict(model["vocab"])
    vocabulary |= {START: len(vocabulary), END: len(vocabulary) + 1}
    return vocabulary, [(left, right) for left, right in model["merges"]]


def _with_ends(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_special_tokens([AddedToken(START, normalized=True), AddedToken(END, normalized=True)])
    ids = {token: tokenizer.token_to_id(token) for token in (START, END)}
    tokenizer.post_processor = TemplateProcessing(single=f"{START} $A {END}", special_tokens=list(ids.items()))
    return tokenizer


def read_tokenizer(source: str) -> Tokenizer:
    """A tokenizer.json: the file, a folder that holds one, or `hf-hub:owner/name`, which may have to be fetched.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    path = Path(source) / TOKENIZER if Path(source).is_dir() else Path(source)
    if source.startswith(HUB):
        path = download(source.removeprefix(HUB), TOKENIZER, source)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exceptions
        raise UserError(f"model.vocabulary {source}: no readable {TOKENIZER}: {error}") from error


def padding_token(path: Path) -> int:
    """The id that a tokenizer.json pads with, 0 where it does not say."""
    tokenizer = Tokenizer.from_file(str(path))
    if tokenizer.padding is not None:
        return int(tokenizer.padding["pad_id"])
    named = [tokenizer.token_to_id(name) for name in ("<pad>", "[PAD]")]
    return next((token for token in named if token is not None), 0)
