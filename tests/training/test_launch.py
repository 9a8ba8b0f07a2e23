"""Training by `torchrun`, started from within one process as a step of a pipeline does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from personsearch.errors import UserError
from personsearch.training import launch
from personsearch.training.recipe import read_recipe
from personsearch.training.train import train


def test_two_processes_on_cpu_reach_the_weights_of_one(
    trainable: Path, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    # Attention's key biases have no gradient but rounding, which Adam with its usual eps would make steps of.
    path = recipe(epochs=2, optimiser={"lr": 3e-3, "eps": 1e-4})
    path.write_text(path.read_text().replace("  weights: random", "  weights: random\n  text_attention_dropout: 0.0"))
    config = read_recipe(path)
    assert config.model.text_attention_dropout == 0
    whole = train(config, trainable, tmp_path / "one")
    launch.train_in_processes(config, trainable, tmp_path / "two", 2)
    one, two = (load_file(tmp_path / run / "bundle" / "weights.safetensors") for run in ("one", "two"))
    for name, value in one.items():
        assert torch.allclose(two[name], value, atol=1e-3), name
    repeated = train(config, trainable, tmp_path / "two")
    assert repeated["val_map"] == pytest.approx(whole["val_map"], abs=5)


@pytest.mark.parametrize(
    ("device", "gpus", "processes"), [("auto", 4, 4), ("cuda", 2, 2), ("auto", 1, 1), ("auto", 0, 1), ("cuda:1", 4, 1)]
)
def test_there_is_a_process_for_each_gpu_where_none_is_named(
    recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, device: str, gpus: int, processes: int
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(launch, "train", lambda *given, callbacks=None: {"alone": float(callbacks is not None)})
    monkeypatch.setattr(launch, "train_in_processes", lambda *given: started.append(given[-1]))
    config = read_recipe(recipe()).model_copy(update={"device": device})
    metrics = launch.train_on_every_gpu(config, Path("data"), Path("out"), callbacks=list)
    assert (started or [1], metrics) == ([processes], {"alone": float(processes == 1)})


def test_a_batch_that_cannot_be_shared_out_is_refused(recipe: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="batch_size=16: a multiple of the 3 GPUs expected"):
        launch.train_in_processes(read_recipe(recipe()), tmp_path, tmp_path / "out", 3)


def test_a_process_that_fails_is_said(recipe: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="training in 2 processes failed; what they printed above says why"):
        launch.train_in_processes(read_recipe(recipe()), tmp_path / "nothing-there", tmp_path / "out", 2)
