"""A vocabulary cut to the tokens that a domain uses, tokenizer and token embedding together.

A text whose tokens all stay is tokenised as before and embedded the same. For byte-pair encoding: a token is always
built by the same merges, all merges that build a kept token stay in their order, and the first merge that applies
among all of them then applies first among the kept ones too. For WordPiece: the longest match at a position stays
the longest. Any other text is spelt in shorter tokens, down to single bytes or letters.

Shapes: V tokens, C channels of the text tower.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from personsearch.bundle import TOKENIZER, WEIGHTS, Bundle
from personsearch.compression.torch_bundle import write_torch_bundle
from personsearch.errors import UserError
from personsearch.models.build import create_model, load_bundle_model
from personsearch.models.encoder import PersonEncoder

logger = logging.getLogger(__name__)

TEXTS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class TrimmedVocabulary:
    """Tokens before and after, and the bytes that weights and tokenizer lost."""

    tokens_before: int
    tokens: int
    bytes_saved: int


def trim_vocabulary(source: Bundle, texts: Iterable[str], out_dir: Path) -> TrimmedVocabulary:
    """Write a bundle with the tokens of `texts`, the special tokens, and those that spell any other text.

    Tokens keep their order: the end token's id stays the highest, by which CLIP finds the end of a text, and 0 stays
    the padding.

    Raises:
        UserError: `source` is not a torch bundle, or its text tower or tokenizer is of another kind.
    """
    model = load_bundle_model(source).model
    if model.token_embedding_name is None:
        raise UserError(f"{source}: its vocabulary cannot be trimmed; expected CLIP's own text tower or a BERT")
    tokenizer = Tokenizer.from_file(str(source.path(TOKENIZER)))
    trimmed = trim_tokenizer(tokenizer, map(source.tokenizer.clean, texts))
    old_ids, tokens = tokenizer.get_vocab(), trimmed.get_vocab_size()
    old_id_V = sorted(old_ids[token] for token in trimmed.get_vocab())
    change = f"Its vocabulary was cut from {len(old_ids):,} to {tokens:,} tokens."
    smaller = _with_rows(model, model.token_embedding_name, old_id_V)
    write_torch_bundle(source, smaller, out_dir, tokenizer=trimmed.to_str(), change=change)
    result = TrimmedVocabulary(len(old_ids), tokens, _bytes(source.folder) - _bytes(out_dir))
    logger.info("%s %.1f MB saved", change, result.bytes_saved / 1e6)
    return result


def trim_tokenizer(tokenizer: Tokenizer, texts: Iterable[str]) -> Tokenizer:
    """A tokenizer of fewer tokens, numbered from 0 in their old order; turns padding and truncation of `tokenizer` off.

    Raises:
        UserError: it is neither byte-pair encoding nor WordPiece, or adds start and end in a way of its own.
    """
    tokenizer.no_padding()
    tokenizer.no_truncation()
    content, old_ids = json.loads(tokenizer.to_str()), tokenizer.get_vocab()
    kept = _kept_tokens(content, _used_tokens(tokenizer, texts), old_ids)
    return _renumbered(content, {token: new for new, token in enumerate(sorted(kept, key=old_ids.__getitem__))})


def _used_tokens(tokenizer: Tokenizer, texts: Iterable[str]) -> set[str]:
    remaining, ids = iter(texts), set[int]()
    while part := list(islice(remaining, TEXTS_AT_ONCE)):
        for encoding in tokenizer.encode_batch(part):
            ids.update(encoding.ids)
    return {token for token, index in tokenizer.get_vocab().items() if index in ids}


def _kept_tokens(content: dict[str, Any], used: set[str], ids: dict[str, int]) -> set[str]:
    model = content["model"]
    special = {token["content"] for token in content["added_tokens"]}
    special |= {token for token in ids if token == model.get("unk_token")}
    padding = {token for token, index in ids.items() if index == 0}  # 0 pads, so no other token may take it
    if model["type"] == "BPE" and not model["continuing_subword_prefix"]:
        return _with_parts(model, used) | special | padding
    if model["type"] == "WordPiece":
        letters = {  # a word whose letters are all known is never unknown
            token for token in model["vocab"] if len(token.removeprefix(model["continuing_subword_prefix"])) == 1
        }
        return used | letters | special | padding
    raise UserError(f"{TOKENIZER}: a {model['type']} vocabulary cannot be trimmed; expected BPE or WordPiece")


def _with_parts(model: dict[str, Any], used: set[str]) -> set[str]:
    """The tokens that no merge makes, the used ones, and all those that the used ones are merged from."""
    parts: defaultdict[str, list[str]] = defaultdict(list)
    for left, right in model["merges"]:
        parts[left + right] += [left, right]
    kept, waiting = set(model["vocab"]) - set(parts), list(used)
    while waiting:
        token = waiting.pop()
        if token not in kept:
            kept.add(token)
            waiting += parts[token]
    return kept


def _renumbered(content: dict[str, Any], ids: dict[str, int]) -> Tokenizer:
    """The tokenizer with only the tokens in `ids`, under these ids."""
    model, processor = content["model"], content["post_processor"]
    model["vocab"] = {token: index for token, index in ids.items() if token in model["vocab"]}
    if "merges" in model:
        model["merges"] = [[left, right] for left, right in model["merges"] if left + right in ids]
    for token in content["added_tokens"]:
        token["id"] = ids[token["content"]]
    if processor is not None and processor["type"] != "TemplateProcessing":
        raise UserError(f"{TOKENIZER}: post-processor {processor['type']} is not known; expected TemplateProcessing")
    for special in (processor or {"special_tokens": {}})["special_tokens"].values():
        special["ids"] = [ids[token] for token in special["tokens"]]
    trimmed: Tokenizer = Tokenizer.from_str(json.dumps(content, ensure_ascii=False))
    return trimmed


def _with_rows(model: PersonEncoder, name: str, old_id_V: list[int]) -> PersonEncoder:
    """The same model with only these rows of its token embedding, the weight `name`."""
    trimmed = create_model(model.architecture.with_section("text", vocab_size=len(old_id_V)))
    state = {name: value.detach() for name, value in model.named_weights().items()}
    trimmed.load_named_weights(state | {name: state[name][old_id_V]})
    return trimmed.eval()


def _bytes(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in (WEIGHTS, TOKENIZER))
