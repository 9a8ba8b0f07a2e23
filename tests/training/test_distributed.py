"""A whole training in two processes, as `torchrun` starts them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from personsearch.training.recipe import read_recipe
from personsearch.training.train import train
from tests.servers.starting import free_port

SCRIPT = """
import sys
from pathlib import Path
from personsearch.training.recipe import read_recipe
from personsearch.training.train import train
train(read_recipe(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]))
"""


def run_in_two(recipe: Path, dataset: Path, out_dir: Path) -> list[int]:
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(recipe), str(dataset), str(out_dir)]
    processes = [subprocess.Popen(command, env=os.environ | common | {"RANK": rank}) for rank in ("0", "1")]
    return [process.wait(timeout=250) for process in processes]


def test_two_processes_reach_the_weights_of_one(trainable: Path, recipe: Callable[..., Path], tmp_path: Path) -> None:
    # Attention's key biases have no gradient but rounding, which Adam with its usual eps would make steps of.
    path = recipe(epochs=2, optimiser={"lr": 3e-3, "eps": 1e-4})
    values = path.read_text().replace("  weights: random", "  weights: random\n  text_attention_dropout: 0.0")
    path.write_text(values)
    assert read_recipe(path).model.text_attention_dropout == 0
    whole = train(read_recipe(path), trainable, tmp_path / "one")
    assert run_in_two(path, trainable, tmp_path / "two") == [0, 0]
    one, two = (load_file(tmp_path / run / "bundle" / "weights.safetensors") for run in ("one", "two"))
    for name, value in one.items():
        assert torch.allclose(two[name], value, atol=1e-3), name
    repeated = train(read_recipe(path), trainable, tmp_path / "two")
    assert repeated["val_map"] == pytest.approx(whole["val_map"], abs=5)
