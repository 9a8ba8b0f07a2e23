"""Fine-tuning a diffusion model: it learns, and an interrupted run reaches the same weights."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from personsearch.augmentation.pdg.diffusion import fine_tuning
from personsearch.augmentation.pdg.diffusion.fine_tuning import CHECKPOINT, FineTuneConfig, fine_tune
from personsearch.augmentation.pdg.diffusion.model import DiffusionModel
from personsearch.data.records import ImageRecord, write_manifest
from personsearch.errors import UserError

from .pedestrian import draw
from .tiny_diffusion import make_tiny_diffusion

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_diffusion(tmp_path_factory.mktemp("diffusion"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "images").mkdir()
    Image.fromarray(draw()).save(folder / "images/1.png")
    write_manifest(folder, [ImageRecord("1", "images/1.png", 1, "train", ["a red jacket", "a man"], "drawn")])
    return folder


def config(folder: Path, **more: object) -> FineTuneConfig:
    values = {"model": folder, "height": 32, "width": 16, "steps": 4, "batch_size": 2, "device": "cpu"}
    return FineTuneConfig.model_validate(values | more)


def test_a_whole_model_is_written_and_only_the_unet_is_new(folder: Path, prepared: Path, tmp_path: Path) -> None:
    metrics = fine_tune(config(folder), prepared, tmp_path / "out")
    assert metrics["steps"] == 4
    assert 0 < metrics["loss"] < 10
    DiffusionModel.from_folder(tmp_path / "out", torch.device("cpu"))
    before, after = load_file(folder / UNET), load_file(tmp_path / "out" / UNET)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    vae = "vae/diffusion_pytorch_model.safetensors"
    assert (folder / vae).read_bytes() == (tmp_path / "out" / vae).read_bytes()


def test_an_interrupted_run_reaches_the_same_weights(
    folder: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine_tune(config(folder, gradient_checkpointing=True), prepared, tmp_path / "whole")
    take_step, taken = fine_tuning._step, []

    def stop_at_third(*arguments: object) -> None:
        if len(taken) == 2:
            raise KeyboardInterrupt
        taken.append(1)
        take_step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(fine_tuning, "_step", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(config(folder, checkpoint_every=2), prepared, tmp_path / "out")
    monkeypatch.undo()
    fine_tune(config(folder, checkpoint_every=2), prepared, tmp_path / "out")
    whole, resumed = load_file(tmp_path / "whole" / UNET), load_file(tmp_path / "out" / UNET)
    for name, value in whole.items():
        torch.testing.assert_close(value, resumed[name])


def test_the_loss_falls(folder: Path, prepared: Path, tmp_path: Path) -> None:
    """One picture can be learned by heart."""
    first = fine_tune(config(folder, steps=1, learning_rate=1e-8, batch_size=8), prepared, tmp_path / "first")["loss"]
    longer = config(folder, steps=15, learning_rate=2e-2, batch_size=8)
    assert fine_tune(longer, prepared, tmp_path / "later")["loss"] < 0.9 * first


def test_mistakes_are_one_line(folder: Path, prepared: Path, tmp_path: Path) -> None:
    fine_tune(config(folder, steps=1), prepared, tmp_path / "out")
    with pytest.raises(UserError, match="other settings or data"):
        fine_tune(config(folder, steps=2), prepared, tmp_path / "out")
    (tmp_path / "out" / CHECKPOINT).write_bytes(b"half")
    with pytest.raises(UserError, match="not a checkpoint"):
        fine_tune(config(folder, steps=1), prepared, tmp_path / "out")
    write_manifest(tmp_path, [ImageRecord("1", "images/1.png", 1, "test", ["a"], "drawn")])
    with pytest.raises(UserError, match="no train images"):
        fine_tune(config(folder), tmp_path, tmp_path / "new")
