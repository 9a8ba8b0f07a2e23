"""Enlargement before an edit."""

from pathlib import Path

import numpy as np
import pytest

from personsearch.augmentation.pdg.config import ProximityConfig
from personsearch.augmentation.pdg.stage import make_super_resolution
from personsearch.augmentation.pdg.super_resolution import DiffusionUpscaler, Lanczos, NoEnlargement
from personsearch.errors import UserError

from .pedestrian import draw
from .tiny_diffusion import make_text_encoder, make_unet, write_tokenizer


def test_the_settings_choose() -> None:
    assert make_super_resolution(ProximityConfig()) == NoEnlargement()
    assert make_super_resolution(ProximityConfig(super_resolution="lanczos")) == Lanczos()
    named = ProximityConfig(super_resolution=Path("models/upscaler"))
    assert isinstance(make_super_resolution(named), DiffusionUpscaler)
    assert named.runs_a_network


def test_lanczos_is_four_times_as_large_and_the_same_picture() -> None:
    picture = draw()
    large = Lanczos().enlarge(picture, "")
    assert large.shape == (640, 320, 3)
    assert np.abs(large[2::4, 2::4].astype(int) - picture).mean() < 3


def test_a_diffusers_pipeline_enlarges(tmp_path: Path) -> None:
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, StableDiffusionUpscalePipeline
    from transformers import CLIPTokenizer

    torch.manual_seed(0)
    write_tokenizer(tmp_path / "tokenizer")
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8), layers_per_block=1, norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
    )  # fmt: skip
    StableDiffusionUpscalePipeline(
        vae=vae,
        text_encoder=make_text_encoder(tmp_path / "tokenizer"),
        tokenizer=CLIPTokenizer.from_pretrained(tmp_path / "tokenizer"),
        unet=make_unet(in_channels=7, num_class_embeds=1000),
        low_res_scheduler=DDPMScheduler(),
        scheduler=DDIMScheduler(clip_sample=False),
    ).save_pretrained(tmp_path / "upscaler", safe_serialization=True)
    upscaler = DiffusionUpscaler(tmp_path / "upscaler", steps=2, device="cpu", seed=0)
    picture = draw()[::5, ::5][:32, :16]
    large = upscaler.enlarge(picture, "a red jacket")
    assert large.shape == (128, 64, 3)
    np.testing.assert_array_equal(large, upscaler.enlarge(picture, "a red jacket"))


def test_a_folder_without_a_pipeline_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no diffusers upscaling pipeline"):
        DiffusionUpscaler(tmp_path, steps=1, device="cpu", seed=0).enlarge(draw(), "")
