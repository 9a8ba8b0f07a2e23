"""Editing by diffusion, end to end on random weights: what must hold whatever the weights are."""

from pathlib import Path

import numpy as np
import pytest
import torch

from personsearch.augmentation.augment import AugmentConfig, augment
from personsearch.augmentation.pdg.colours import cloth_named
from personsearch.augmentation.pdg.config import DiffusionConfig, ProximityConfig
from personsearch.augmentation.pdg.diffusion.attention import Alignment, AttentionControl, ControlledAttention, align
from personsearch.augmentation.pdg.diffusion.editor import DiffusionEditor, ddim_steps, invert, move
from personsearch.augmentation.pdg.diffusion.model import DiffusionModel
from personsearch.augmentation.pdg.generator import Change, GenerationRefused
from personsearch.data.records import ImageRecord, write_manifest
from personsearch.errors import UserError

from .pedestrian import draw
from .tiny_diffusion import CONTEXT, make_tiny_diffusion

CPU = torch.device("cpu")
OLD, NEW = "a red jacket", "a blue jacket"
CHANGE = Change("upper", "jacket", "red", cloth_named("red"), "blue", NEW)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_diffusion(tmp_path_factory.mktemp("diffusion"))


@pytest.fixture(scope="module")
def model(folder: Path) -> DiffusionModel:
    return DiffusionModel.from_folder(folder, CPU)


def settings(folder: Path, **more: object) -> DiffusionConfig:
    return DiffusionConfig.model_validate(
        {"model": folder, "height": 64, "width": 32, "steps": 3, "device": "cpu"} | more
    )


def test_words_are_matched_and_a_changed_one_is_spread(model: DiffusionModel) -> None:
    """Tokens: start a red jacket end, and start a b l u e jacket end."""
    alignment = align(model.tokenizer, OLD, NEW, "jacket", CONTEXT)
    assert alignment.old_phrase == (2, 3)
    assert alignment.new_phrase == (2, 3, 4, 5, 6)
    assert alignment.mapper_ST.argmax(dim=0)[:8].tolist() == [0, 1, 2, 2, 2, 2, 3, 4]
    assert torch.equal(alignment.mapper_ST.sum(dim=0), torch.ones(CONTEXT))


def test_several_tokens_share_their_weight(model: DiffusionModel) -> None:
    mapper = align(model.tokenizer, NEW, OLD, "jacket", CONTEXT).mapper_ST
    assert mapper[:, 2].nonzero()[:, 0].tolist() == [2, 3, 4, 5]
    assert mapper[2, 2] == 0.25


def test_a_phrase_beyond_the_context_is_refused(folder: Path) -> None:
    change = Change("upper", "jacket", "red", ("red",), "blue", "a man of whom much is said in a blue jacket")
    with pytest.raises(GenerationRefused, match="phrase-beyond-context"):
        DiffusionEditor(settings(folder)).generate(draw(), "a man of whom much is said in a red jacket", change)


def test_each_step_to_noise_is_undone_by_the_noise_it_saw(model: DiffusionModel) -> None:
    steps, text = ddim_steps(model.scheduler, 50), model.embed([OLD])
    assert len(steps) == 50
    assert list(steps.alphas) == sorted(steps.alphas, reverse=True)
    with torch.inference_mode():
        way = invert(model, model.latents_of([draw()[::5, ::5]]), text, steps)
        for index, timestep in enumerate(steps.timesteps):
            noise = model.noise(way[index], timestep, text)
            back = move(way[index + 1], noise, steps.alphas[index + 1], steps.alphas[index])
            torch.testing.assert_close(back, way[index], atol=1e-4, rtol=1e-3)
    assert len(way) == 51


def test_velocity_is_read_as_noise(tmp_path: Path) -> None:
    """V = √ᾱ ε − √(1−ᾱ) x, so the clean image is √ᾱ z − √(1−ᾱ) v (Salimans and Ho 2022)."""
    model = DiffusionModel.from_folder(make_tiny_diffusion(tmp_path, prediction_type="v_prediction"), CPU)
    noisy = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    level, text = float(model.scheduler.alphas_cumprod[400]), model.embed([OLD])
    with torch.inference_mode():
        velocity = model.unet(noisy, 400, encoder_hidden_states=text).sample
        clean = move(noisy, model.noise(noisy, 400, text), level, 1.0)
    torch.testing.assert_close(clean, level**0.5 * noisy - (1 - level) ** 0.5 * velocity, atol=1e-4, rtol=1e-4)


def test_moving_along_the_true_noise_is_exact() -> None:
    clean, noise = torch.randn(2, 1, 4, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    noisy = move(clean, noise, 1.0, 0.3)
    torch.testing.assert_close(noisy, 0.3**0.5 * clean + 0.7**0.5 * noise)
    torch.testing.assert_close(move(noisy, noise, 0.3, 1.0), clean)


def control(cross: float = 0.8, self_replace: float = 0.4) -> AttentionControl:
    alignment = Alignment(torch.eye(4), (1,), (1, 2))
    return AttentionControl(alignment, (8, 4), cross, self_replace, 0.3)


def test_attention_is_replaced_for_the_edited_image_alone() -> None:
    attention = torch.rand(3, 2, 8, 4, generator=torch.Generator().manual_seed(0)).softmax(-1)
    mapper = torch.tensor([[1.0, 0, 0, 0], [0, 0.5, 0, 0], [0, 0.5, 1, 0], [0, 0, 0, 1]])
    edit = AttentionControl(Alignment(mapper, (1,), (1,)), (8, 4), 0.8, 0.4, 0.3)
    changed = edit.change(attention, is_cross=True)
    torch.testing.assert_close(changed[:2], attention[:2])
    torch.testing.assert_close(changed[2, ..., 1], (attention[1, ..., 1] + attention[1, ..., 2]) / 2)
    edit.done = 0.8
    assert edit.change(attention, is_cross=True) is attention


def test_self_attention_is_shared_in_coarse_layers_at_first() -> None:
    edit = control()
    assert edit.needs(8, is_cross=False)
    assert not edit.needs(16, is_cross=False)
    attention = torch.rand(3, 2, 8, 8)
    torch.testing.assert_close(edit.change(attention, is_cross=False)[2], attention[1])
    edit.done = 0.4
    assert not edit.needs(8, is_cross=False)


def test_the_mask_is_where_the_phrase_is_seen() -> None:
    """Eight positions of 4×2 over latents of 8×4; both captions look at the lower right one."""
    edit = control()
    attention = torch.full((3, 1, 8, 4), 0.01)
    attention[1, 0, 7, 1] = attention[2, 0, 7, 2] = 1.0
    edit.change(attention, is_cross=True)
    assert edit.mask() is None
    edit.done = 0.5
    mask = edit.mask()
    assert mask is not None
    assert mask.shape == (1, 1, 8, 4)
    assert mask[0, 0, 5:, 2:].all()
    assert not mask[0, 0, :2].any()


def test_the_processor_computes_what_diffusers_does(model: DiffusionModel) -> None:
    """With nothing to replace, controlled attention is plain attention."""
    latents, text = torch.randn(3, 4, 32, 16, generator=torch.Generator().manual_seed(0)), model.embed(["", OLD, NEW])
    alignment = align(model.tokenizer, OLD, NEW, "jacket", CONTEXT)
    original = model.unet.attn_processors
    with torch.inference_mode():
        plain = model.noise(latents, 500, text)
        model.unet.set_attn_processor(ControlledAttention(AttentionControl(alignment, (32, 16), 0, 0, 0.3)))
        controlled = model.noise(latents, 500, text)
    model.unet.set_attn_processor(original)
    torch.testing.assert_close(plain, controlled, atol=1e-5, rtol=1e-4)


def test_an_edit_keeps_the_size_is_repeatable_and_leaves_the_model_as_it_was(folder: Path) -> None:
    editor, image = DiffusionEditor(settings(folder)), draw()
    first = editor.generate(image, OLD, CHANGE)
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert (first != image).any()
    np.testing.assert_array_equal(first, editor.generate(image, OLD, CHANGE))


def test_outside_the_mask_the_image_is_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lower_half(self: AttentionControl) -> torch.Tensor:
        mask = torch.zeros(1, 1, *self.latent_size, dtype=torch.bool)
        mask[..., self.latent_size[0] // 2 :, :] = True
        return mask

    monkeypatch.setattr(AttentionControl, "mask", lower_half)
    image = draw()
    edited = DiffusionEditor(settings(folder)).generate(image, OLD, CHANGE)
    np.testing.assert_array_equal(edited[:70], image[:70])
    assert (edited[90:] != image[90:]).any()


def test_a_damaged_folder_is_one_line(folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "unet/diffusion_pytorch_model.safetensors").rename(copy / "unet/diffusion_pytorch_model.bin")
    with pytest.raises(UserError, match="cannot be loaded"):
        DiffusionModel.from_folder(copy, CPU)


def test_the_stage_takes_either_generator(folder: Path, tmp_path: Path) -> None:
    """Random weights paint no jacket blue: the filter refuses each attempt, with a reason."""
    from PIL import Image

    prepared = tmp_path / "prepared"
    (prepared / "images").mkdir(parents=True)
    Image.fromarray(draw()).save(prepared / "images/1.png")
    write_manifest(prepared, [ImageRecord("1", "images/1.png", 1, "train", [OLD], "drawn")])
    config = ProximityConfig(
        generator="diffusion", diffusion=settings(folder), super_resolution="lanczos", cache=tmp_path / "cache"
    )
    metrics = augment(AugmentConfig(proximity=config), prepared, tmp_path / "out")
    assert metrics["proximity_accepted"] + metrics["proximity_refused"] == 1
    assert len(list((tmp_path / "cache").rglob("*.*"))) == 1
