"""Reports a run: a progress bar on a terminal, a plain line now and then elsewhere, and numbers to the callbacks."""

import logging
import sys
import time
from collections.abc import Mapping, Sequence

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from personsearch.progress import PLAIN_INTERVAL_SECONDS
from personsearch.training.callbacks import Callback
from personsearch.training.objective import TOTAL

logger = logging.getLogger(__name__)


class Watch:
    """Reports steps and epochs. Losses are read only every `log_every` steps, because reading waits for the GPU."""

    def __init__(self, callbacks: Sequence[Callback], total_steps: int, log_every: int, *, silent: bool) -> None:
        self._callbacks, self._total, self._log_every, self._silent = callbacks, total_steps, log_every, silent
        self._bar = _terminal_bar() if sys.stderr.isatty() and not silent else None
        self._task = self._bar.add_task("train", total=total_steps, figures="") if self._bar else None
        self._last_line = self._last_log = time.monotonic()
        self._samples = 0

    def start(self, step: int) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.start()
            self._bar.update(self._task, completed=step)
        elif step:
            self._line(f"train: resuming at step {step}/{self._total}")

    def step(self, step: int, losses: Mapping[str, Tensor], learning_rate: float, samples: int) -> None:
        self._samples += samples
        if step % self._log_every and step != self._total:
            return
        now = time.monotonic()
        speed = self._samples / max(1e-9, now - self._last_log)
        self._last_log, self._samples = now, 0
        metrics = {name: loss.item() for name, loss in losses.items()}
        metrics |= {"lr": learning_rate, "samples_per_second": speed}
        for callback in self._callbacks:
            callback.on_step(step, metrics)
        self._show(step, f"loss {metrics[TOTAL]:.3f}  lr {learning_rate:.2e}  {speed:.0f} samples/s")

    def epoch(self, epoch: int, step: int, metrics: Mapping[str, float], losses: Sequence[Tensor] = ()) -> None:
        """Report an epoch's metrics, and the mean of its steps' losses."""
        for callback in self._callbacks:
            callback.on_epoch(epoch, step, metrics)
        loss = [f"loss {torch.stack(list(losses)).mean().item():.3f}"] if losses else []
        self._line(f"epoch {epoch}: " + "  ".join([*loss, *(f"{name} {value:.2f}" for name, value in metrics.items())]))
        self._last_log = time.monotonic()

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _show(self, step: int, figures: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step, figures=figures)
        elif time.monotonic() - self._last_line >= PLAIN_INTERVAL_SECONDS:
            self._line(f"train: {step}/{self._total}  {figures}")

    def _line(self, text: str) -> None:
        if self._silent:
            return
        self._last_line = time.monotonic()
        (self._bar.console if self._bar is not None else Console(stderr=True, soft_wrap=True)).print(
            text, highlight=False, markup=False, soft_wrap=True
        )


def _terminal_bar() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[figures]}", markup=False), console=Console(stderr=True))
