"""The interface for observers of a run. A callback never changes training."""

from collections.abc import Mapping
from typing import Protocol


class Callback(Protocol):
    """Called in the first process only; steps and epochs count from 1."""

    def on_start(self, config: Mapping[str, object]) -> None: ...

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def on_epoch(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None: ...

    def on_end(self, metrics: Mapping[str, float]) -> None: ...
