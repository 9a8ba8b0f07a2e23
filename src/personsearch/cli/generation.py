"""`personsearch data` commands that teach generators."""

from pathlib import Path
from typing import Annotated

import typer

from personsearch.cli import output
from personsearch.cli.data import data
from personsearch.cli.options import Dataset


def register(app: typer.Typer) -> None:
    """Add this group's commands to the group "data"."""
    data.command()(tune_diffusion)


def tune_diffusion(
    *,
    dataset: Dataset,
    model: Annotated[Path, typer.Option(help="Folder of a Stable Diffusion model: diffusers' format, safetensors.")],
    out: Annotated[Path, typer.Option(help="Folder to write a whole model to; an unfinished run in it is resumed.")],
    steps: Annotated[int, typer.Option(min=1, help="Steps of training.")] = 10_000,
    batch_size: Annotated[int, typer.Option(min=1, help="Pairs of a step.")] = 8,
    learning_rate: Annotated[float, typer.Option(help="Learning rate of AdamW.")] = 1e-5,
    height: Annotated[int, typer.Option(min=8, help="Height of the images in pixels.")] = 512,
    width: Annotated[int, typer.Option(min=8, help="Width of the images in pixels.")] = 256,
    gradient_checkpointing: Annotated[bool, typer.Option(help="Save memory, cost time.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same weights, interrupted or not.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or, for one of several, cuda:0.")] = "auto",
    as_json: output.JsonFlag = False,
) -> None:
    """Fine-tune your Stable Diffusion on the people of the train split, for proximity images (docs/pdg.md)."""
    from personsearch.augmentation.pdg.diffusion.fine_tuning import FineTuneConfig, fine_tune

    config = FineTuneConfig(
        model=model,
        height=height,
        width=width,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        gradient_checkpointing=gradient_checkpointing,
        seed=seed,
        device=device,
    )
    output.show(fine_tune(config, dataset, out), as_json=as_json)
