"""The training step in a process of its own.

    python -m tests.components.killed_training DATASET OUT CONFIG [EPOCH [NODES]]

It stays in the report of EPOCH for ever, for somebody to end it there.
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components.train.component import train
from personsearch.integrations.kubeflow.steps import code_version
from personsearch.integrations.objects import folder
from personsearch.training.watch import Watch


def main(dataset: str, out: str, config: str, stay_in: int | None = None, nodes: int = 1) -> None:
    folder.SECONDS = 0.1
    report = Watch.epoch

    def stay(self: Watch, epoch: int, step: int, metrics: Mapping[str, float], losses: Any = ()) -> None:
        report(self, epoch, step, metrics, losses)
        if epoch == stay_in:
            time.sleep(3600)

    Watch.epoch = stay  # type: ignore[method-assign]
    metrics = SimpleNamespace(path=f"{out}-metrics", log_metric=lambda name, value: None)
    train.python_func(
        dataset=SimpleNamespace(path=dataset),
        dataset_hash="hash",
        config=json.loads(Path(config).read_text()),
        code_version=code_version(),
        model=SimpleNamespace(path=out),
        metrics=metrics,
        nodes=nodes,
    )


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
