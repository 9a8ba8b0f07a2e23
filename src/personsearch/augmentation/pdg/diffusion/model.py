"""The user's Stable Diffusion folder (diffusers' format, safetensors), and what it computes.

Shapes: B batch, H height, W width of images; latents are [B, C, h, w]; L tokens, D width of the text encoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from personsearch.augmentation.pdg.generator import Pixels
from personsearch.errors import UserError

PREDICTIONS = ("epsilon", "v_prediction")
COMPONENTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")


@dataclass(frozen=True, slots=True)
class DiffusionModel:
    """The parts of a latent diffusion model, on one device. No safety checker: the model sees only the user's crops."""

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Any
    device: torch.device

    @classmethod
    def from_folder(cls, folder: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> Self:
        """Load every part from `folder`; nothing is downloaded and no pickle is read.

        Raises:
            UserError: a part is missing or damaged.
        """
        from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
        from transformers import CLIPTextModel, CLIPTokenizer

        missing = [name for name in COMPONENTS if not (folder / name).is_dir()]
        if missing:
            raise UserError(
                f"{folder}: not a Stable Diffusion model in diffusers' format ({', '.join(missing)} missing)"
            )
        options: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}
        light: dict[str, Any] = {"torch_dtype": dtype, "low_cpu_mem_usage": False}  # or diffusers requires accelerate
        try:
            unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", **options, **light).to(device)
            vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", **options, **light).to(device)
            text_encoder = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", **options).to(device, dtype)
            tokenizer = CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer", local_files_only=True)
            scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler", local_files_only=True)
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: cannot be loaded: {error}") from error
        if (kind := scheduler.config.prediction_type) not in PREDICTIONS:
            raise UserError(f"{folder}: its UNet predicts {kind!r}; one of {', '.join(PREDICTIONS)} expected")
        for network in (unet, vae, text_encoder):
            network.eval().requires_grad_(False)
        return cls(unet, vae, text_encoder, tokenizer, scheduler, device)

    @property
    def dtype(self) -> torch.dtype:
        """The precision that the networks run in."""
        dtype: torch.dtype = self.unet.dtype
        return dtype

    def latents_of(self, images: Sequence[Pixels]) -> Tensor:
        """Scaled latents [B, C, h, w] in float32 of images of one size: the distribution's mean, not a sample."""
        pixels_BHW3 = torch.from_numpy(np.stack(images)).to(self.device, self.dtype)
        encoded = self.vae.encode(pixels_BHW3.permute(0, 3, 1, 2) / 127.5 - 1)
        latents: Tensor = encoded.latent_dist.mean.float() * self.vae.config.scaling_factor
        return latents

    def image_of(self, latents: Tensor) -> Pixels:
        """The image of latents [1, C, h, w]."""
        pixels_3HW = self.vae.decode(latents.to(self.dtype) / self.vae.config.scaling_factor).sample[0].float()
        return np.asarray(((pixels_3HW.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().cpu())

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Text features [B, L, D]; longer texts are cut."""
        tokens = self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self.context_length, return_tensors="pt"
        )
        features: Tensor = self.text_encoder(tokens.input_ids.to(self.device))[0]
        return features

    @property
    def context_length(self) -> int:
        """Tokens per text."""
        return int(self.text_encoder.config.max_position_embeddings)

    def noise(self, latents: Tensor, timestep: Tensor | int, text_BLD: Tensor) -> Tensor:
        """The noise that the UNet sees in latents, whether it was trained to predict noise or velocity."""
        predicted = self.unet(latents.to(self.dtype), timestep, encoder_hidden_states=text_BLD).sample.to(latents.dtype)
        if self.scheduler.config.prediction_type == "epsilon":
            return torch.as_tensor(predicted)
        level = float(self.scheduler.alphas_cumprod[int(timestep)])
        return torch.as_tensor(level**0.5 * predicted + (1 - level) ** 0.5 * latents)
