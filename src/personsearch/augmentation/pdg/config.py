"""The settings of proximity data generation, and the generator and the enlargement that they name."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from personsearch.augmentation.pdg.generator import Generator
from personsearch.augmentation.pdg.recolour import ALGORITHM, Recolour
from personsearch.augmentation.pdg.super_resolution import DiffusionUpscaler, Lanczos, NoEnlargement, SuperResolution
from personsearch.config import Config
from personsearch.files import hash_folder


class DiffusionConfig(Config):
    """How a Stable Diffusion folder edits: METHODS' numbers by default.

    `height`, `width` is the size it works at; `cross_replace`, `self_replace` are the shares of the steps in which
    the edited image takes the real one's attention; `blend_threshold` the share of the strongest attention from which a
    place belongs to the changed phrase.
    """

    model: Path
    height: int = Field(512, ge=8)
    width: int = Field(256, ge=8)
    steps: int = Field(50, ge=1)
    guidance: float = Field(7.5, ge=1)
    cross_replace: float = Field(0.8, ge=0, le=1)
    self_replace: float = Field(0.4, ge=0, le=1)
    blend_threshold: float = Field(0.3, gt=0, lt=1)
    device: str = "auto"


class ProximityConfig(Config):
    """What is made of each train identity's images.

    `super_resolution` is none, lanczos or the folder of a diffusers upscaling pipeline; `judge` a model bundle that
    every pair must convince; `cache` the folder of finished attempts, by default in the user's cache folder.
    """

    generator: Literal["recolour", "diffusion"] = "recolour"
    diffusion: DiffusionConfig | None = None
    super_resolution: Literal["none", "lanczos"] | Path = "none"
    upscaling_steps: int = Field(50, ge=1)
    images_per_identity: int = Field(1, ge=1)
    attempts_per_identity: int = Field(6, ge=1)
    judge: Path | None = None
    seed: int = Field(0, ge=0)
    workers: int = Field(2, ge=1, le=64)
    cache: Path | None = None

    @model_validator(mode="after")
    def _diffusion_has_a_model(self) -> "ProximityConfig":
        if self.generator == "diffusion" and self.diffusion is None:
            raise ValueError("generator: diffusion needs diffusion.model, a folder in diffusers' format")
        return self

    @property
    def runs_a_network(self) -> bool:
        """Whether making an image needs torch; such work stays in one process."""
        return self.generator == "diffusion" or isinstance(self.super_resolution, Path)


def make_generator(config: ProximityConfig) -> Generator:
    """The generator that the settings name; its weights are loaded when it is first used."""
    if config.generator == "diffusion":
        from personsearch.augmentation.pdg.diffusion.editor import DiffusionEditor

        assert config.diffusion is not None
        return DiffusionEditor(config.diffusion)
    return Recolour()


def make_super_resolution(config: ProximityConfig) -> SuperResolution:
    """The enlargement that the settings name."""
    if isinstance(config.super_resolution, Path):
        device = config.diffusion.device if config.diffusion else "auto"
        return DiffusionUpscaler(config.super_resolution, config.upscaling_steps, device, config.seed)
    return Lanczos() if config.super_resolution == "lanczos" else NoEnlargement()


def identity_of(config: ProximityConfig) -> str:
    """What a made image depends on, apart from the image, the caption and the change: settings and weights."""
    settings = config.model_dump(mode="json", include={"generator", "super_resolution"})
    parts = [ALGORITHM, str(settings)]
    if config.runs_a_network:
        parts.append(str(config.model_dump(mode="json", include={"seed", "upscaling_steps"})))
    if isinstance(config.super_resolution, Path):
        parts.append(hash_folder(config.super_resolution))
    if config.generator == "diffusion" and config.diffusion is not None:
        parts += [str(config.diffusion.model_dump(exclude={"model", "device"})), hash_folder(config.diffusion.model)]
    return "\n".join(parts)
