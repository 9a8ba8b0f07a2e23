"""One node of a TrainJob: `python -m personsearch.integrations.kubeflow.node PLACE RECIPE`.

Kubeflow's Trainer says by PET_… variables which of how many nodes this is, and `torchrun` reads them. The first node
keeps checkpoints in the store, and leaves the result there for the step that follows. A node whose step has not signed
the data set for an hour ends: its run was cancelled, and nobody deleted the TrainJob.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from types import FrameType

import yaml

from personsearch.errors import UserError
from personsearch.integrations.kubeflow.trainjobs import DATA
from personsearch.integrations.objects.folder import StoredFolder, kept

NODE_RANK = "PET_NODE_RANK"
ABANDONED = timedelta(hours=1)
SECONDS = 60.0


def train_node(place: str, recipe: str) -> None:
    """Fetch the data set, and train with the other nodes.

    Raises:
        UserError: the data set is not in the store, training failed, or no step follows it any more.
    """
    data = StoredFolder(f"{place}{DATA}")
    _refuse_abandoned(data)
    with tempfile.TemporaryDirectory() as scratch:
        dataset, out, recipe_file = (Path(scratch) / name for name in ("dataset", "out", "recipe.yaml"))
        dataset.mkdir()
        out.mkdir()
        recipe_file.write_text(yaml.safe_dump(json.loads(recipe)), encoding="utf-8")
        if not data.restore(dataset):
            raise UserError(f"{data.place}: the data set of this training is not there; the step puts it there")
        first = os.environ.get(NODE_RANK, "0") == "0"
        with kept(out, StoredFolder(place), hand_over=True) if first else nullcontext():
            _run(["train", str(recipe_file), "--dataset", str(dataset), "--out", str(out)], data)


def _run(arguments: list[str], data: StoredFolder) -> None:
    """Run `personsearch` in the processes of this node, which end with it."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "-m", "personsearch"]
    process = subprocess.Popen([*launcher, *arguments])
    try:
        while True:
            try:
                status = process.wait(SECONDS)
                break
            except subprocess.TimeoutExpired:
                _refuse_abandoned(data)
    except BaseException:
        process.terminate()  # torchrun ends its processes
        process.wait()
        raise
    if status:
        raise UserError(f"training ended with status {status}; what its processes printed above says why")


def _refuse_abandoned(data: StoredFolder) -> None:
    age = data.signed_ago()
    if age is None or age > ABANDONED:
        raise UserError(f"{data.place}: no step follows this training any more; its checkpoints are kept")


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)  # as the first process of a container Python would otherwise ignore the signal


def main() -> None:
    """Train this node; 2 with a line that says why not."""
    logging.basicConfig(format="%(message)s")
    signal.signal(signal.SIGTERM, _end)
    try:
        train_node(*sys.argv[1:3])
    except UserError as error:
        sys.exit(f"personsearch: {error}")


if __name__ == "__main__":
    main()
