"""Saves and loads the state of a run: one safetensors file, written atomically, with the progress as JSON metadata.

Frozen parameters are left out: building the model restores them, and the checkpoint of a few trained modules over a
large frozen model stays small.

No random state is stored: each step seeds its own from (seed, step), and batches follow from (seed, epoch, step).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from personsearch.errors import UserError
from personsearch.files import replacing
from personsearch.models.encoder import PersonEncoder
from personsearch.training.objective import Objective

LAST, BEST = "last.safetensors", "best.safetensors"
PROGRESS = "progress"
MODEL, OBJECTIVE, OPTIMISER = "model.", "objective.", "optimiser."


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Where a run stands: steps done, best validation R@1, its mAP and epoch, and the fp16 loss scale.

    `identity` is the hash of the configuration and data set that the state belongs to.
    """

    identity: str
    step: int = 0
    best_score: float = -1.0
    best_map: float = -1.0
    best_epoch: int = -1
    loss_scale: float | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """Everything that training changes and a checkpoint must hold."""

    model: PersonEncoder
    objective: Objective
    optimiser: Optimizer


def save_checkpoint(path: Path, trained: Trained, progress: RunProgress) -> None:
    """Replace the previous checkpoint with the current model, objective, optimiser and progress."""
    tensors = _above(_changing(trained.model), MODEL) | _above(trained.objective.state_dict(), OBJECTIVE)
    # safetensors holds a flat map of tensors only, so the optimiser's nested state becomes dotted names.
    for index, state in trained.optimiser.state_dict()["state"].items():
        tensors |= {f"{OPTIMISER}{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    _save(path, tensors, {PROGRESS: json.dumps(asdict(progress))})


def load_checkpoint(path: Path, trained: Trained) -> RunProgress:
    """Restore a checkpoint's state; returns its progress.

    Raises:
        UserError: the file is not a checkpoint.
    """
    tensors, metadata = _load(path)
    _put(trained.model, _below(tensors, MODEL))
    trained.objective.load_state_dict(_below(tensors, OBJECTIVE))
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _below(tensors, OPTIMISER).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    # The groups follow from the configuration, whose hash `identity` holds; the loop sets their rate at each step.
    trained.optimiser.load_state_dict({"state": state, "param_groups": trained.optimiser.state_dict()["param_groups"]})
    return RunProgress(**json.loads(metadata[PROGRESS]))


def save_weights(path: Path, model: PersonEncoder, dtype: torch.dtype = torch.float32) -> None:
    """Write all weights of the model under the names that a bundle uses."""
    state = model.named_weights()
    _save(path, {name: v.to(dtype) if v.is_floating_point() else v for name, v in state.items()}, {"format": "pt"})


def save_trained_weights(path: Path, model: PersonEncoder) -> None:
    """Write the weights that training changes."""
    _save(path, _changing(model), {"format": "pt"})


def load_trained_weights(path: Path, model: PersonEncoder) -> None:
    """Load what `save_trained_weights` wrote into the model that training started from."""
    _put(model, _load(path)[0])


def _changing(model: PersonEncoder) -> dict[str, Tensor]:
    frozen = {name for name, parameter in model.named_parts() if not parameter.requires_grad}
    return {name: value for name, value in model.named_weights().items() if name not in frozen}


def _put(model: PersonEncoder, changed: dict[str, Tensor]) -> None:
    model.load_named_weights({name: value.detach() for name, value in model.named_weights().items()} | changed)


def _save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(contiguous, temporary, metadata=metadata)


def _load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: not a checkpoint: {error}; remove it to start again") from error


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _above(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in tensors.items()}
