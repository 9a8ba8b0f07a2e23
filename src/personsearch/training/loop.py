"""The training loop: step, log, checkpoint, validate, resume."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from personsearch.errors import UserError
from personsearch.files import replacing
from personsearch.models.build import BuiltModel
from personsearch.models.encoder import PersonEncoder
from personsearch.training.batches import Batch, BatchSource
from personsearch.training.callbacks import Callback
from personsearch.training.checkpoint import (
    BEST,
    LAST,
    RunProgress,
    Trained,
    load_checkpoint,
    save_checkpoint,
    save_trained_weights,
)
from personsearch.training.config import TrainConfig
from personsearch.training.distillation import Teacher
from personsearch.training.distributed import average_gradients, barrier, rank, share
from personsearch.training.noise import divide
from personsearch.training.objective import TOTAL, Objective
from personsearch.training.optimiser import learning_rate, make_optimiser, set_learning_rate
from personsearch.training.step import GradientStep
from personsearch.training.validation import Validator
from personsearch.training.watch import Watch

STEPS_PER_SEED = 1 << 32  # more than any run has: steps of different seeds never share random numbers


@dataclass(frozen=True, slots=True)
class Run:
    """What one run works with. `checkpoints` is a folder; `identity` is the hash that its files must carry."""

    config: TrainConfig
    built: BuiltModel
    source: BatchSource
    validator: Validator
    checkpoints: Path
    identity: str
    callbacks: Sequence[Callback] = ()
    teacher: Teacher | None = None

    @property
    def model(self) -> PersonEncoder:
        """The model in training."""
        return self.built.model


class Loop:
    """Trains one run to its end, from its last checkpoint if there is one."""

    def __init__(self, run: Run) -> None:
        self.run, self.config, self.model = run, run.config, run.model
        self.device = run.source.device
        torch.manual_seed(run.config.seed)
        objective = Objective(run.config.objective, self.model.embedding_dim, self.model.patch_shape).to(self.device)
        self.parameters = [*self.model.parameters(), *objective.parameters()]
        named = [*self.model.named_parts(), *objective.named_parameters()]
        self.optimiser = make_optimiser(run.config.optimiser, named)
        self.trained = Trained(self.model, objective, self.optimiser)
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=run.config.precision == "fp16" and self.device.type == "cuda"
        )
        self.gradient = GradientStep(
            self.model, objective, run.config.chunk_size, self.autocast, self.scaler.scale, run.teacher
        )
        self.progress = self._resume()
        self.losses: list[Tensor] = []  # of each step of this epoch since the start or the resumption
        others = rank() != 0
        self.watch = Watch(() if others else run.callbacks, self.total_steps, run.config.log_every, silent=others)

    @property
    def total_steps(self) -> int:
        return self.config.epochs * self.run.source.sampler.steps_per_epoch

    def __call__(self) -> RunProgress:
        """Train to the end or until validation stops improving; returns the final progress."""
        steps = self.run.source.sampler.steps_per_epoch
        self.watch.start(self.progress.step)
        while self.progress.step < self.total_steps and not self._stale():
            epoch, first_step = divmod(self.progress.step, steps)
            for batch in self._source(epoch).epoch(epoch, first_step):
                self.step(batch)
            self._end_of_epoch(epoch)
        if self.total_steps == 0:  # zero-shot: validate the start, so that there is a best epoch to bundle
            self._end_of_epoch(-1)
        self.watch.stop()
        return self.progress

    def _source(self, epoch: int) -> BatchSource:
        """The run's batches. With `noise`, pairs are divided by the model as it is when the epoch begins."""
        noise = self.config.noise
        if noise is None or epoch < noise.start_epoch:
            return self.run.source
        # Kept, so that an epoch resumed after a kill keeps its division.
        path = self.run.checkpoints / f"trust-{epoch}.npy"
        if rank() == 0 and not path.is_file():
            division = divide(noise, self.run.built, self.run.source, seed=self.config.seed, epoch=epoch)
            self.watch.epoch(epoch, self.progress.step, division.shares())
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, division.trust_P)
        share(path)
        return replace(self.run.source, trust_P=torch.from_numpy(np.load(path)))

    def step(self, batch: Batch) -> None:
        """Take one optimiser step, report it, and save a checkpoint when one is due."""
        step, steps_per_epoch = self.progress.step, self.run.source.sampler.steps_per_epoch
        # Seeding every step makes dropout depend on (seed, step, rank) alone, so a checkpoint needs no random state.
        torch.manual_seed((self.config.seed * STEPS_PER_SEED + step) * 1024 + rank())
        rate = learning_rate(
            self.config.schedule,
            self.config.optimiser.lr,
            step,
            steps_per_epoch=steps_per_epoch,
            epochs=self.config.epochs,
        )
        set_learning_rate(self.optimiser, rate)
        self.model.train()
        losses = self.gradient(batch, self.config.objective.alpha(step / steps_per_epoch))
        self._update()
        self.progress = replace(self.progress, step=step + 1)
        self.watch.step(step + 1, losses, rate, self.config.batch_size)
        self.losses.append(losses[TOTAL])
        # The end of an epoch saves anyway, after validation.
        saves = (step + 1) % self.config.checkpoint_every == 0 and (step + 1) % steps_per_epoch != 0
        if (
            saves or (step + 1) % self.config.log_every == 0
        ):  # not always: reading a loss makes the host wait for the GPU
            self._refuse_nan()
        if saves:
            self._save()

    def _update(self) -> None:
        average_gradients(self.parameters)
        self.scaler.unscale_(self.optimiser)  # before clipping, whose norm is of the true gradient
        if self.config.optimiser.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.config.optimiser.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)

    def _refuse_nan(self) -> None:
        for step, loss in enumerate(self.losses, start=self.progress.step - len(self.losses) + 1):
            if not torch.isfinite(loss):
                raise UserError(f"step {step}: the loss is {loss.item()}; lower optimiser.lr")

    def _end_of_epoch(self, epoch: int) -> None:
        self._refuse_nan()
        last = self.progress.step >= self.total_steps
        if (epoch + 1) % self.config.validate_every == 0 or last:
            metrics = self.run.validator()
            self.watch.epoch(epoch + 1, self.progress.step, metrics, self.losses)
            best = self.progress.best_score, self.progress.best_map
            if (metrics["val_r1"], metrics["val_map"]) > best:  # mAP decides between epochs of equal R@1
                self.progress = replace(
                    self.progress, best_score=metrics["val_r1"], best_map=metrics["val_map"], best_epoch=epoch
                )
                if rank() == 0:
                    save_trained_weights(self.run.checkpoints / BEST, self.model)
        self.losses = []
        self._save()

    def _stale(self) -> bool:
        epochs_done = self.progress.step // self.run.source.sampler.steps_per_epoch
        waited = epochs_done - 1 - self.progress.best_epoch
        return self.config.patience is not None and self.progress.best_epoch >= 0 and waited >= self.config.patience

    def _save(self) -> None:
        if rank() == 0:
            scale = float(self.scaler.get_scale()) if self.scaler.is_enabled() else None
            progress = replace(self.progress, loss_scale=scale)
            save_checkpoint(self.run.checkpoints / LAST, self.trained, progress)
        barrier()

    def _resume(self) -> RunProgress:
        path = self.run.checkpoints / LAST
        share(path)
        if not path.is_file():
            return RunProgress(self.run.identity)
        progress = load_checkpoint(path, self.trained)
        if progress.identity != self.run.identity:
            raise UserError(
                f"{path.parent}: belongs to a run with another configuration or data set; "
                "choose another --out, or remove that folder to start again"
            )
        if progress.loss_scale is not None and self.scaler.is_enabled():
            self.scaler.load_state_dict(self.scaler.state_dict() | {"scale": progress.loss_scale})
        return progress

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Mixed precision. On a CPU attention uses plain matrix products: its fused bf16 backward is slow there."""
        precision, on_cpu = self.config.precision, self.device.type == "cpu"
        if precision == "fp32" or (on_cpu and precision == "fp16"):
            yield
            return
        dtype = torch.bfloat16 if precision == "bf16" else torch.float16
        attention = sdpa_kernel(SDPBackend.MATH) if on_cpu else nullcontext()
        with torch.autocast(self.device.type, dtype), attention:
            yield
