"""Which pairs training sees, and in which order: a share of the people, wrong captions on purpose, whole batches.

All of it follows from the seed (and the epoch) alone, so nothing is stored and any step can be resumed.

Shapes: P pairs of the data set, K of them kept or noisy, N pairs of one step's global batch.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from personsearch.data.records import ImageRecord
from personsearch.errors import UserError


def few_shot_rows(records: Sequence[ImageRecord], fraction: float, seed: int) -> NDArray[np.int64]:
    """All images of a seeded choice of `fraction` of the identities (rounded, at least one): ascending rows [K].

    TBPS-CLIP reports 1, 5 and 10 % without saying how they are drawn. Here smaller shares lie within larger ones of the
    same seed: 1 % ⊂ 5 % ⊂ 10 %.

    Raises:
        ValueError: `fraction` is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction {fraction}: a number above 0 and up to 1 expected")
    person_ids = np.array([record.person_id for record in records], dtype=np.int64)
    identities = np.unique(person_ids)
    order = np.random.default_rng(seed).permutation(identities)
    kept = order[: max(1, round(fraction * len(identities)))]
    return np.flatnonzero(np.isin(person_ids, kept))


def shuffle_captions(records: Sequence[ImageRecord], share: float, seed: int) -> list[ImageRecord]:
    """Shuffle `share` of all captions, with their back-translations, among their places; the rest stay.

    This is the "noisy correspondence" of RDE's experiments (Qin et al., CVPR 2024). A shuffled caption returns to its
    own person by chance only, about once in as many captions as there are people. The places of a smaller share lie
    within those of a larger one of the same seed.
    """
    wordings_P = [
        wording
        for record in records
        for wording in zip(record.captions, record.captions_bt or record.captions, strict=True)
    ]
    generator, source_P = np.random.default_rng(seed), np.arange(len(wordings_P))
    noisy_K = generator.permutation(len(wordings_P))[: round(share * len(wordings_P))]
    source_P[noisy_K] = generator.permutation(noisy_K)
    shuffled_P = iter([wordings_P[source] for source in source_P])
    return [_with_wordings(record, [next(shuffled_P) for _ in record.captions]) for record in records]


def _with_wordings(record: ImageRecord, wordings: Sequence[tuple[str, str]]) -> ImageRecord:
    return replace(record, captions=[first for first, _ in wordings], captions_bt=[second for _, second in wordings])


@dataclass(frozen=True, slots=True)
class Pairs:
    """Every (image, caption) of a split, as two parallel arrays [P]."""

    image_P: NDArray[np.int64]
    caption_P: NDArray[np.int64]

    @classmethod
    def of(cls, records: Sequence[ImageRecord]) -> "Pairs":
        counts = [len(record.captions) for record in records]
        captions = [np.arange(count) for count in counts]
        return cls(np.repeat(np.arange(len(records)), counts), np.concatenate([np.empty(0, np.int64), *captions]))

    def __len__(self) -> int:
        return len(self.image_P)


FIRST_TEXT = 10**18  # what the numbers of groups with a text begin with


@dataclass(frozen=True, slots=True)
class Groups:
    """Near twins: the person of each image, and the group of people who look alike [G] (of pairs: [P])."""

    person_G: NDArray[np.int64]
    group_G: NDArray[np.int64]

    @classmethod
    def of(cls, records: Sequence[ImageRecord]) -> "Groups | None":
        """By the attribute `group` of the images, a number or a text; None where no two people share one.

        Raises:
            UserError: an image's group is neither.
        """
        person_G = np.array([record.person_id for record in records], dtype=np.int64)
        names = [_group(record) for record in records]
        texts = sorted({name for name in names if isinstance(name, str)})
        numbers = {name: FIRST_TEXT + place for place, name in enumerate(texts)}
        group_G = np.array([numbers[name] if isinstance(name, str) else name for name in names], dtype=np.int64)
        return cls(person_G, group_G) if len(np.unique(group_G)) < len(np.unique(person_G)) else None

    def of_pairs(self, pairs: Pairs) -> "Groups":
        """The same of every pair."""
        return Groups(self.person_G[pairs.image_P], self.group_G[pairs.image_P])

    def together(self, order_P: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
        """The order with the first pair of each twin of a group together, then the second of each, and so on; these
        blocks are shuffled.
        """
        turn_P = _turns(self.person_G[order_P])
        blocks, block_P = np.unique(np.stack([self.group_G[order_P], turn_P]), axis=1, return_inverse=True)
        place_P = generator.permutation(blocks.shape[1])[block_P.reshape(-1)]
        return order_P[np.argsort(place_P, kind="stable")]


def _group(record: ImageRecord) -> int | str:
    """The group's number, else its text; below 0 for people without one, so that no number of theirs is a group's."""
    value = json.loads(record.attributes).get("group") if record.attributes else None
    if value is None or value == "":
        return -1 - record.person_id
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UserError(f"{record.path}: attribute group is {json.dumps(value)}; expected a number or a text")
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    is_number = text.isascii() and text.isdecimal() and len(text) < len(str(FIRST_TEXT))
    return int(text) if is_number else text


def _turns(person_P: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many pairs of the same person come before each [P]."""
    sorted_P = np.argsort(person_P, kind="stable")
    people = person_P[sorted_P]
    starts = np.flatnonzero(np.r_[True, people[1:] != people[:-1]])
    turn_P = np.empty(len(person_P), np.int64)
    turn_P[sorted_P] = np.arange(len(people)) - np.repeat(starts, np.diff(np.r_[starts, len(people)]))
    return turn_P


@dataclass(frozen=True, slots=True)
class Rejections:
    """By pair, the images [K] that people rejected for its caption (their attribute `rejected_for`)."""

    images_of_pair: dict[int, NDArray[np.int64]]

    @classmethod
    def of(cls, records: Sequence[ImageRecord], pairs: Pairs) -> "Rejections":
        rejected: dict[str, list[int]] = {}
        for image, record in enumerate(records):
            for text in record.rejected_for:
                rejected.setdefault(text, []).append(image)
        captions = zip(pairs.image_P.tolist(), pairs.caption_P.tolist(), strict=True) if rejected else ()
        texts = (records[image].captions[caption] for image, caption in captions)
        return cls({pair: np.array(rejected[text]) for pair, text in enumerate(texts) if text in rejected})

    def draw(self, pair: int, generator: np.random.Generator) -> int | None:
        """One of a pair's rejected images; None where it has none."""
        images_K = self.images_of_pair.get(pair)
        return None if images_K is None else int(generator.choice(images_K))


@dataclass(frozen=True, slots=True)
class Sampler:
    """Deterministic epochs of whole batches; pairs that do not fill a batch sit this epoch out."""

    pairs: int
    batch_size: int
    seed: int
    groups: Groups | None = None

    @property
    def steps_per_epoch(self) -> int:
        return self.pairs // self.batch_size

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The permutation of one epoch, [P]. Near twins follow each other, one pair of each at a time."""
        generator = np.random.default_rng((self.seed, epoch))
        order_P = generator.permutation(self.pairs)
        return order_P if self.groups is None else self.groups.together(order_P, generator)

    def batch(self, order_P: NDArray[np.int64], step: int) -> NDArray[np.int64]:
        """The global batch of a step of the epoch whose permutation is `order_P`, [N]."""
        return order_P[step * self.batch_size : (step + 1) * self.batch_size]


def shard(batch_N: NDArray[np.int64], rank: int, world_size: int) -> NDArray[np.int64]:
    """One process's contiguous part of a global batch; the parts joined in rank order are the batch."""
    if len(batch_N) % world_size:
        raise ValueError(f"batch of {len(batch_N)} for {world_size} processes; a multiple expected")
    size = len(batch_N) // world_size
    return batch_N[rank * size : (rank + 1) * size]
