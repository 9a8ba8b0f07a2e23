"""The whole state of a run in one file that is either whole or absent: tensors, with the rest as JSON beside them.

No random state is stored: each step seeds its own from (seed, step), and batches follow from (seed, epoch, step).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from personsearch.errors import UserError
from personsearch.files import replacing
from personsearch.models.clip import DualEncoder

LAST, BEST = "last.safetensors", "best.safetensors"
PROGRESS = "progress"
MODEL, OPTIMISER = "model.", "optimiser."


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Where a run stands: steps done, the best validation so far and how long ago, what was scaled and by what.

    `identity` is the hash of configuration and data set that the state belongs to.
    """

    identity: str
    step: int = 0
    best_score: float = -1.0
    best_epoch: int = -1
    loss_scale: float | None = None


def save_checkpoint(path: Path, model: DualEncoder, optimiser: Optimizer, progress: RunProgress) -> None:
    """Write model, optimiser and progress over the previous checkpoint."""
    tensors = {f"{MODEL}{name}": value for name, value in model.clip.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"{OPTIMISER}{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    _save(path, tensors, {PROGRESS: json.dumps(asdict(progress))})


def load_checkpoint(path: Path, model: DualEncoder, optimiser: Optimizer) -> RunProgress:
    """Put a checkpoint's state into model and optimiser; returns the progress.

    Raises:
        UserError: the file is no checkpoint.
    """
    tensors, metadata = _load(path)
    model.clip.load_state_dict(_below(tensors, MODEL))
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _below(tensors, OPTIMISER).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return RunProgress(**json.loads(metadata[PROGRESS]))


def read_progress(path: Path) -> RunProgress:
    """Only the progress of a checkpoint."""
    return RunProgress(**json.loads(_load(path)[1][PROGRESS]))


def save_weights(path: Path, model: DualEncoder, dtype: torch.dtype = torch.float32) -> None:
    """Write the model's weights in open_clip's names."""
    state = model.clip.state_dict()
    _save(path, {name: v.to(dtype) if v.is_floating_point() else v for name, v in state.items()}, {"format": "pt"})


def load_model_weights(path: Path, model: DualEncoder) -> None:
    model.clip.load_state_dict(_load(path)[0])


def _save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(contiguous, temporary, metadata=metadata)


def _load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: not a checkpoint: {error}; remove it to start anew") from error


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
