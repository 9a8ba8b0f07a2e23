"""Read by each Python that starts with this folder on PYTHONPATH: training waits in epoch 2 for the file GATE.

What is imported here is imported by all of them, so each imports only what it changes.
"""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if "personsearch.integrations.kubeflow.node" in sys.orig_argv:
    from personsearch.integrations.objects import folder

    folder.SECONDS = 0.1
elif "train" in sys.orig_argv and "torch.distributed.run" not in sys.orig_argv:
    from personsearch.training.watch import Watch

    report = Watch.epoch

    def wait_for_the_gate(self: Watch, epoch: int, step: int, metrics: Mapping[str, float], losses: Any = ()) -> None:
        report(self, epoch, step, metrics, losses)
        while epoch == 2 and not Path(os.environ["GATE"]).exists():
            time.sleep(0.1)

    Watch.epoch = wait_for_the_gate  # type: ignore[method-assign]
