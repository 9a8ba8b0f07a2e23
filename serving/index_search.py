"""Searches one live collection, in a copy of it in memory if it fits."""

import logging

from personsearch.search.exact import MIRROR_LIMIT, ExactIndex
from personsearch.search.filters import CropFilter
from personsearch.search.index import CollectionProperties, VectorIndex
from personsearch.search.searcher import Answer, Searcher

logger = logging.getLogger(__name__)


class IndexSearch:
    """A LiveSearch over any VectorIndex."""

    def __init__(
        self, collection: str, properties: CollectionProperties, searcher: Searcher, *, mirror: bool = False
    ) -> None:
        self.collection = collection
        self.properties = properties
        self._stored = searcher
        self._searcher = searcher
        self._mirror = mirror
        self._crops = -1

    def refresh(self) -> int:
        """If the number of crops has changed, copy the collection again and make a new searcher, which counts them."""
        crops = self._stored.index.count()
        if crops != self._crops:
            fits = self._mirror and crops <= MIRROR_LIMIT
            self._searcher = self._searcher_of(self._mirror_of_stored() if fits else self._stored.index)
            self._crops = crops
            logger.info("%s: %d crops, %s", self.collection, crops, "mirrored in memory" if fits else "not mirrored")
        return crops

    def search(self, text: str, *, k: int, crop_filter: CropFilter, group_by_track: bool) -> Answer:
        """Candidates, best first, and whether the best of them can be trusted."""
        return self._searcher.answer(text, k=k, crop_filter=crop_filter, group_by_track=group_by_track)

    def _mirror_of_stored(self) -> ExactIndex:
        return ExactIndex.mirror(self._stored.index, self.properties.embedding_dim, self.properties.coding)

    def _searcher_of(self, index: VectorIndex) -> Searcher:
        """A new searcher for each number of crops, because a searcher counts its index only once."""
        return Searcher(self._stored.encoder, index, self._stored.calibration)
