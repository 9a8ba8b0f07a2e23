"""Prompt-to-prompt (Hertz et al. 2022): the edited image takes the real one's attention, word by word.

The UNet sees three images at once: the edited one without text, the real one, the edited one, in this order.
Shapes: B = 3 images, M heads, Q latent positions (queries), K keys (tokens, or positions); L tokens.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from personsearch.augmentation.pdg.diffusion.alignment import Alignment

UNGUIDED, REAL, EDITED = 0, 1, 2
BLEND_REDUCTION = 16  # attention over a sixteenth of the latent positions is the sharpest that still means something
SELF_REDUCTION = 4
BLEND_FROM = 0.2  # share of the steps after which the edit is held to the phrase's place


@dataclass(slots=True)
class AttentionControl:
    """What one edit does to the UNet's attention; `done` is the share of its steps that are done."""

    alignment: Alignment
    latent_size: tuple[int, int]
    cross_replace: float
    self_replace: float
    threshold: float
    done: float = 0.0
    _maps: dict[int, Tensor] = field(default_factory=dict)
    _mapper: Tensor | None = None

    def change(self, attention_BMQK: Tensor, *, is_cross: bool) -> Tensor:
        """The attention with the edited image's rows replaced where that is due."""
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
        """Whether a layer over so many positions must show its attention."""
        if is_cross:
            return self.crossing or positions == self._blend_positions(positions)
        return self.sharing and positions * SELF_REDUCTION <= self._latent_positions

    def mask(self) -> Tensor | None:
        """Where the changed phrase is in the latents, bool [1, 1, h, w], by either caption; None while it is early."""
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
        """Sum up what the words attend to, over heads, layers and steps: [2, Q, L] by number of positions."""
        seen = attention_BMQK[[REAL, EDITED]].float().mean(dim=1)
        positions = seen.shape[1]
        self._maps[positions] = self._maps[positions] + seen if positions in self._maps else seen

    def _from_words(self, attention_BMQK: Tensor) -> Tensor:
        """The real image's attention, each new word taking that of the word in its place: [M, Q, L]."""
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
        """`positions` if maps of that size serve the mask best among those seen so far."""
        wanted = self._latent_positions // BLEND_REDUCTION
        return min({positions, *self._maps}, key=lambda known: abs(known - wanted))

    def _size_of(self, positions: int) -> tuple[int, int]:
        """Height and width of a map of so many positions: the latents', halved some times, odd sizes rounded up."""
        height, width = self.latent_size
        while height * width > positions:
            height, width = -(-height // 2), -(-width // 2)
        return height, width


class ControlledAttention:
    """An attention processor of diffusers that asks `control` about layers it wants to see."""

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
