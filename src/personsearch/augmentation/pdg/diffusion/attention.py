"""Prompt-to-prompt (Hertz et al. 2022): the edited image uses the real image's attention, word by word.

The captions are aligned first: which old tokens does a new token stand for? Then, while the UNet sees three images at
once (the edited one without text, the real one, the edited one, in this order), the edited one's attention is replaced.

Shapes: B = 3 images, M heads, Q latent positions (queries), K keys (tokens, or positions); L tokens of a text;
S tokens of the old (source) caption, T of the new (target) one, both padded to L.
"""

import re
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

UNGUIDED, REAL, EDITED = 0, 1, 2
BLEND_REDUCTION = 16  # maps of a sixteenth of the latent positions: finer layers attend too diffusely to tell a garment
SELF_REDUCTION = 4  # self-attention is shared only in layers this much coarser than the latents: layout, not texture
BLEND_FROM = (
    0.2  # share of the steps after which the edit is confined to the phrase's place; earlier maps are too noisy
)
WORD = re.compile(r"\w+(?:[-']\w+)*|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Alignment:
    """`mapper_ST[s, t]` is the share of old token s in new token t (columns sum to 1); with the phrase's tokens."""

    mapper_ST: Tensor
    old_phrase: tuple[int, ...]
    new_phrase: tuple[int, ...]


def align(tokenizer: Any, old: str, new: str, garment: str, context_length: int) -> Alignment:
    """Match the words of two captions; a changed run of words is spread evenly over its tokens.

    The phrase is the changed words and the garment after them; it is empty if the text was cut before it.
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
    """A caption's words and the positions of each word's tokens; fewer or none where the text was cut."""

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
        """The tokens of the first occurrence of the garment from `start` on."""
        found = (self.tokens[i] for i in range(start, len(self.words)) if self.words[i] == garment)
        return next(found, ())


def _ends_matched(source_length: int, target_length: int, context_length: int) -> Tensor:
    """The mapper for tokens that belong to no word: start to start, end and padding to end and padding."""
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


@dataclass(slots=True)
class AttentionControl:
    """Controls the UNet's attention during one edit; `done` is the share of its steps that are done."""

    alignment: Alignment
    latent_size: tuple[int, int]
    cross_replace: float
    self_replace: float
    threshold: float
    done: float = 0.0
    _maps: dict[int, Tensor] = field(default_factory=dict)
    _mapper: Tensor | None = None

    def change(self, attention_BMQK: Tensor, *, is_cross: bool) -> Tensor:
        """The attention, with the edited image's part replaced if this step calls for it."""
        if is_cross:
            self._remember(attention_BMQK)
            return self._replace(attention_BMQK, self._from_words(attention_BMQK)) if self.crossing else attention_BMQK
        return self._replace(attention_BMQK, attention_BMQK[REAL]) if self.sharing else attention_BMQK

    @property
    def crossing(self) -> bool:
        return self.done < self.cross_replace

    @property
    def sharing(self) -> bool:
        return self.done < self.self_replace

    def needs(self, positions: int, *, is_cross: bool) -> bool:
        """Whether a layer over this many positions must pass its attention to `change`."""
        if is_cross:
            return self.crossing or positions == self._blend_positions(positions)
        return self.sharing and positions * SELF_REDUCTION <= self._latent_positions

    def mask(self) -> Tensor | None:
        """Where either caption's phrase is seen in the latents, bool [1, 1, h, w]; None before BLEND_FROM."""
        if self.done < BLEND_FROM or not self._maps:
            return None
        best = min(self._maps, key=lambda positions: abs(positions - self._latent_positions // BLEND_REDUCTION))
        size = self._size_of(best)
        masks = []
        for row, phrase in ((0, self.alignment.old_phrase), (1, self.alignment.new_phrase)):
            heat = self._maps[best][row][:, list(phrase)].sum(dim=1).reshape(1, 1, *size)
            heat = functional.max_pool2d(heat, 3, stride=1, padding=1)
            heat = functional.interpolate(heat, self.latent_size, mode="bilinear")
            masks.append(heat > self.threshold * heat.max())
        return masks[0] | masks[1]

    def _remember(self, attention_BMQK: Tensor) -> None:
        """Accumulate the attention to words over heads, layers and steps: [2, Q, L] by number of positions."""
        seen = attention_BMQK[[REAL, EDITED]].float().mean(dim=1)
        positions = seen.shape[1]
        self._maps[positions] = self._maps[positions] + seen if positions in self._maps else seen

    def _from_words(self, attention_BMQK: Tensor) -> Tensor:
        """The real image's attention [M, Q, L], each new token with that of the old tokens it stands for."""
        if self._mapper is None or self._mapper.dtype != attention_BMQK.dtype:
            self._mapper = self.alignment.mapper_ST.to(attention_BMQK)
        return attention_BMQK[REAL] @ self._mapper

    @staticmethod
    def _replace(attention_BMQK: Tensor, edited_MQK: Tensor) -> Tensor:
        return torch.cat([attention_BMQK[:EDITED], edited_MQK[None]])

    @property
    def _latent_positions(self) -> int:
        return self.latent_size[0] * self.latent_size[1]

    def _blend_positions(self, positions: int) -> int:
        """The size of map, among `positions` and those seen so far, that suits the mask best."""
        best = self._latent_positions // BLEND_REDUCTION
        return min({positions, *self._maps}, key=lambda known: abs(known - best))

    def _size_of(self, positions: int) -> tuple[int, int]:
        """Height and width of a map of this many positions: the latents' size, halved repeatedly, rounded up."""
        height, width = self.latent_size
        while height * width > positions:
            height, width = -(-height // 2), -(-width // 2)
        return height, width


class ControlledAttention:
    """An attention processor for diffusers that lets `control` change the attention of the layers it needs."""

    def __init__(self, control: AttentionControl) -> None:
        self._control = control

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: object
    ) -> Tensor:
        is_cross = encoder_hidden_states is not None
        source = encoder_hidden_states if encoder_hidden_states is not None else hidden_states
        query, key, value = (
            project(states).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for project, states in ((attn.to_q, hidden_states), (attn.to_k, source), (attn.to_v, source))
        )
        if self._control.needs(query.shape[2], is_cross=is_cross):
            attention_BMQK = (query @ key.transpose(-1, -2) * attn.scale).softmax(dim=-1)
            mixed = self._control.change(attention_BMQK, is_cross=is_cross) @ value
        else:
            mixed = functional.scaled_dot_product_attention(query, key, value, scale=attn.scale)
        out: Tensor = attn.to_out[1](attn.to_out[0](mixed.transpose(1, 2).flatten(2)))
        return torch.as_tensor(out / attn.rescale_output_factor)
