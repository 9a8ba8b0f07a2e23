"""What must hold before a collection may go live.

Shapes: N crops, Q probe queries, S sample crops, H height, W width, D embedding dimension.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from personsearch.config import Config
from personsearch.errors import UserError
from personsearch.gallery.store import Gallery
from personsearch.gallery.synchronise import read_pixels
from personsearch.images import ImageRejected
from personsearch.search.crop import Crop
from personsearch.search.encoder import Encoder
from personsearch.search.exact import ExactIndex
from personsearch.search.filters import CropFilter
from personsearch.search.index import SCORE_DECIMALS, Hit, VectorIndex, rank

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


class VerificationFailed(UserError):
    """A collection that must not go live; the message is the reason."""


class VerifyConfig(Config):
    """Bounds on a collection. `probe_texts` are the queries whose recall is measured."""

    probe_texts: tuple[str, ...] = PROBE_TEXTS
    recall_at: int = 10
    min_recall: float = 0.95
    min_spread: float = 1e-4
    num_samples: int = 16
    max_sample_distance: float = 1e-3


class Findings(Config):
    """What a verification measured; a figure that needs more crops than there are is 1."""

    crops: int
    recall: float
    spread: float


def verify(
    config: VerifyConfig, index: VectorIndex, gallery: Gallery, encoder: Encoder, *, unreadable: int
) -> Findings:
    """Check a collection against its gallery and its model.

    Raises:
        VerificationFailed: a count that differs, vectors that the model does not reproduce, embeddings that have
            collapsed, or an approximate index that loses what text queries should find.
    """
    expected = gallery.count() - unreadable
    if (stored := index.count()) != expected:
        raise VerificationFailed(f"the collection holds {stored} crops, the gallery {expected} that can be read")
    _verify_samples(config, index, gallery, encoder)
    recall, spread = _measure(config, index, encoder)
    if not spread >= config.min_spread:
        raise VerificationFailed(
            f"embeddings have collapsed: spread {spread:.2g}, at least {config.min_spread:g} wanted"
        )
    if not recall >= config.min_recall:
        raise VerificationFailed(f"recall of text queries is {recall:.3f}, at least {config.min_recall:g} wanted")
    return Findings(crops=stored, recall=recall, spread=spread)


def _verify_samples(config: VerifyConfig, index: VectorIndex, gallery: Gallery, encoder: Encoder) -> None:
    """Encode some crops anew: vectors of another model, or stored beside the wrong crop, do not match."""
    samples = list(_samples(index, gallery, config.num_samples))
    if not samples:
        raise VerificationFailed("no crop of the gallery can be read")
    try:
        pixels_SHW3 = np.array([read_pixels(gallery, crop, encoder) for crop in samples])
    except ImageRejected as error:
        raise VerificationFailed(f"a crop that was indexed cannot be read any more: {error}") from error
    vectors_SD = encoder.encode_images(pixels_SHW3)
    for crop, vector_D in zip(samples, vectors_SD, strict=True):
        [hits] = index.search(vector_D[None], 1, CropFilter(crop_ids=(crop.crop_id,)))
        distance = 1.0 - hits[0].score if hits else 2.0
        if not distance <= config.max_sample_distance:
            raise VerificationFailed(f"crop {crop.crop_id}: its vector is {distance:.2g} from what the model gives")


def _samples(index: VectorIndex, gallery: Gallery, count: int) -> Iterator[Crop]:
    """Crops spread evenly over the collection."""
    step = max(1, index.count() // count)
    crops = (gallery.crop(crop_id) for crop_id in islice(index.crop_ids(), 0, None, step))
    yield from islice((crop for crop in crops if crop is not None), count)


def _measure(config: VerifyConfig, index: VectorIndex, encoder: Encoder) -> tuple[float, float]:
    """Recall of the index's own search against exact search, and 1 − |mean embedding|², in one pass."""
    queries_QD = encoder.encode_texts(config.probe_texts)
    exact: list[list[Hit]] = [[] for _ in queries_QD]
    total_D, count = np.zeros(encoder.embedding_dim), 0
    for crops, vectors_ND in index.iterate():
        part = ExactIndex(encoder.embedding_dim)
        part.upsert(crops, vectors_ND)
        found = part.search(queries_QD, config.recall_at)
        exact = [rank(best + more, config.recall_at) for best, more in zip(exact, found, strict=True)]
        total_D += vectors_ND.sum(axis=0)
        count += len(crops)
    recall = _recall(index.search(queries_QD, config.recall_at), exact)
    return recall, _spread(total_D, count)


def _recall(found: Sequence[Sequence[Hit]], exact: Sequence[Sequence[Hit]]) -> float:
    """Share of the exact results found; among equal scores any crop is as good as another."""
    tolerance = 2 * 10.0**-SCORE_DECIMALS
    wanted = sum(len(hits) for hits in exact)
    right = sum(
        sum(hit.score >= best[-1].score - tolerance for hit in hits)
        for hits, best in zip(found, exact, strict=True)
        if best
    )
    return right / wanted if wanted else 1.0


def _spread(total_D: NDArray[np.float64], count: int) -> float:
    return 1.0 - float(np.square(total_D / count).sum()) if count > 1 else 1.0
