"""Checks a collection before it may go live.

Shapes: N crops, Q probe queries, S sample crops, H height, W width, D embedding dimension.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from personsearch.config import Config
from personsearch.encoders.encoder import Encoder
from personsearch.errors import VerificationFailed
from personsearch.gallery.encoding import read_pixels
from personsearch.gallery.store import Gallery
from personsearch.images import ImageRejected
from personsearch.search.crop import Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.filters import CropFilter
from personsearch.search.index import MAX_K, SCORE_DECIMALS, UNIT_TOLERANCE, Hit, VectorIndex, rank
from personsearch.search.quantised import FLOAT32, Coding
from personsearch.search.searcher import JUDGED

Batch = tuple[list[Crop], NDArray[np.float32]]

T = TypeVar("T")

PROBE_TEXTS = (
    "a man in a dark jacket and blue jeans",
    "a woman in a red coat with a black backpack",
    "a person in a white shirt and grey trousers",
    "a woman with long dark hair in a light dress carrying a handbag",
    "a man in shorts and a yellow t-shirt",
    "someone in a green hooded jacket",
    "a child with a pink bag",
    "an older man wearing a hat and a brown coat",
    "a person in a light blue hooded jacket and light blue jeans",
    "a man in a black suit with a briefcase",
    "a woman in a striped top and black leggings",
    "a person pushing a bicycle, wearing a helmet",
)


COPIED_AT_MOST = 100_000  # crops that are searched in a coded copy too
MANY_WORDS = 96  # more than a context of 77 tokens holds
WORDS_APART = 3


class VerifyConfig(Config):
    """Bounds that a collection must keep before it goes live."""

    probe_texts: tuple[str, ...] = Field(default=PROBE_TEXTS, min_length=1)
    """Queries whose recall is measured."""

    recall_at: int = Field(default=10, ge=1, le=MAX_K)
    """Best candidates of each query that are compared with an exact search."""

    min_recall: float = Field(default=0.95, ge=0, le=1)
    """Least share of these that the index finds."""

    min_spread: float = Field(default=1e-4, ge=0)
    """Least 1 − |mean embedding|²; 0 is a model whose embeddings have collapsed."""

    num_samples: int = Field(default=16, ge=1)
    """Crops that are encoded again."""

    max_sample_distance: float = Field(default=1e-3, ge=0)
    """Cosine distance that their stored vectors may have from the new ones."""

    max_score_error: float = Field(default=0.02, ge=0)
    """How far a score may be from the cosine of float vectors, on which confidence was calibrated. Graphs of 8 bits
    round an image by what else is in its batch, which alone moves a score by .01.
    """


class Findings(Config):
    """What a verification measured; a recall or spread that needs more crops than there are is 1."""

    crops: int
    """Crops in the collection."""

    recall: float
    """Share of the exact best candidates that the index found."""

    spread: float
    """1 − |mean embedding|²."""

    score_error: float
    """Largest distance of a score from the cosine, among text queries and sample crops."""


def verify(
    config: VerifyConfig,
    index: VectorIndex,
    gallery: Gallery,
    encoder: Encoder,
    *,
    coding: Coding = FLOAT32,
    sequence: int,
    unreadable: int,
    between: Callable[[], None] = lambda: None,
) -> Findings:
    """Check a collection against its gallery and its model; if its vectors are coded, check also the copy that a
    service would hold in memory. It holds crops added up to change `sequence` of the gallery, and perhaps later ones.
    `between` is called after each batch that was read, and before each sample.

    Raises:
        VerificationFailed: counts differ, the model does not reproduce the vectors, scores differ from float cosines,
            embeddings have collapsed, or the index misses what text queries should find.
    """
    least = gallery.count_until(sequence) - unreadable
    stored, most = index.count(), gallery.count() - unreadable
    if not least <= stored <= most:
        raise VerificationFailed(f"the collection holds {stored} crops, the gallery {least} that can be read")
    _verify_texts(encoder, config.probe_texts)
    exact = _Exact(encoder.encode_texts(config.probe_texts), config.recall_at)
    searched = [index, *_mirrors(index, exact, coding, between)]
    score_error = _verify_samples(config, searched, gallery, encoder, exact.queries_QD, between=between)
    if not exact.spread >= config.min_spread:
        raise VerificationFailed(
            f"embeddings have collapsed: spread {exact.spread:.2g}, at least {config.min_spread:g} expected"
        )
    recall = min(exact.recall(one) for one in searched)
    if not recall >= config.min_recall:
        raise VerificationFailed(
            f"recall of text queries is {recall:.3f} by {coding.vectors} vectors, "
            f"at least {config.min_recall:g} expected"
        )
    return Findings(crops=stored, recall=recall, spread=exact.spread, score_error=score_error)


def _verify_texts(encoder: Encoder, probe_texts: Sequence[str]) -> None:
    """Texts of every length must have unit vectors: a graph may be right for short ones only."""
    words = " ".join(probe_texts).split()
    longest = max(MANY_WORDS, len(words))
    texts = [" ".join(islice(cycle(words), length)) for length in range(1, longest + 1, WORDS_APART)]
    vectors_ND = encoder.encode_texts(texts)
    lengths_N = np.linalg.norm(vectors_ND, axis=1)
    wrong_N = ~(np.abs(lengths_N - 1.0) <= UNIT_TOLERANCE)  # also where it is NaN
    if wrong_N.any():
        words_of_first = len(texts[int(np.argmax(wrong_N))].split())
        raise VerificationFailed(
            f"a description of {words_of_first} words has a vector of length {lengths_N[np.argmax(wrong_N)]:.3g}; "
            "unit length expected"
        )


def spread_evenly(items: Iterable[T], total: int, count: int) -> Iterator[T]:
    """`count` of `total` items, evenly spaced and in order; all of them if there are fewer."""
    places = {number * total // count for number in range(count)}
    return (item for place, item in enumerate(items) if place in places)


@dataclass
class _Exact:
    """The results of an exact search, best first, and the mean embedding, gathered while a collection is read."""

    queries_QD: NDArray[np.float32]
    k: int
    total_D: NDArray[np.float64] = field(init=False)
    count: int = 0

    def __post_init__(self) -> None:
        self.best: list[list[Hit]] = [[] for _ in self.queries_QD]
        self.total_D = np.zeros(self.queries_QD.shape[1])

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the same batches after looking at them."""
        for crops, vectors_ND in batches:
            part = ExactIndex(len(self.total_D))
            part.upsert(crops, vectors_ND)
            found = part.search(self.queries_QD, self.depth)
            self.best = [rank(best + more, self.depth) for best, more in zip(self.best, found, strict=True)]
            self.total_D += vectors_ND.sum(axis=0)
            self.count += len(crops)
            yield crops, vectors_ND

    @property
    def depth(self) -> int:
        """Crops that a searcher asks for."""
        return max(self.k, JUDGED)

    def recall(self, index: VectorIndex) -> float:
        """Share of the best crops that another index finds when queried as a searcher does.

        Crops with equal exact scores count as equally good; the index's own scores do not matter.
        """
        found = index.search(self.queries_QD, self.depth)
        expected = sum(len(best[: self.k]) for best in self.best)
        right = sum(self._right(hits[: self.k], best) for hits, best in zip(found, self.best, strict=True))
        return right / expected if expected else 1.0

    def _right(self, hits: Sequence[Hit], best: Sequence[Hit]) -> int:
        enough = best[: self.k][-1].score - 2 * 10.0**-SCORE_DECIMALS if best else 0.0
        good = {hit.crop.crop_id for hit in best if hit.score >= enough}
        if len(good) == self.depth:  # too many equal crops to have looked at all of them
            return sum(hit.crop.crop_id in good or hit.score >= enough for hit in hits)
        return sum(hit.crop.crop_id in good for hit in hits)

    @property
    def spread(self) -> float:
        """1 − |mean embedding|²."""
        return 1.0 - float(np.square(self.total_D / self.count).sum()) if self.count > 1 else 1.0


def _followed_by(items: Iterable[T], between: Callable[[], None]) -> Iterator[T]:
    for item in items:
        yield item
        between()


def _mirrors(index: VectorIndex, exact: _Exact, coding: Coding, between: Callable[[], None]) -> list[ExactIndex]:
    """Read the whole collection; returns its coded copy in memory if a service would make one."""
    batches = _followed_by(exact.watch(index.iterate()), between)
    if coding.vectors != "float32" and index.count() <= COPIED_AT_MOST:
        return [ExactIndex.of_batches(batches, len(exact.total_D), coding)]
    deque(batches, maxlen=0)
    return []


def _verify_samples(
    config: VerifyConfig,
    searched: Sequence[VectorIndex],
    gallery: Gallery,
    encoder: Encoder,
    queries_QD: NDArray[np.float32],
    *,
    between: Callable[[], None],
) -> float:
    """Encode some crops again: vectors of another model, or stored with the wrong crop, do not match.

    Returns the largest difference between the score of a text query and the cosine.
    """
    samples = list(_samples(searched[0], gallery, config.num_samples))
    if not samples:
        raise VerificationFailed("no crop of the gallery can be read")
    pixels = []
    for read in read_pixels(gallery, samples, encoder):
        if isinstance(read, ImageRejected):
            raise VerificationFailed(f"a crop that was indexed cannot be read any more: {read}")
        pixels.append(read)
    vectors_SD = encoder.encode_images(np.array(pixels))
    worst = 0.0
    for index in searched:
        for crop, vector_D in zip(samples, vectors_SD, strict=True):
            between()
            own, *of_texts = _scores(index, crop, np.concatenate([vector_D[None], queries_QD]))
            if not 1.0 - own <= config.max_sample_distance:
                raise VerificationFailed(f"crop {crop.crop_id}: its vector is {1 - own:.2g} from what the model gives")
            worst = max(worst, float(np.abs(of_texts - queries_QD @ vector_D).max(initial=0.0)))
    if not worst <= config.max_score_error:
        raise VerificationFailed(f"a score is {worst:.2g} from the cosine, at most {config.max_score_error:g} expected")
    return worst


def _scores(index: VectorIndex, crop: Crop, queries_QD: NDArray[np.float32]) -> list[float]:
    """A crop's score for each query, -1 where it is not found."""
    found = index.search(queries_QD, 1, CropFilter(crop_ids=(crop.crop_id,)))
    return [hits[0].score if hits else -1.0 for hits in found]


def _samples(index: VectorIndex, gallery: Gallery, count: int) -> Iterator[Crop]:
    """Crops spread evenly over the collection, without those erased just now."""
    crops = map(gallery.crop, spread_evenly(index.crop_ids(), index.count(), count))
    return (crop for crop in crops if crop is not None)
