"""Training on two nodes by a TrainJob reaches the weights of one process, although a node and the step are killed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import obstore
import pytest
import torch
from safetensors.torch import load_file

from personsearch.integrations.kubeflow.steps import CHECKPOINTS_VARIABLE
from personsearch.integrations.objects.folder import StoredFolder
from personsearch.training.config import TrainConfig
from personsearch.training.train import train
from tests.components.test_killed_training import CONFIG, ROOT, dataset, kept_files
from tests.servers.s3 import S3Server
from tests.servers.trainer import POD, Trainer, end, serving

__all__ = ["dataset"]
pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]  # a dozen processes that load torch, one after the other
STEADY = {"optimiser": {"lr": 3e-3, "eps": 1e-4}}  # with Adam's usual eps, rounding would become steps


RECIPE = CONFIG | STEADY | {"model": CONFIG["model"] | {"text_attention_dropout": 0.0}}


def start(dataset: Path, out: Path, checkpoints: str) -> subprocess.Popen[bytes]:
    """The training step, on two nodes."""
    config = dataset.parent / "config.json"
    config.write_text(json.dumps(RECIPE))
    command = [sys.executable, "-m", "tests.components.killed_training", str(dataset), str(out), str(config), "0", "2"]
    out.parent.mkdir()
    with Path(f"{out}.log").open("wb") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, cwd=ROOT, env=os.environ | {CHECKPOINTS_VARIABLE: checkpoints}
        )


def wait_for(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


def test_two_nodes_reach_the_weights_of_one_process(
    dataset: Path, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = f"{ROOT}:{ROOT / 'src'}"
    monkeypatch.setenv("PYTHONPATH", paths)
    whole, first, second = (tmp_path / name / "model" for name in ("whole", "first", "second"))
    train(TrainConfig.model_validate(RECIPE), dataset, whole)
    gate, address = tmp_path / "gate", s3.new_place()
    held = {"PYTHONPATH": f"{ROOT / 'tests/components/held'}:{paths}", "GATE": str(gate)}
    trainer = Trainer(tmp_path, held)
    monkeypatch.setenv("KUBECONFIG", str(trainer.configuration(tmp_path / "kubeconfig")))
    monkeypatch.setenv("KFP_POD_NAME", POD)

    def said() -> str:
        logs = [*tmp_path.glob("*/*.log"), *tmp_path.glob("node-*/log")]
        return "\n".join(f"{path}:\n{path.read_text()}" for path in logs)

    with serving(trainer):
        try:
            killed = start(dataset, first, address)
            wait_for(lambda: "checkpoints/last.safetensors" in kept_files(address), said)
            killed.kill()
            killed.wait()
            follower = start(dataset, second, address)
            wait_for(lambda: "which runs already" in Path(f"{second}.log").read_text(), said)
            end(trainer.nodes[0])
            wait_for(lambda: trainer.starts == 2, said)
            gate.touch()
            assert follower.wait(600) == 0, said()
        finally:
            trainer.stop()
    log = Path(f"{second}.log").read_text()
    assert "train: resuming at step" in log, "of the first node, by the mirror"
    assert log.count("created TrainJob") == 0
    assert trainer.jobs == {}, "what is complete is deleted"
    assert list(obstore.list(StoredFolder(address)._store)) == [], "nothing stays in the store"
    one, two = (load_file(out / "bundle/weights.safetensors") for out in (whole, second))
    for name, value in one.items():
        assert torch.allclose(two[name], value, atol=1e-3), name
