"""The gradient of one training step, computed on the whole batch at once or in chunks by gradient caching.

Gradient caching (Gao et al., 2021, arXiv 2101.06983): encode all chunks without a graph, compute the loss's gradient
at the features, then encode each chunk again with a graph and continue the backward pass. The gradient equals that of
the whole batch; the memory is that of one chunk. Dropout sees the same random numbers in both passes.

Shapes: N pairs of this process, M of all processes, W of them with a wrong caption or a rejected image,
L tokens, D embedding dimension.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from personsearch.errors import UserError
from personsearch.models.conv_stem import StemNorm
from personsearch.models.encoder import PersonEncoder
from personsearch.training.batches import Batch
from personsearch.training.distillation import Teacher
from personsearch.training.distributed import gather, gather_with_gradient
from personsearch.training.objective import IMAGE, PATCHES, REJECTED, SWAPPED, TEXT, TOTAL, Features, Labels, Objective

Views = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class GradientStep:
    """Accumulates the gradient of one global batch in the model's parameters and returns the losses."""

    model: PersonEncoder
    objective: Objective
    chunk_size: int | None = None
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    scale: Callable[[Tensor], Tensor] = lambda loss: loss
    teacher: Teacher | None = None

    def __post_init__(self) -> None:
        if self.chunk_size is not None and any(map(_normalises_over_the_batch, self.model.modules())):
            raise UserError(
                "chunk_size: expected null; this model normalises over the batch, which chunks would change"
            )

    def __call__(self, batch: Batch, alpha: float) -> dict[str, Tensor]:
        """Losses by name, detached."""
        if self.chunk_size is None or self.chunk_size >= len(batch):
            losses = self._losses(*self._encode(batch), batch, alpha, self._taught(batch))
            self.scale(losses[TOTAL]).backward()  # type: ignore[no-untyped-call]
        else:
            losses = self._cached(batch, alpha, self.chunk_size)
        return {name: loss.detach() for name, loss in losses.items()}

    def _encode(self, batch: Batch) -> tuple[Views, Views]:
        """The features of each view, of any length; all views of one tower are encoded as one batch."""
        with self.autocast():
            if batch.mixing is not None:
                image_ND, text_ND = self.model.mixed_features(batch.images[IMAGE], batch.texts[TEXT], batch.mixing)
                return {IMAGE: image_ND}, {TEXT: text_ND}
            return self._encode_images(batch), self._encode_texts(batch)

    def _encode_images(self, batch: Batch) -> Views:
        views = dict(batch.images)
        if batch.rejected_N is not None:
            views[REJECTED] = views[REJECTED][batch.rejected_N]
        images = self._encode_whole_images(views)
        if batch.rejected_N is not None:
            images[REJECTED] = _spread_out(images[REJECTED], batch.rejected_N, images[IMAGE])
        return images

    def _encode_whole_images(self, views: Mapping[str, Tensor]) -> Views:
        if not self.objective.config.reads_patches:
            return _one_pass(self.model.image_features, views)
        patches: list[Tensor] = []

        def encode(pixels: Tensor) -> Tensor:
            features, tokens = self.model.image_features_and_patches(pixels)
            patches.append(tokens)
            return features

        images = _one_pass(encode, views)
        return {**images, PATCHES: torch.split(patches[0], _lengths(views))[list(views).index(IMAGE)]}

    def _encode_texts(self, batch: Batch) -> Views:
        if batch.swapped_N is None:
            return _one_pass(self.model.text_features_by_length, batch.texts)
        whole = [view for view in batch.texts if view != SWAPPED]
        wrong_WL = batch.texts[SWAPPED][batch.swapped_N]
        features = self.model.text_features_by_length(torch.cat([*(batch.texts[view] for view in whole), wrong_WL]))
        *parts, wrong_WD = torch.split(features, [len(batch)] * len(whole) + [len(wrong_WL)])
        return {**dict(zip(whole, parts, strict=True)), SWAPPED: _spread_out(wrong_WD, batch.swapped_N, parts[0])}

    def _taught(self, batch: Batch) -> Features | None:
        """The teacher's features of the global batch, encoded once."""
        if self.teacher is None:
            return None
        assert batch.teacher_ids_NL is not None
        with self.autocast():
            taught = self.teacher(batch.images[IMAGE], batch.teacher_ids_NL, at_a_time=self.chunk_size)
        images, texts = ({view: gather(value) for view, value in of.items()} for of in (taught.images, taught.texts))
        return Features(images, texts, taught.logit_scale)

    def _losses(
        self, images: Views, texts: Views, batch: Batch, alpha: float, taught: Features | None
    ) -> dict[str, Tensor]:
        optional = (batch.trust_N, batch.swapped_N, batch.rejected_N)
        trust_M, swapped_M, rejected_M = (None if of is None else gather(of) for of in optional)
        features = Features.of(
            {view: gather_with_gradient(value) for view, value in images.items()},
            {view: gather_with_gradient(value) for view, value in texts.items()},
            self.model.logit_scale(),
        )
        facts = None if batch.facts is None else batch.facts.gathered(gather)
        labels = Labels(gather(batch.person_ids_N), alpha, trust_M, facts, swapped_M, rejected_M)
        losses: dict[str, Tensor] = self.objective(features, labels)
        if self.teacher is None or taught is None:
            return losses
        distilled = self.teacher.losses(features, taught)
        total = losses[TOTAL] + self.teacher.config.weight * torch.stack(list(distilled.values())).sum()
        return {**losses, TOTAL: total, **distilled}

    def _cached(self, batch: Batch, alpha: float, chunk_size: int) -> dict[str, Tensor]:
        chunks = [slice(start, start + chunk_size) for start in range(0, len(batch), chunk_size)]
        states, parts = [], []
        with torch.no_grad():
            for chunk in chunks:
                # Kept per chunk, so that the second pass draws the same dropout masks.
                states.append(_random_state(batch.person_ids_N.device))
                parts.append(self._encode(batch.rows(chunk)))
        images, texts = (_joined(side) for side in zip(*parts, strict=True))
        losses = self._losses(images, texts, batch, alpha, self._taught(batch))
        self.scale(losses[TOTAL]).backward()  # type: ignore[no-untyped-call]
        device = batch.person_ids_N.device
        after = _random_state(device)
        for chunk, state in zip(chunks, states, strict=True):
            _restore_random_state(state, device)
            again = self._encode(batch.rows(chunk))
            features = [value for side in again for value in side.values()]
            # The gradient at the features is already scaled, so it enters here as it is.
            torch.autograd.backward(features, [_gradient(v)[chunk] for side in (images, texts) for v in side.values()])
        _restore_random_state(after, device)  # as if there had been one pass
        return losses


def _normalises_over_the_batch(module: nn.Module) -> bool:
    if isinstance(module, StemNorm):
        return module.weight.requires_grad
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def _spread_out(features_WD: Tensor, where_N: Tensor, like_ND: Tensor) -> Tensor:
    """Zeros for the other pairs, so that all views have the same rows."""
    features_ND = torch.zeros_like(like_ND)
    features_ND[where_N] = features_WD
    return features_ND


def _one_pass(encode: Callable[[Tensor], Tensor], views: Mapping[str, Tensor]) -> Views:
    if not views:
        return {}
    features = encode(torch.cat(list(views.values())) if len(views) > 1 else next(iter(views.values())))
    return dict(zip(views, torch.split(features, _lengths(views)), strict=True))


def _lengths(views: Mapping[str, Tensor]) -> list[int]:
    return [len(value) for value in views.values()]


def _joined(parts: Sequence[Views]) -> Views:
    return {view: torch.cat([part[view] for part in parts]).requires_grad_() for view in parts[0]}


def _gradient(features_ND: Tensor) -> Tensor:
    # Autograd leaves None for a view that the loss does not depend on.
    return torch.zeros_like(features_ND) if features_ND.grad is None else features_ND.grad


def _random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), on_gpu


def _restore_random_state(state: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
