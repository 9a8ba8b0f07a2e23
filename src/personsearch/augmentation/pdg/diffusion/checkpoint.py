"""Where a fine-tuning stands: UNet and optimiser in one file that is either whole or absent."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from personsearch.augmentation.pdg.diffusion.model import DiffusionModel
from personsearch.errors import UserError
from personsearch.files import replacing

UNET, OPTIMISER, RUN = "unet.", "optimiser.", "run"


def save_checkpoint(path: Path, key: str, step: int, model: DiffusionModel, optimiser: torch.optim.Optimizer) -> None:
    """Write the state after so many steps of the run that `key` names."""
    tensors = {f"{UNET}{name}": value for name, value in model.unet.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"{OPTIMISER}{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    with replacing(path) as temporary:
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata={RUN: json.dumps({"key": key, "step": step})})


def load_checkpoint(path: Path, key: str, model: DiffusionModel, optimiser: torch.optim.Optimizer) -> int:
    """Put a checkpoint's state, if there is one, into UNet and optimiser; returns the steps that it has seen.

    Raises:
        UserError: the file is no checkpoint, or another run's.
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
