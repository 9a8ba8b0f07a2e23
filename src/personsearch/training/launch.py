"""Trains in as many processes as this machine has GPUs, one for each."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import yaml

from personsearch.errors import UserError
from personsearch.training.callbacks import Callback
from personsearch.training.config import TrainConfig
from personsearch.training.train import train


def train_on_every_gpu(
    config: TrainConfig, dataset: Path, out_dir: Path, *, callbacks: Callable[[], Sequence[Callback]]
) -> dict[str, float]:
    """`train`, by `torchrun` if `config.device` leaves the choice and this machine has several GPUs.

    The processes make their own callbacks, as `personsearch train` does.

    Raises:
        UserError: as `train`; or one of the processes failed, and their output says why.
    """
    processes = torch.cuda.device_count() if config.device in ("auto", "cuda") else 1
    if processes > 1:
        train_in_processes(config, dataset, out_dir, processes)
        return train(config, dataset, out_dir)  # which finds a finished run, and returns its metrics
    return train(config, dataset, out_dir, callbacks=callbacks())


def train_in_processes(config: TrainConfig, dataset: Path, out_dir: Path, processes: int) -> None:
    """Run `personsearch train` in so many processes of this machine.

    Raises:
        UserError: the batch cannot be shared out, or one of the processes failed.
    """
    if config.batch_size % processes:
        raise UserError(f"batch_size={config.batch_size}: a multiple of the {processes} GPUs expected")
    with TemporaryDirectory(prefix="personsearch-") as folder:
        recipe = Path(folder) / "recipe.yaml"
        recipe.write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = ["-m", "personsearch", "train", str(recipe), "--dataset", str(dataset), "--out", str(out_dir)]
        process = subprocess.Popen([*launcher, *command])
        try:
            status = process.wait()
        except BaseException:
            process.terminate()  # torchrun ends its processes
            process.wait()
            raise
        if status:
            raise UserError(f"training in {processes} processes failed; what they printed above says why")
