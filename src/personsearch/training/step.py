"""One optimisation step's gradient: of the plain batch, or of the same batch in chunks by gradient caching.

Gradient caching (Gao et al., 2021): features of all chunks without a graph, the loss's gradient at the features,
then each chunk again with a graph. The gradient is the plain batch's, memory that of one chunk. Dropout sees the
same random numbers in both passes. Batch normalisation would see chunks, so a model with it needs the plain batch.

Shapes: N pairs of this process, M of all processes, D embedding dimension.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from personsearch.models.clip import DualEncoder, Features
from personsearch.training.batches import Batch
from personsearch.training.distributed import gather, gather_with_gradient
from personsearch.training.objective import TOTAL, Objective


@dataclass(frozen=True, slots=True)
class GradientStep:
    """Adds the gradient of one global batch to the model's parameters and returns the losses."""

    model: DualEncoder
    objective: Objective
    chunk_size: int | None = None
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    scale: Callable[[Tensor], Tensor] = lambda loss: loss

    def __call__(self, batch: Batch, alpha: float) -> dict[str, Tensor]:
        """Losses by name, detached."""
        if self.chunk_size is None or self.chunk_size >= len(batch):
            with self.autocast():
                features = self.model(batch.pixels_N3HW, batch.ids_NL)
            losses = self._losses(features, batch, alpha)
            self.scale(losses[TOTAL]).backward()  # type: ignore[no-untyped-call]
        else:
            losses = self._cached(batch, alpha, self.chunk_size)
        return {name: loss.detach() for name, loss in losses.items()}

    def _losses(self, features: Features, batch: Batch, alpha: float) -> dict[str, Tensor]:
        image_MD, text_MD = gather_with_gradient(features.image_ND), gather_with_gradient(features.text_ND)
        return self.objective(Features(image_MD, text_MD, features.logit_scale), gather(batch.person_ids_N), alpha)

    def _cached(self, batch: Batch, alpha: float, chunk_size: int) -> dict[str, Tensor]:
        chunks = [slice(start, start + chunk_size) for start in range(0, len(batch), chunk_size)]
        states = []
        parts = []
        with torch.no_grad():
            for chunk in chunks:
                states.append(_random_state(batch.pixels_N3HW.device))
                parts.append(self._encode(batch, chunk))
        image_ND, text_ND = (torch.cat(side).requires_grad_() for side in zip(*parts, strict=True))
        losses = self._losses(Features(image_ND, text_ND, self.model.logit_scale()), batch, alpha)
        self.scale(losses[TOTAL]).backward()  # type: ignore[no-untyped-call]
        after = _random_state(batch.pixels_N3HW.device)
        for chunk, state in zip(chunks, states, strict=True):
            _restore_random_state(state)
            features = self._encode(batch, chunk)
            torch.autograd.backward(features, [_gradient(image_ND)[chunk], _gradient(text_ND)[chunk]])
        _restore_random_state(after)
        return losses

    def _encode(self, batch: Batch, chunk: slice) -> tuple[Tensor, Tensor]:
        with self.autocast():
            features = self.model(batch.pixels_N3HW[chunk], batch.ids_NL[chunk])
        return features.image_ND, features.text_ND


def _gradient(features_ND: Tensor) -> Tensor:
    assert features_ND.grad is not None
    return features_ND.grad


def _random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), on_gpu


def _restore_random_state(state: tuple[Tensor, Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])
