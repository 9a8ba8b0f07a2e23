"""BERT's tokenizers as `tokenizer.json`: those of a pretrained BERT, and small ones learnt from captions."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from personsearch.errors import UserError
from personsearch.models.pretrained import bert_folder

PADDING, UNKNOWN, START, END, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
INSIDE = "##"


def wordpiece_tokenizer(
    vocabulary: int | str, captions: Callable[[], Iterable[str]], text_weights: str | None
) -> Tokenizer:
    """The tokenizer of a dual transformer: its BERT's own, or one of `vocabulary` tokens learnt from captions.

    Raises:
        UserError: neither a BERT nor a number of tokens is given, or no tokenizer follows from it.
    """
    if text_weights is not None:
        return bert_tokenizer(bert_folder(text_weights))
    if not isinstance(vocabulary, int):
        raise UserError(f"model.vocabulary: {vocabulary!r}; without text_weights, expected a number of tokens to learn")
    return learn_wordpiece(captions(), vocabulary)


def bert_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a BERT folder (tokenizer.json or vocab.txt), token for token transformers'.

    Raises:
        UserError: there is none, or it does not pad with 0 or end texts as BERT does.
    """
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        tokenizer = Tokenizer.from_str(found.backend_tokenizer.to_str())
    except Exception as error:  # transformers raises half a dozen kinds for missing and damaged files
        raise UserError(f"text weights {folder}: its tokenizer cannot be read: {str(error).splitlines()[0]}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ends = [found.cls_token_id, found.sep_token_id]
    if found.pad_token_id != 0 or tokenizer.encode("").ids != ends:
        raise UserError(
            f"text weights {folder}: no BERT tokenizer, which pads with 0 and puts a text between two tokens"
        )
    return tokenizer


def learn_wordpiece(captions: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """A lower-cased vocabulary of the most frequent words; others are spelt in the captions' letters.

    Raises:
        UserError: the size does not even hold the letters.
    """
    normaliser, splitter = BertNormalizer(lowercase=True), BertPreTokenizer()
    words: Counter[str] = Counter()
    for caption in captions:
        words.update(word for word, _ in splitter.pre_tokenize_str(normaliser.normalize_str(caption)))
    letters = sorted(set("".join(words)))
    tokens = [*SPECIAL, *letters, *(INSIDE + letter for letter in letters)]
    if len(tokens) > vocabulary_size:
        raise UserError(f"model.vocabulary: {vocabulary_size} is too small; the captions' letters take {len(tokens)}")
    frequent = sorted((word for word in words if len(word) > 1), key=lambda word: (-words[word], word))
    tokens += frequent[: vocabulary_size - len(tokens)]
    return _wordpiece({token: index for index, token in enumerate(tokens)})


def _wordpiece(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(lowercase=True), BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL))
    ends = [(token, vocabulary[token]) for token in (START, END)]
    tokenizer.post_processor = TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    return tokenizer
