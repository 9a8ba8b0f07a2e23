"""The generator with weights: inverts a real image to noise, and denoises it again under its new caption.

Both directions are DDIM (Song, Meng and Ermon 2021) without randomness.

Shapes: H height, W width of the image; latents [1, C, h, w]; S steps.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from personsearch.augmentation.pdg.colours import Floats
from personsearch.augmentation.pdg.config import DiffusionConfig
from personsearch.augmentation.pdg.diffusion.attention import (
    EDITED,
    UNGUIDED,
    Alignment,
    AttentionControl,
    ControlledAttention,
    align,
)
from personsearch.augmentation.pdg.diffusion.model import DiffusionModel
from personsearch.augmentation.pdg.garments import WORDS_OF_PART, Part
from personsearch.augmentation.pdg.generator import Change, GenerationRefused, Pixels
from personsearch.models.device import choose_device

FEATHER = 0.01  # of the height


@dataclass(slots=True)
class DiffusionEditor:
    """Stable Diffusion as a generator; it can change every kind of garment that captions name."""

    config: DiffusionConfig
    parts: frozenset[Part] = field(default_factory=lambda: frozenset(WORDS_OF_PART))
    _model: DiffusionModel | None = field(default=None, repr=False)

    @torch.inference_mode()
    def generate(self, image: Pixels, caption: str, change: Change) -> Pixels:
        """The image, edited where the changed phrase is seen; elsewhere its own pixels.

        Raises:
            GenerationRefused: the phrase lies beyond the model's context, or is seen nowhere.
            UserError: the model's folder cannot be loaded.
        """
        model = self._loaded()
        alignment = align(model.tokenizer, caption, change.caption, change.garment, model.context_length)
        if not alignment.old_phrase or not alignment.new_phrase:
            raise GenerationRefused("phrase-beyond-context")
        working = cv2.resize(image, (self.config.width, self.config.height), interpolation=cv2.INTER_CUBIC)
        latents, mask = self._edit(model, model.latents_of([working]), caption, change.caption, alignment)
        if not mask.any():
            raise GenerationRefused("phrase-not-seen")
        return _blend(image, model.image_of(latents), mask[0, 0].float().cpu().numpy())

    def _edit(
        self, model: DiffusionModel, latents: Tensor, old: str, new: str, alignment: Alignment
    ) -> tuple[Tensor, Tensor]:
        """The edited latents, and the mask [1, 1, h, w] outside of which they equal the real ones."""
        config, steps = self.config, ddim_steps(model.scheduler, self.config.steps)
        text_3LD = model.embed(["", old, new])
        way = invert(model, latents, text_3LD[1:2], steps)
        control = AttentionControl(
            alignment, (latents.shape[2], latents.shape[3]), config.cross_replace, config.self_replace,
            config.blend_threshold,
        )  # fmt: skip
        processors = model.unet.attn_processors
        model.unet.set_attn_processor(ControlledAttention(control))
        edited, mask = way[-1], torch.ones_like(latents[:, :1], dtype=torch.bool)
        try:
            for index in range(len(steps), 0, -1):
                control.done = 1 - index / len(steps)
                batch = torch.cat([edited, way[index], edited])
                noise_3 = model.noise(batch, steps.timesteps[index - 1], text_3LD)
                unguided, guided = noise_3[UNGUIDED : UNGUIDED + 1], noise_3[EDITED : EDITED + 1]
                noise = unguided + config.guidance * (guided - unguided)
                edited = move(edited, noise, steps.alphas[index], steps.alphas[index - 1])
                control.done = 1 - (index - 1) / len(steps)
                if (seen := control.mask()) is not None:
                    mask = seen
                    edited = torch.where(mask, edited, way[index - 1])  # keep the real image outside the phrase's place
        finally:
            model.unet.set_attn_processor(processors)
        return edited, mask

    def _loaded(self) -> DiffusionModel:
        if self._model is None:
            device = choose_device(self.config.device)
            dtype = torch.float16 if device.type == "cuda" else torch.float32
            self._model = DiffusionModel.from_folder(self.config.model, device, dtype)
        return self._model


def _blend(image: Pixels, edited: Pixels, mask_hw: Floats) -> Pixels:
    """The edited pixels under the mask with a feathered edge, the image's own elsewhere."""
    height, width = image.shape[:2]
    edited = cv2.resize(edited, (width, height), interpolation=cv2.INTER_AREA)
    weight = cv2.resize(mask_hw.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    weight = cv2.GaussianBlur(weight, (0, 0), max(0.5, FEATHER * height))[..., None]
    return np.asarray(np.round(image * (1 - weight) + edited * weight), np.uint8)


@dataclass(frozen=True, slots=True)
class Steps:
    """The noise levels of S steps: `alphas[0]` is the clean image's, `alphas[s]` that of `timesteps[s - 1]`."""

    timesteps: tuple[int, ...]
    alphas: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.timesteps)


def ddim_steps(scheduler: Any, count: int) -> Steps:
    """The scheduler's `count` steps, from the clean image to noise."""
    scheduler.set_timesteps(count)
    timesteps = tuple(sorted(int(timestep) for timestep in scheduler.timesteps))
    levels = [float(scheduler.final_alpha_cumprod), *(float(scheduler.alphas_cumprod[t]) for t in timesteps)]
    return Steps(timesteps, tuple(levels))


def move(latents: Tensor, noise: Tensor, level: float, other: float) -> Tensor:
    """Move latents from noise level `level` (ᾱ, the image's share) to level `other` along the same noise."""
    clean = (latents - math.sqrt(1 - level) * noise) / math.sqrt(level)
    return math.sqrt(other) * clean + math.sqrt(1 - other) * noise


def invert(model: DiffusionModel, latents: Tensor, text_1LD: Tensor, steps: Steps) -> list[Tensor]:
    """The path from an image to noise: its latents at all S + 1 levels, clean first.

    It follows the caption without guidance, because guided inversion drifts. An edit is tied to this path, so that what
    it does not change comes back exactly.
    """
    way = [latents]
    for index, timestep in enumerate(steps.timesteps):
        noise = model.noise(way[-1], timestep, text_1LD)
        way.append(move(way[-1], noise, steps.alphas[index], steps.alphas[index + 1]))
    return way
