"""Training batches: pixels from the cache, captions from the manifest, both augmented by the sample's own numbers.

Shapes: N pairs of this process, H height, W width, L tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from personsearch.augmentation.images import ImageAugmentationConfig, augment_images
from personsearch.augmentation.randomness import TEXT_STREAM, sample_generator, uniform_rows
from personsearch.augmentation.text import TextAugmentationConfig, augment_caption
from personsearch.bundle import Preprocessing
from personsearch.data.records import ImageRecord
from personsearch.data.sampler import Pairs, Sampler, shard
from personsearch.models.torch_encoder import trim
from personsearch.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Batch:
    """The part of one step's global batch that this process encodes."""

    pixels_N3HW: Tensor
    ids_NL: Tensor
    person_ids_N: Tensor

    def __len__(self) -> int:
        return len(self.person_ids_N)


@dataclass(frozen=True, slots=True)
class BatchSource:
    """Everything a batch is made of. A batch depends on (seed, epoch, step, rank) alone."""

    records: Sequence[ImageRecord]
    pixels_NHW3: NDArray[np.uint8]
    pairs: Pairs
    sampler: Sampler
    tokenizer: Tokenizer
    preprocessing: Preprocessing
    image_augmentation: ImageAugmentationConfig
    text_augmentation: TextAugmentationConfig
    device: torch.device
    rank: int = 0
    world_size: int = 1

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from a step on; beside a GPU they are prepared a step ahead by a thread."""
        order_P = self.sampler.order(epoch)
        steps = range(first_step, self.sampler.steps_per_epoch)

        def make(step: int) -> Batch:
            return self._batch(epoch, shard(self.sampler.batch(order_P, step), self.rank, self.world_size))

        return map(make, steps) if self.device.type == "cpu" else _ahead(make, steps)

    def _batch(self, epoch: int, pairs_N: NDArray[np.int64]) -> Batch:
        images_N = self.pairs.image_P[pairs_N]
        person_ids_N = np.array([self.records[image].person_id for image in images_N], dtype=np.int64)
        return Batch(
            pixels_N3HW=self._pixels(epoch, pairs_N, images_N),
            ids_NL=torch.from_numpy(self._token_ids(epoch, pairs_N, images_N)).to(self.device),
            person_ids_N=torch.from_numpy(person_ids_N).to(self.device),
        )

    def _pixels(self, epoch: int, pairs_N: NDArray[np.int64], images_N: NDArray[np.int64]) -> Tensor:
        seed, draws = self.sampler.seed, self.image_augmentation.draws
        uniform_NK = torch.from_numpy(uniform_rows(seed, epoch, pairs_N, draws)).to(self.device)
        bytes_N3HW = torch.from_numpy(self.pixels_NHW3[images_N]).to(self.device).permute(0, 3, 1, 2)
        pixels = augment_images(self.image_augmentation, bytes_N3HW.float().contiguous() / 255, uniform_NK)
        mean, std = (torch.tensor(v, device=self.device)[:, None, None] for v in self._mean_std())
        return (pixels - mean) / std

    def _mean_std(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        return self.preprocessing.mean, self.preprocessing.std

    def _token_ids(self, epoch: int, pairs_N: NDArray[np.int64], images_N: NDArray[np.int64]) -> NDArray[np.int64]:
        texts = [
            augment_caption(
                self.text_augmentation,
                self.records[image],
                int(self.pairs.caption_P[pair]),
                sample_generator(self.sampler.seed, epoch, int(pair), TEXT_STREAM),
            )
            for pair, image in zip(pairs_N, images_N, strict=True)
        ]
        return np.ascontiguousarray(trim(self.tokenizer.encode(texts)))


def _ahead(make: Callable[[int], Batch], steps: range) -> Iterator[Batch]:
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(make, steps[0]) if len(steps) else None
        for step in steps:
            assert waiting is not None
            batch = waiting.result()
            waiting = thread.submit(make, step + 1) if step + 1 < steps.stop else None
            yield batch
