"""Settings of proximity data generation."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from personsearch.augmentation.pdg.recolour import ALGORITHM
from personsearch.config import Config
from personsearch.files import hash_folder


class DiffusionConfig(Config):
    """How a Stable Diffusion model edits an image (docs/pdg.md)."""

    model: Path
    """Folder of a Stable Diffusion pipeline in diffusers' layout."""

    height: int = Field(512, ge=8)
    """Height in pixels at which the model works."""

    width: int = Field(256, ge=8)
    """Width in pixels at which the model works."""

    steps: int = Field(50, ge=1)
    """Denoising steps; fewer is faster and coarser."""

    guidance: float = Field(7.5, ge=1)
    """Weight of the caption (classifier-free guidance); 1 is no guidance."""

    cross_replace: float = Field(0.8, ge=0, le=1)
    """Share of the steps in which the edited image uses the real image's cross-attention (to words)."""

    self_replace: float = Field(0.4, ge=0, le=1)
    """Share of the steps in which the edited image uses the real image's self-attention."""

    blend_threshold: float = Field(0.3, gt=0, lt=1)
    """Where attention to the changed phrase is above this share of its maximum, the image is edited; nowhere else."""

    device: str = "auto"
    """`auto` (a GPU if there is one, else the CPU), `cpu`, `cuda` or `cuda:<number>`."""


class ProximityConfig(Config):
    """How images of train identities with a garment in another colour are made."""

    generator: Literal["recolour", "diffusion"] = "recolour"
    """`recolour` finds the garment and shifts its colour, without a model; `diffusion` edits with Stable Diffusion."""

    diffusion: DiffusionConfig | None = None
    """The diffusion model; required for generator `diffusion`."""

    super_resolution: Literal["none", "lanczos"] | Path = "none"
    """How images are enlarged before the edit: `none`, `lanczos`, or the folder of a diffusers upscaling pipeline."""

    upscaling_steps: int = Field(50, ge=1)
    """Denoising steps of an upscaling pipeline."""

    images_per_identity: int = Field(1, ge=1)
    """Images to make of each train identity."""

    attempts_per_identity: int = Field(6, ge=1)
    """Attempts per identity, after which it is given up."""

    judge: Path | None = None
    """A model bundle that judges each new image: it must score the new caption above the old one; null for no judge."""

    seed: int = Field(0, ge=0)
    """Seed of the choice of images and colours."""

    workers: int = Field(2, ge=1, le=64)
    """Processes of generator `recolour`; a diffusion model runs in one."""

    cache: Path | None = None
    """Folder in which attempts are cached; null for the user's cache folder."""

    @model_validator(mode="after")
    def _diffusion_has_a_model(self) -> "ProximityConfig":
        if self.generator == "diffusion" and self.diffusion is None:
            raise ValueError("generator: diffusion needs diffusion.model, a folder in diffusers' format")
        return self

    @property
    def runs_a_network(self) -> bool:
        """Whether making an image needs a neural network; such work stays in one process."""
        return self.generator == "diffusion" or isinstance(self.super_resolution, Path)


def identity_of(config: ProximityConfig) -> str:
    """What a generated image depends on besides the image, the caption and the change: settings and weights."""
    settings = config.model_dump(mode="json", include={"generator", "super_resolution"})
    parts = [ALGORITHM, str(settings)]
    if config.runs_a_network:
        parts.append(str(config.model_dump(mode="json", include={"seed", "upscaling_steps"})))
    if isinstance(config.super_resolution, Path):
        parts.append(hash_folder(config.super_resolution))
    if config.generator == "diffusion" and config.diffusion is not None:
        parts += [str(config.diffusion.model_dump(exclude={"model", "device"})), hash_folder(config.diffusion.model)]
    return "\n".join(parts)
