"""Makes training batches: pixels from the cache and captions from the manifest, both augmented.

A batch holds the views that the recipe's losses read. Random numbers belong to the sample and the view, not to the
process or the order of calls, so a resumed run sees the same batches.

Shapes: G images, P pairs of the data set, N pairs of this process, K of them mixed, H height, W width, L tokens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from personsearch.augmentation.images import ImageAugmentationConfig, augment_images
from personsearch.augmentation.randomness import IMAGE_STREAM, TEXT_STREAM, sample_generator, uniform_rows
from personsearch.augmentation.text import TextAugmentationConfig, choose_wording, edit_caption
from personsearch.bundle import Preprocessing
from personsearch.data.facts.queries import ShortQuery
from personsearch.data.parallel import map_in_order
from personsearch.data.records import ImageRecord
from personsearch.data.sampler import Pairs, Rejections, Sampler, shard
from personsearch.models.mixing import Mixing
from personsearch.tokenizer import Tokenizer, trim
from personsearch.training.facts import BatchFacts, FactSource
from personsearch.training.mixup import MixupConfig, Partners, draw_mixing, draw_partners
from personsearch.training.objective import (
    IMAGE,
    IMAGE_2,
    QUERY,
    REJECTED,
    SIMCLR_1,
    SIMCLR_2,
    SWAPPED,
    TEXT,
    TEXT_2,
)

# One stream per view: two views of a pair must differ, and adding one must not change the numbers of the others.
STREAMS = {
    IMAGE: IMAGE_STREAM,
    TEXT: TEXT_STREAM,
    IMAGE_2: 2,
    SIMCLR_1: 3,
    SIMCLR_2: 4,
    TEXT_2: 5,
    QUERY: 7,
    SWAPPED: 8,
    REJECTED: 9,
}
MIXING = 6
PARTNER = 16  # added to a view's stream for the images that are mixed into it


@dataclass(frozen=True, slots=True)
class Batch:
    """One process's part of a global batch.

    `teacher_ids_NL` are the captions in the teacher's tokens, `swapped_N` is true where the text view `swapped` holds a
    wrong caption, `rejected_N` where the image view `rejected` has a rejected image; their other rows are not encoded.
    """

    images: dict[str, Tensor]
    texts: dict[str, Tensor]
    person_ids_N: Tensor
    trust_N: Tensor | None = None
    mixing: Mixing | None = None
    teacher_ids_NL: Tensor | None = None
    facts: BatchFacts | None = None
    swapped_N: Tensor | None = None
    rejected_N: Tensor | None = None

    def __len__(self) -> int:
        return len(self.person_ids_N)

    def used_by(self, stream: torch.cuda.Stream) -> "Batch":
        """Mark the batch as used by `stream`, so that its memory is not reused before `stream` has finished."""
        mixed = () if self.mixing is None else (self.mixing.partner_N, self.mixing.ratio_N)
        facts = () if self.facts is None else self.facts.tensors()
        optional = (self.trust_N, self.teacher_ids_NL, self.swapped_N, self.rejected_N)
        others = (self.person_ids_N, *optional, *mixed, *facts)
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
        optional = (self.trust_N, self.teacher_ids_NL, self.swapped_N, self.rejected_N)
        trust_N, teacher_ids_NL, swapped_N, rejected_N = (None if of is None else of[rows] for of in optional)
        facts = None if self.facts is None else self.facts.rows(rows)
        ids_N = self.person_ids_N[rows]
        return Batch(images, texts, ids_N, trust_N, None, teacher_ids_NL, facts, swapped_N, rejected_N)


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
    facts: FactSource | None = None
    swapped_share: float = 0.25
    rejections: Rejections | None = None
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
        mixing, partners = self._drawn(epoch, pairs_N)
        queries = self._queries(epoch, pairs_N, images_N)
        views = [view for view in self.text_views if view not in {QUERY, SWAPPED}]
        wordings = {view: self._wordings(view, epoch, pairs_N, partners) for view in views}
        if QUERY in self.text_views:
            wordings[QUERY] = [query.text for query in queries]
        swapped_N = None
        if SWAPPED in self.text_views:
            wrong = self._wrong_captions(wordings[TEXT], epoch, pairs_N, partners)
            wordings[SWAPPED] = [text or "" for text in wrong]
            swapped_N = torch.tensor([text is not None for text in wrong], device=self.device)
        images, rejected_N = self._image_views(epoch, pairs_N, partners), None
        if self.rejections is not None:
            images[REJECTED], rejected_N = self._rejected_images(self.rejections, epoch, pairs_N, partners)
        teacher = self.teacher_tokenizer
        return Batch(
            images=images,
            texts=self._text_views(wordings),
            person_ids_N=torch.from_numpy(person_ids_N).to(self.device),
            trust_N=None if self.trust_P is None else self.trust_P[torch.from_numpy(pairs_N)].to(self.device),
            mixing=None if mixing is None else mixing.to(self.device),
            teacher_ids_NL=None if teacher is None else self._token_ids(teacher, wordings[TEXT]),
            facts=self._facts(pairs_N, images_N, queries),
            swapped_N=swapped_N,
            rejected_N=rejected_N,
        )

    def _queries(self, epoch: int, pairs_N: NDArray[np.int64], images_N: NDArray[np.int64]) -> list[ShortQuery]:
        if QUERY not in self.text_views:
            return []
        assert self.facts is not None
        seed, stream = self.sampler.seed, STREAMS[QUERY]
        return self.facts.queries(images_N, (sample_generator(seed, epoch, pair, stream) for pair in pairs_N.tolist()))

    def _wrong_captions(
        self, texts: Sequence[str], epoch: int, pairs_N: NDArray[np.int64], partners: Partners | None
    ) -> list[str | None]:
        """For a share of the pairs: the text with one thing made wrong. A mixed image, of two people, gets none."""
        assert self.facts is not None
        mixed = set() if partners is None else set(partners.rows_K.tolist())
        wrong: list[str | None] = []
        for row, (pair, text) in enumerate(zip(pairs_N.tolist(), texts, strict=True)):
            generator = sample_generator(self.sampler.seed, epoch, pair, STREAMS[SWAPPED])
            drawn = generator.random() < self.swapped_share and row not in mixed
            wrong.append(self.facts.wrong_caption(int(self.pairs.image_P[pair]), text, generator) if drawn else None)
        return wrong

    def _rejected_images(
        self, rejections: Rejections, epoch: int, pairs_N: NDArray[np.int64], partners: Partners | None
    ) -> tuple[Tensor, Tensor]:
        """An image that people rejected for each pair's caption, zeros where there is none, and where there is one."""
        mixed = set() if partners is None else set(partners.rows_K.tolist())
        drawn = {
            row: image
            for row, pair in enumerate(pairs_N.tolist())
            if row not in mixed
            and (image := rejections.draw(pair, sample_generator(self.sampler.seed, epoch, pair, STREAMS[REJECTED])))
            is not None
        }
        rows_K = np.array(list(drawn), dtype=np.int64)
        images_N3HW = torch.zeros(len(pairs_N), 3, *self.pixels_GHW3.shape[1:3], device=self.device)
        if drawn:
            pixels_K3HW = self._pixels(np.array(list(drawn.values()), dtype=np.int64))
            seen_K3HW = self._augmented(REJECTED, pixels_K3HW, epoch, pairs_N[rows_K], STREAMS[REJECTED])
            images_N3HW[rows_K] = self._standardised(seen_K3HW)
        rejected_N = torch.zeros(len(pairs_N), dtype=torch.bool, device=self.device)
        rejected_N[rows_K] = True
        return images_N3HW, rejected_N

    def _facts(
        self, pairs_N: NDArray[np.int64], images_N: NDArray[np.int64], queries: Sequence[ShortQuery]
    ) -> BatchFacts | None:
        if self.facts is None:
            return None
        return self.facts.of_batch(images_N, self.pairs.caption_P[pairs_N], queries).to(self.device)

    def _drawn(self, epoch: int, pairs_N: NDArray[np.int64]) -> tuple[Mixing | None, Partners | None]:
        """What features of the batch are mixed, and with what pairs of the data set pixels and captions are."""
        if self.mixup.level == "none":
            return None, None
        uniform_N2 = uniform_rows(self.sampler.seed, epoch, pairs_N, 2, MIXING)
        if self.mixup.level == "features":
            return draw_mixing(self.mixup, uniform_N2), None
        return None, draw_partners(self.mixup, uniform_N2, len(self.pairs))

    def _image_views(self, epoch: int, pairs_N: NDArray[np.int64], partners: Partners | None) -> dict[str, Tensor]:
        """Standardised pixels of each view. Both halves of a mixed image are augmented on their own."""
        pixels_N3HW = self._pixels(self.pairs.image_P[pairs_N])
        others_K3HW = None
        if partners is not None and len(partners.pairs_K):
            others_K3HW = self._pixels(self.pairs.image_P[partners.pairs_K])
        views = {}
        for view in (view for view in self.augmentation if view != REJECTED):
            views[view] = self._augmented(view, pixels_N3HW, epoch, pairs_N, STREAMS[view])
            if partners is not None and others_K3HW is not None:
                stream = PARTNER + STREAMS[view]
                other_K3HW = self._augmented(view, others_K3HW, epoch, pairs_N[partners.rows_K], stream)
                views[view] = partners.blend(views[view], other_K3HW)
        return {view: self._standardised(augmented_N3HW) for view, augmented_N3HW in views.items()}

    def _standardised(self, pixels_N3HW: Tensor) -> Tensor:
        given = self.preprocessing
        mean, std = (torch.tensor(values, device=self.device)[:, None, None] for values in (given.mean, given.std))
        return (pixels_N3HW - mean) / std

    def _pixels(self, images_N: NDArray[np.int64]) -> Tensor:
        """These images [N, 3, H, W] in [0, 1]."""
        rows_N = self.pixel_rows_G[images_N]
        bytes_N3HW = torch.from_numpy(self.pixels_GHW3[rows_N]).to(self.device).permute(0, 3, 1, 2)
        # Copied to the device as bytes and converted there: a quarter of the transfer of float32.
        return bytes_N3HW.float().contiguous() / 255

    def _augmented(self, view: str, pixels_N3HW: Tensor, epoch: int, pairs_N: NDArray[np.int64], stream: int) -> Tensor:
        config = self.augmentation[view]
        uniform_NK = uniform_rows(self.sampler.seed, epoch, pairs_N, config.draws, stream)
        return augment_images(config, pixels_N3HW, torch.from_numpy(uniform_NK))

    def _text_views(self, wordings: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
        """Token ids of each view. All views are trimmed to one length: they pass through the tower as one batch."""
        ids_NL = self._token_ids(self.tokenizer, [text for texts in wordings.values() for text in texts])
        return dict(zip(wordings, ids_NL.chunk(len(wordings)), strict=True)) if wordings else {}

    def _token_ids(self, tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(trim(tokenizer.encode(texts)))).to(self.device)

    def _wordings(self, view: str, epoch: int, pairs_N: NDArray[np.int64], partners: Partners | None) -> list[str]:
        """The augmented captions. A mixed pair's are joined first, so that the edits see one text (CTLG)."""
        others = {} if partners is None else dict(zip(partners.rows_K.tolist(), partners.pairs_K.tolist(), strict=True))
        texts = []
        for row, pair in enumerate(pairs_N.tolist()):
            generator = sample_generator(self.sampler.seed, epoch, pair, STREAMS[view])
            text = self._wording(pair, generator)
            if partners is not None and row in others:
                text = partners.join(text, self._wording(others[row], generator))
            texts.append(edit_caption(self.text_augmentation, text, generator))
        return texts

    def _wording(self, pair: int, generator: np.random.Generator) -> str:
        record, caption = self.records[int(self.pairs.image_P[pair])], int(self.pairs.caption_P[pair])
        return choose_wording(self.text_augmentation, record, caption, generator)


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
