"""Makes training batches: pixels from the cache and captions from the manifest, both augmented.

A batch holds the views that the recipe's losses read. Random numbers belong to the sample and the view, not to the
process or the order of calls, so a resumed run sees the same batches.

Shapes: G images, P pairs of the data set, N pairs of this process, H height, W width, L tokens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from personsearch.augmentation.images import ImageAugmentationConfig, augment_images
from personsearch.augmentation.randomness import IMAGE_STREAM, TEXT_STREAM, sample_generator, uniform_rows
from personsearch.augmentation.text import TextAugmentationConfig, augment_caption
from personsearch.bundle import Preprocessing
from personsearch.data.parallel import map_in_order
from personsearch.data.records import ImageRecord
from personsearch.data.sampler import Pairs, Sampler, shard
from personsearch.models.mixing import Mixing
from personsearch.tokenizer import Tokenizer, trim
from personsearch.training.mixup import MixupConfig, draw_mixing, join_captions
from personsearch.training.objective import IMAGE, IMAGE_2, SIMCLR_1, SIMCLR_2, TEXT, TEXT_2

# One stream per view: two views of a pair must differ, and adding one must not change the numbers of the others.
STREAMS = {IMAGE: IMAGE_STREAM, TEXT: TEXT_STREAM, IMAGE_2: 2, SIMCLR_1: 3, SIMCLR_2: 4, TEXT_2: 5}
MIXING = 6


@dataclass(frozen=True, slots=True)
class Batch:
    """One process's part of a global batch. `teacher_ids_NL` are the captions in the teacher's tokens."""

    images: dict[str, Tensor]
    texts: dict[str, Tensor]
    person_ids_N: Tensor
    trust_N: Tensor | None = None
    mixing: Mixing | None = None
    teacher_ids_NL: Tensor | None = None

    def __len__(self) -> int:
        return len(self.person_ids_N)

    def used_by(self, stream: torch.cuda.Stream) -> "Batch":
        """Mark the batch as used by `stream`, so that its memory is not reused before `stream` has finished."""
        mixed = () if self.mixing is None else (self.mixing.partner_N, self.mixing.ratio_N)
        others = (self.person_ids_N, self.trust_N, self.teacher_ids_NL, *mixed)
        for value in (*self.images.values(), *self.texts.values(), *others):
            if value is not None:
                value.record_stream(stream)
        return self

    def rows(self, rows: slice) -> "Batch":
        """A batch of some of the pairs. Raises ValueError if features are mixed, since partners must stay together."""
        if self.mixing is not None:
            raise ValueError("a batch with mixed features cannot be split")
        images = {view: value[rows] for view, value in self.images.items()}
        texts = {view: value[rows] for view, value in self.texts.items()}
        trust_N, teacher_ids_NL = (None if of is None else of[rows] for of in (self.trust_N, self.teacher_ids_NL))
        return Batch(images, texts, self.person_ids_N[rows], trust_N, teacher_ids_NL=teacher_ids_NL)


@dataclass(frozen=True, slots=True)
class BatchSource:
    """Everything a batch is made of. A batch depends only on (seed, epoch, step, rank).

    `pixel_rows_G` maps each record to the row of its image in the cache.
    """

    records: Sequence[ImageRecord]
    pixels_GHW3: NDArray[np.uint8]
    pixel_rows_G: NDArray[np.int64]
    pairs: Pairs
    sampler: Sampler
    tokenizer: Tokenizer
    preprocessing: Preprocessing
    augmentation: Mapping[str, ImageAugmentationConfig]
    text_augmentation: TextAugmentationConfig
    text_views: tuple[str, ...]
    mixup: MixupConfig
    device: torch.device
    rank: int = 0
    world_size: int = 1
    trust_P: Tensor | None = None
    teacher_tokenizer: Tokenizer | None = None

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from `first_step` on. With a GPU, each is made while the previous step runs."""
        order_P = self.sampler.order(epoch)
        steps = range(first_step, self.sampler.steps_per_epoch)

        def make(step: int) -> Batch:
            return self._batch(epoch, shard(self.sampler.batch(order_P, step), self.rank, self.world_size))

        return _beside_the_gpu(make, steps, self.device) if self.device.type == "cuda" else map(make, steps)

    def _batch(self, epoch: int, pairs_N: NDArray[np.int64]) -> Batch:
        images_N = self.pairs.image_P[pairs_N]
        person_ids_N = np.array([self.records[image].person_id for image in images_N], dtype=np.int64)
        bytes_N3HW = torch.from_numpy(self.pixels_GHW3[self.pixel_rows_G[images_N]]).to(self.device).permute(0, 3, 1, 2)
        # Copied to the device as bytes and converted there: a quarter of the transfer of float32.
        pixels_N3HW = bytes_N3HW.float().contiguous() / 255
        mixing = self._mixing(epoch, pairs_N)
        wordings = {view: self._wordings(view, epoch, pairs_N, mixing) for view in self.text_views}
        mixing, teacher = None if mixing is None else mixing.to(self.device), self.teacher_tokenizer
        return Batch(
            images={view: self._image_view(view, epoch, pairs_N, pixels_N3HW, mixing) for view in self.augmentation},
            texts=self._text_views(wordings),
            person_ids_N=torch.from_numpy(person_ids_N).to(self.device),
            trust_N=None if self.trust_P is None else self.trust_P[torch.from_numpy(pairs_N)].to(self.device),
            mixing=mixing if self.mixup.level == "features" else None,
            teacher_ids_NL=None if teacher is None else self._token_ids(teacher, wordings[TEXT]),
        )

    def _mixing(self, epoch: int, pairs_N: NDArray[np.int64]) -> Mixing | None:
        if self.mixup.level == "none":
            return None
        return draw_mixing(self.mixup, uniform_rows(self.sampler.seed, epoch, pairs_N, 2, MIXING))

    def _image_view(
        self, view: str, epoch: int, pairs_N: NDArray[np.int64], pixels_N3HW: Tensor, mixing: Mixing | None
    ) -> Tensor:
        config = self.augmentation[view]
        uniform_NK = uniform_rows(self.sampler.seed, epoch, pairs_N, config.draws, STREAMS[view])
        augmented_N3HW = augment_images(config, pixels_N3HW, torch.from_numpy(uniform_NK))
        if mixing is not None and self.mixup.level == "pixels":
            # After augmentation, so that both halves of a mixed image were augmented on their own.
            augmented_N3HW = mixing.blend(augmented_N3HW)
        given = self.preprocessing
        mean, std = (torch.tensor(values, device=self.device)[:, None, None] for values in (given.mean, given.std))
        return (augmented_N3HW - mean) / std

    def _text_views(self, wordings: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
        """Token ids of each view. All views are trimmed to one length: they pass through the tower as one batch."""
        ids_NL = self._token_ids(self.tokenizer, [text for texts in wordings.values() for text in texts])
        return dict(zip(wordings, ids_NL.chunk(len(wordings)), strict=True)) if wordings else {}

    def _token_ids(self, tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(trim(tokenizer.encode(texts)))).to(self.device)

    def _wordings(self, view: str, epoch: int, pairs_N: NDArray[np.int64], mixing: Mixing | None) -> list[str]:
        texts = [
            augment_caption(
                self.text_augmentation,
                self.records[int(self.pairs.image_P[pair])],
                int(self.pairs.caption_P[pair]),
                sample_generator(self.sampler.seed, epoch, int(pair), STREAMS[view]),
            )
            for pair in pairs_N
        ]
        return texts if mixing is None or self.mixup.level != "pixels" else join_captions(texts, mixing)


def _beside_the_gpu(make: Callable[[int], Batch], steps: range, device: torch.device) -> Iterator[Batch]:
    """Make batches ahead in a separate stream; in the training stream a copy would wait for the whole running step."""
    stream = torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]

    def make_there(step: int) -> Batch:
        with torch.cuda.stream(stream):
            batch = make(step)
        stream.synchronize()  # the worker thread waits, so that the training thread never has to
        return batch

    for batch in map_in_order(make_there, steps, workers=1, ahead=2):
        yield batch.used_by(torch.cuda.current_stream(device))
