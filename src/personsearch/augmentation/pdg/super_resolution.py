"""Enlarges a crop before it is edited."""

from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from PIL import Image

from personsearch.augmentation.pdg.generator import Pixels
from personsearch.errors import UserError

FACTOR = 4


class SuperResolution(Protocol):
    """Enlarges an image [H, W, 3]; the caption describes it."""

    def enlarge(self, image: Pixels, caption: str) -> Pixels: ...


@dataclass(frozen=True, slots=True)
class NoEnlargement:
    """Leaves the image as it is."""

    def enlarge(self, image: Pixels, caption: str) -> Pixels:
        """The same image."""
        return image


@dataclass(frozen=True, slots=True)
class Lanczos:
    """Enlarges FACTOR times by Lanczos interpolation, which adds no detail but leaves room for an edit's."""

    def enlarge(self, image: Pixels, caption: str) -> Pixels:
        """The image at FACTOR times its size."""
        enlarged = cv2.resize(image, None, fx=FACTOR, fy=FACTOR, interpolation=cv2.INTER_LANCZOS4)
        return np.asarray(enlarged, np.uint8)


@dataclass(slots=True)
class DiffusionUpscaler:
    """Enlarges with a diffusers upscaling pipeline from a local folder."""

    folder: Path
    steps: int
    device: str
    seed: int
    _pipeline: Any = field(default=None, repr=False)

    def enlarge(self, image: Pixels, caption: str) -> Pixels:
        """The image at the size that the pipeline returns.

        Raises:
            UserError: the folder holds no such pipeline.
        """
        import torch

        self._pipeline = self._pipeline or self._load()
        arguments = {"image": Image.fromarray(image), "num_inference_steps": self.steps}
        if "prompt" in signature(self._pipeline.__call__).parameters:
            arguments["prompt"] = caption
        generator = torch.Generator().manual_seed(self.seed)
        return np.asarray(self._pipeline(**arguments, generator=generator).images[0].convert("RGB"))

    def _load(self) -> Any:
        from diffusers import DiffusionPipeline

        try:
            pipeline = DiffusionPipeline.from_pretrained(
                self.folder, use_safetensors=True, local_files_only=True, safety_checker=None
            )
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{self.folder}: no diffusers upscaling pipeline in safetensors: {error}") from error
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(self.device)
