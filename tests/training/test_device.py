"""Training on another device than the CPU: one without numbers, which refuses to mix with the CPU and to be read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from personsearch.data.dataset import Dataset
from personsearch.models.encoder import text_lengths
from personsearch.training.distributed import local_device, process_group
from personsearch.training.objective import TOTAL, Objective
from personsearch.training.recipe import read_recipe
from personsearch.training.step import GradientStep, _random_state, _restore_random_state
from personsearch.training.train import make_run
from tests.training.small_models import SMALL_CLIP, SMALL_CTLG

RECIPES = Path(__file__).parents[2] / "recipes" / "paper"


@pytest.mark.parametrize(
    ("name", "model", "chunk_size"),
    [
        ("tbps-clip-simplified", SMALL_CLIP, None),
        ("tbps-clip", SMALL_CLIP, 8),
        ("cskt", SMALL_CLIP, None),
        ("ctlg", SMALL_CTLG, None),
    ],
)
def test_a_step_of_a_paper_recipe_never_waits_for_its_device(
    trainable: Path, tmp_path: Path, name: str, model: dict[str, Any], chunk_size: int | None
) -> None:
    """Each reading of a device's number would stop a GPU until all that was asked of it is done."""
    changes = [f"model.{key}={json.dumps(value)}" for key, value in model.items()]
    sizes = ["batch_size=16", f"chunk_size={chunk_size or 'null'}", f"cache={tmp_path / 'cache'}"]
    config = read_recipe(RECIPES / f"{name}.yaml", [*changes, *sizes])
    run = make_run(config, Dataset.open(trainable), tmp_path / "run", identity="", device=torch.device("meta"))
    model_there = run.model.train()
    objective = Objective(config.objective, model_there.embedding_dim).to("meta")

    losses = GradientStep(model_there, objective, config.chunk_size)(next(iter(run.source.epoch(0))), alpha=0.3)

    assert losses[TOTAL].device.type == "meta"
    trained = [value for value in model_there.parameters() if value.requires_grad]
    assert trained
    assert all(value.grad is not None for value in trained)


def test_that_device_refuses_to_be_read() -> None:
    """What the test above would miss if torch changed its mind."""
    ids_NL = torch.ones(2, 4, device="meta")
    for reading in (torch.Tensor.tolist, torch.Tensor.nonzero, lambda ids: bool(ids.any()), lambda ids: ids.cpu()):
        with pytest.raises((NotImplementedError, RuntimeError)):
            reading(ids_NL)
    with pytest.raises(RuntimeError):
        text_lengths(ids_NL) + torch.ones(2)


def test_a_process_works_on_its_own_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none here: what torch is asked for is all that can be seen."""
    current, restored = [], []
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.tensor([device.index]))
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda state, device: restored.append((state.item(), device.index))
    )
    device = local_device(torch.device("cuda"))
    with process_group(device):
        assert current == [torch.device("cuda", 1)]
        _restore_random_state(_random_state(device), device)
    assert restored == [(1, 1)]
    with process_group(torch.device("cpu")):
        assert len(current) == 1
