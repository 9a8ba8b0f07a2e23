"""Which tokens of the new caption stand for which of the old one.

Shapes: L tokens of a text; S tokens of the old (source) caption, T of the new (target) one, both padded to L.
"""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import torch
from torch import Tensor

WORD = re.compile(r"\w+(?:[-']\w+)*|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Alignment:
    """`mapper_ST[s, t]`: the share of old token s in new token t, columns summing to 1; and the phrase's tokens."""

    mapper_ST: Tensor
    old_phrase: tuple[int, ...]
    new_phrase: tuple[int, ...]


def align(tokenizer: Any, old: str, new: str, garment: str, context_length: int) -> Alignment:
    """Match the words of two captions; a changed stretch of words is spread evenly over its tokens.

    The phrase is what changed together with the garment's word after it; it is empty where the text was cut.
    """
    source, target = (_Text(tokenizer, text, context_length) for text in (old, new))
    mapper = _ends_matched(source.length, target.length, context_length)
    old_phrase, new_phrase = set[int](), set[int]()
    matcher = SequenceMatcher(None, source.words, target.words, autojunk=False)
    for kind, i, j, k, m in matcher.get_opcodes():
        if kind == "equal":
            for before, after in zip(source.tokens[i:j], target.tokens[k:m], strict=True):
                _spread(mapper, before, after)
        else:
            _spread(mapper, source.between(i, j), target.between(k, m))
            old_phrase.update(source.between(i, j), source.garment_after(j, garment))
            new_phrase.update(target.between(k, m), target.garment_after(m, garment))
    return Alignment(mapper, tuple(sorted(old_phrase)), tuple(sorted(new_phrase)))


class _Text:
    """A caption's words, and for each the positions of its tokens: fewer or none where the text was cut."""

    def __init__(self, tokenizer: Any, text: str, context_length: int) -> None:
        matches = list(WORD.finditer(text))
        encoded = tokenizer(text, truncation=True, max_length=context_length, return_offsets_mapping=True)
        spans = encoded["offset_mapping"]
        self.words = [match[0].lower() for match in matches]
        self.length = len(spans)
        self.tokens = [
            tuple(
                i for i, (start, end) in enumerate(spans) if start < end and start < word.end() and end > word.start()
            )
            for word in matches
        ]

    def between(self, first: int, after: int) -> tuple[int, ...]:
        return tuple(position for positions in self.tokens[first:after] for position in positions)

    def garment_after(self, start: int, garment: str) -> tuple[int, ...]:
        """The tokens of the first such word from `start` on."""
        found = (self.tokens[i] for i in range(start, len(self.words)) if self.words[i] == garment)
        return next(found, ())


def _ends_matched(source_length: int, target_length: int, context_length: int) -> Tensor:
    """The mapper of what is no word: start to start, end of text and padding to end of text and padding."""
    mapper = torch.zeros(context_length, context_length)
    mapper[range(target_length - 1), range(target_length - 1)] = 1
    for target in range(target_length - 1, context_length):
        mapper[min(source_length + target - target_length, context_length - 1), target] = 1
    return mapper


def _spread(mapper_ST: Tensor, source: tuple[int, ...], target: tuple[int, ...]) -> None:
    if not source or not target:
        return
    mapper_ST[:, list(target)] = 0
    if len(source) == len(target):
        mapper_ST[list(source), list(target)] = 1
    else:
        mapper_ST[[[position] for position in source], list(target)] = 1 / len(source)
