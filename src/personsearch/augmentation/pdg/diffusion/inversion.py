"""DDIM (Song, Meng and Ermon 2021) in both directions, without randomness.

Shapes: latents [1, C, h, w]; S steps.
"""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from personsearch.augmentation.pdg.diffusion.model import DiffusionModel


@dataclass(frozen=True, slots=True)
class Steps:
    """The noise levels of S steps: `alphas[0]` is the clean image, `alphas[s]` the level at `timesteps[s - 1]`."""

    timesteps: tuple[int, ...]
    alphas: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.timesteps)


def ddim_steps(scheduler: Any, count: int) -> Steps:
    """The scheduler's `count` steps, from clean to noise."""
    scheduler.set_timesteps(count)
    timesteps = tuple(sorted(int(timestep) for timestep in scheduler.timesteps))
    levels = [float(scheduler.final_alpha_cumprod), *(float(scheduler.alphas_cumprod[t]) for t in timesteps)]
    return Steps(timesteps, tuple(levels))


def move(latents: Tensor, noise: Tensor, level: float, other: float) -> Tensor:
    """Latents at noise level `level` (the share of the image, ᾱ), taken to level `other` along the same noise."""
    clean = (latents - math.sqrt(1 - level) * noise) / math.sqrt(level)
    return math.sqrt(other) * clean + math.sqrt(1 - other) * noise


def invert(model: DiffusionModel, latents: Tensor, text_1LD: Tensor, steps: Steps) -> list[Tensor]:
    """The way of an image to noise: latents at every level, clean first (S + 1 of them).

    It follows the caption without guidance, as guided inversion drifts; an edit is held to this way, so that what it
    does not change comes back exactly.
    """
    way = [latents]
    for index, timestep in enumerate(steps.timesteps):
        noise = model.noise(way[-1], timestep, text_1LD)
        way.append(move(way[-1], noise, steps.alphas[index], steps.alphas[index + 1]))
    return way
