"""One live collection: its vectors (mirrored in memory where they fit), its model's text tower, its calibration."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from personsearch.search.exact import ExactIndex
from personsearch.search.filters import CropFilter
from personsearch.search.index import CollectionProperties, Hit, VectorIndex
from serving.live import Answer, Candidate
from serving.query_encoder import QueryEncoder

logger = logging.getLogger(__name__)

MIRROR_LIMIT = 100_000
WIDEST_SEARCH = 16_384  # the most that Milvus returns at once
WIDENING = 4

Confidence = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """From a score to the probability of a right match; below `threshold` no match is reliable."""

    confidence: Confidence
    threshold: float


class IndexSearch:
    """A LiveSearch over any VectorIndex."""

    def __init__(
        self,
        collection: str,
        properties: CollectionProperties,
        index: VectorIndex,
        encoder: QueryEncoder,
        *,
        calibration: Calibration | None = None,
        mirror: bool = False,
    ) -> None:
        self.collection = collection
        self.properties = properties
        self._stored = index
        self._encoder = encoder
        self._calibration = calibration
        self._mirror = mirror
        self._serving = index
        self._mirrored = -1

    def refresh(self) -> int:
        """Mirror the collection anew where its number of crops has changed."""
        crops = self._stored.count()
        if self._mirror and crops != self._mirrored:
            fits = crops <= MIRROR_LIMIT
            self._serving = ExactIndex.mirror(self._stored, self.properties.embedding_dim) if fits else self._stored
            self._mirrored = crops
            logger.info("%s: %d crops, %s", self.collection, crops, "mirrored in memory" if fits else "not mirrored")
        return crops

    def search(self, text: str, *, k: int, crop_filter: CropFilter, group_by_track: bool) -> Answer:
        """Candidates, best first; a crop without a track stands for itself."""
        hits = self._hits(text, k, crop_filter, group_by_track=group_by_track)
        if self._calibration is None:
            return Answer([Candidate(hit.crop, hit.score, None) for hit in hits], reliable=None)
        confidence = self._calibration.confidence
        candidates = [Candidate(hit.crop, hit.score, confidence(hit.score)) for hit in hits]
        best = max((confidence(hit.score) for hit in hits), default=0.0)
        return Answer(candidates, reliable=best >= self._calibration.threshold)

    def _hits(self, text: str, k: int, crop_filter: CropFilter, *, group_by_track: bool) -> list[Hit]:
        vector_1D = self._encoder.encode(text)
        index, width = self._serving, k
        while True:
            hits = index.search(vector_1D, width, crop_filter)[0]
            best = _best_of_each_track(hits) if group_by_track else hits
            if len(best) >= k or len(hits) < width or width == WIDEST_SEARCH:
                return best[:k]
            width = min(width * WIDENING, WIDEST_SEARCH)


def _best_of_each_track(hits: list[Hit]) -> list[Hit]:
    best: dict[str, Hit] = {}
    for hit in hits:
        best.setdefault(hit.crop.track_id or f"crop {hit.crop.crop_id}", hit)
    return list(best.values())
