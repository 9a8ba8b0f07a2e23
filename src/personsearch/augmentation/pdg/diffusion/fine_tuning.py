"""Fine-tunes the UNet of the user's Stable Diffusion on images of people from surveillance cameras.

Each step's batch, noise and times follow from (seed, step), so a killed run resumes and reaches the same weights.
UNet and optimiser are saved in one file, which is either whole or absent.

Shapes: B pairs; latents [B, C, h, w].
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from personsearch.augmentation.pdg.diffusion.model import COMPONENTS, DiffusionModel
from personsearch.augmentation.pdg.generator import Pixels
from personsearch.config import Config
from personsearch.data.dataset import Dataset
from personsearch.data.output_folder import input_key
from personsearch.data.records import ImageRecord
from personsearch.data.shards import picture
from personsearch.errors import UserError
from personsearch.files import hash_folder, replacing
from personsearch.images import open_image
from personsearch.models.device import choose_device
from personsearch.progress import track
from personsearch.run_record import write_run_record

CHECKPOINT = "checkpoint.safetensors"
UNET, OPTIMISER, RUN = "unet.", "optimiser.", "run"
LARGEST_GRADIENT = 1.0


class FineTuneConfig(Config):
    """How a Stable Diffusion model is fine-tuned on a data set's captions."""

    model: Path
    """Folder of the pipeline to start from, in diffusers' layout."""

    height: int = Field(512, ge=8)
    """Height of the training images in pixels."""

    width: int = Field(256, ge=8)
    """Width of the training images in pixels."""

    steps: int = Field(10_000, ge=1)
    """Optimiser steps."""

    batch_size: int = Field(8, ge=1)
    """Pairs per step."""

    learning_rate: float = Field(1e-5, gt=0)
    """AdamW's learning rate, constant."""

    weight_decay: float = Field(1e-2, ge=0)
    """AdamW's weight decay."""

    caption_dropout: float = Field(0.1, ge=0, lt=1)
    """Share of pairs trained without their caption; classifier-free guidance needs some."""

    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass, which takes less memory and more time."""

    checkpoint_every: int = Field(500, ge=1)
    """Steps between checkpoints."""

    seed: int = Field(0, ge=0)
    """Seed of batches, noise and caption dropout."""

    device: str = "auto"
    """`auto` (a GPU if there is one, else the CPU), `cpu`, `cuda` or `cuda:<number>`."""


def fine_tune(config: FineTuneConfig, dataset: Path, out_dir: Path) -> dict[str, float]:
    """Train the UNet on the train pairs of `dataset` and write a complete model folder to `out_dir`.

    Raises:
        UserError: no train images, no model in `config.model`, or an `out_dir` that holds another run.
    """
    settings = config.model_dump(mode="json", exclude={"device", "checkpoint_every", "model"})
    data = Dataset.open(dataset)
    key = input_key(settings, data.hash, hash_folder(config.model))
    records = data.records("train")
    if not records:
        raise UserError(f"{dataset}: no train images")
    model = DiffusionModel.from_folder(config.model, choose_device(config.device))
    model.unet.requires_grad_(True).train()
    if config.gradient_checkpointing:
        model.unet.enable_gradient_checkpointing()
    optimiser = torch.optim.AdamW(
        model.unet.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, foreach=False
    )
    done = load_checkpoint(out_dir / CHECKPOINT, key, model, optimiser)
    losses = []
    for step in track(range(done, config.steps), "fine-tune diffusion"):
        images, captions = _batch(config, dataset, records, step)
        loss = _loss(model, images, captions, torch.Generator().manual_seed((config.seed << 32) + step))
        _step(model, optimiser, loss)
        losses.append(float(loss.detach()))
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
            save_checkpoint(out_dir / CHECKPOINT, key, step + 1, model, optimiser)
    _write_model(config.model, out_dir, model)
    metrics: dict[str, float] = {"steps": config.steps, "images": len(records)}
    if losses:
        metrics["loss"] = float(np.mean(losses[-100:]))
        write_run_record(out_dir, "fine-tune-diffusion", config, metrics, {"input": key})
    return metrics


def _loss(
    model: DiffusionModel, images: Sequence[Pixels], captions: Sequence[str], generator: torch.Generator
) -> Tensor:
    """The UNet's error in predicting the noise added to the images (Ho, Jain and Abbeel 2020, equation 14)."""
    with torch.no_grad():
        clean, text_BLD = model.latents_of(images), model.embed(captions)
    noise = torch.randn(clean.shape, generator=generator).to(clean)
    times_B = torch.randint(model.scheduler.config.num_train_timesteps, (len(images),), generator=generator)
    times_B = times_B.to(model.device)
    noisy = model.scheduler.add_noise(clean, noise, times_B)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda"):
        predicted = model.unet(noisy, times_B, encoder_hidden_states=text_BLD).sample
    return functional.mse_loss(predicted.float(), _target(model, clean, noise, times_B))


def _step(model: DiffusionModel, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.unet.parameters(), LARGEST_GRADIENT)
    optimiser.step()


def _target(model: DiffusionModel, clean: Tensor, noise: Tensor, times_B: Tensor) -> Tensor:
    """What the UNet should predict: the noise, or the velocity if it was trained for that."""
    if model.scheduler.config.prediction_type == "epsilon":
        return noise
    velocity: Tensor = model.scheduler.get_velocity(clean, noise, times_B)
    return velocity


def _batch(
    config: FineTuneConfig, dataset: Path, records: Sequence[ImageRecord], step: int
) -> tuple[list[Pixels], list[str]]:
    """The images [H, W, 3] and captions of this step."""
    generator = np.random.default_rng([config.seed, step])
    chosen = [records[int(index)] for index in generator.integers(len(records), size=config.batch_size)]
    size = (config.width, config.height)
    images = [
        cv2.resize(np.asarray(open_image(picture(dataset, record.path))), size, interpolation=cv2.INTER_CUBIC)
        for record in chosen
    ]
    captions = [record.captions[int(generator.integers(len(record.captions)))] for record in chosen]
    shown = generator.random(config.batch_size) >= config.caption_dropout
    return images, [caption if kept else "" for caption, kept in zip(captions, shown, strict=True)]


def _write_model(source: Path, out_dir: Path, model: DiffusionModel) -> None:
    """Write a folder like `source` with the trained UNet."""
    for name in COMPONENTS:
        if name != "unet":
            shutil.copytree(source / name, out_dir / name, dirs_exist_ok=True)
    if (source / "model_index.json").is_file():
        shutil.copyfile(source / "model_index.json", out_dir / "model_index.json")
    model.unet.eval().save_pretrained(out_dir / "unet", safe_serialization=True)


def save_checkpoint(path: Path, key: str, step: int, model: DiffusionModel, optimiser: torch.optim.Optimizer) -> None:
    """Write the state of the run `key` after this many steps."""
    tensors = {f"{UNET}{name}": value for name, value in model.unet.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"{OPTIMISER}{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    with replacing(path) as temporary:
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata={RUN: json.dumps({"key": key, "step": step})})


def load_checkpoint(path: Path, key: str, model: DiffusionModel, optimiser: torch.optim.Optimizer) -> int:
    """Load a checkpoint, if there is one, into UNet and optimiser; returns its number of steps.

    Raises:
        UserError: the file is not a checkpoint, or belongs to another run.
    """
    if not path.is_file():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            run = json.loads(file.metadata()[RUN])
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: not a checkpoint: {error}; remove it to start again") from error
    if run["key"] != key:
        raise UserError(f"{path}: belongs to other settings or data; choose another folder")
    model.unet.load_state_dict({name.removeprefix(UNET): t for name, t in tensors.items() if name.startswith(UNET)})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(OPTIMISER):
            index, entry = name.removeprefix(OPTIMISER).split(".", 1)
            state.setdefault(int(index), {})[entry] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(run["step"])
