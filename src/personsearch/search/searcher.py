"""From words to candidates: encode, search, group what belongs to one track, say how far to trust it.

Shapes: D embedding dimension.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personsearch.errors import UserError
from personsearch.search.calibration import DEPTH, Calibration
from personsearch.search.crop import Crop
from personsearch.search.encoder import Encoder
from personsearch.search.filters import EVERYTHING, CropFilter
from personsearch.search.guards import MAX_K, check_k
from personsearch.search.index import Hit, VectorIndex

MAX_TEXT = 2000
CROPS_PER_TRACK = 4  # first guess at how many crops of a track stand together in a ranking


@dataclass(frozen=True, slots=True)
class Candidate:
    """A crop that may show the person described; `rank` counts from 1.

    `confidence` is the calibrated probability that it does, None for a model without calibration.
    """

    rank: int
    crop: Crop
    score: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Candidates, best first. `reliable` False is "no reliable match", None where the model was never calibrated."""

    candidates: list[Candidate]
    reliable: bool | None


class Searcher:
    """Answers descriptions from one index with the model that made its vectors."""

    def __init__(self, encoder: Encoder, index: VectorIndex, calibration: Calibration | None = None) -> None:
        self.encoder = encoder
        self.index = index
        self.calibration = calibration

    def search(
        self, text: str, *, k: int = 10, crop_filter: CropFilter = EVERYTHING, group_by_track: bool = True
    ) -> list[Candidate]:
        """The candidates of `answer`."""
        return self.answer(text, k=k, crop_filter=crop_filter, group_by_track=group_by_track).candidates

    def answer(
        self, text: str, *, k: int = 10, crop_filter: CropFilter = EVERYTHING, group_by_track: bool = True
    ) -> Answer:
        """The k best candidates; with `group_by_track` the best crop of each track.

        Raises:
            UserError: an empty or over-long text, or `k` outside what an index gives.
        """
        vector_D = self.encoder.encode_texts([checked_text(text)])[0]
        return self.answer_vector(vector_D, k=k, crop_filter=crop_filter, group_by_track=group_by_track)

    def answer_vector(
        self,
        vector_D: NDArray[np.float32],
        *,
        k: int = 10,
        crop_filter: CropFilter = EVERYTHING,
        group_by_track: bool = True,
    ) -> Answer:
        """Like `answer`, for a query that is encoded already."""
        try:
            check_k(k)
        except ValueError as error:
            raise UserError(str(error)) from error
        hits = self._hits(vector_D, k, crop_filter, group_by_track=group_by_track)
        scores = [hit.score for hit in hits[:DEPTH]]
        chosen = list(first_of_each_track(hits) if group_by_track else hits)[:k]
        reliable = None if self.calibration is None else self.calibration.is_reliable(scores)
        return Answer([self._candidate(rank, hit, scores) for rank, hit in enumerate(chosen, start=1)], reliable)

    def _hits(
        self, vector_D: NDArray[np.float32], k: int, crop_filter: CropFilter, *, group_by_track: bool
    ) -> list[Hit]:
        """Crops, best first: as many as calibration looks at, and for groups until they are of k tracks."""
        limit = min(max(k * CROPS_PER_TRACK if group_by_track else k, DEPTH), MAX_K)
        while True:
            hits = self.index.search(vector_D[None], limit, crop_filter)[0]
            found = sum(1 for _ in first_of_each_track(hits)) if group_by_track else len(hits)
            if found >= k or len(hits) < limit or limit == MAX_K:
                return hits
            limit = min(limit * 4, MAX_K)

    def _candidate(self, rank: int, hit: Hit, scores: list[float]) -> Candidate:
        confidence = None if self.calibration is None else self.calibration.confidence(hit.score, scores)
        return Candidate(rank, hit.crop, hit.score, confidence)


def first_of_each_track(hits: Iterable[Hit]) -> Iterator[Hit]:
    """The best hit of each track; a crop without track stands for itself. Tracks are named within their camera."""
    seen: set[tuple[str, str]] = set()
    for hit in hits:
        track = (hit.crop.camera_id, hit.crop.track_id)
        if track not in seen:
            yield hit
        if hit.crop.track_id:
            seen.add(track)


def checked_text(text: str) -> str:
    """The description without surrounding space.

    Raises:
        UserError: it is empty or over MAX_TEXT characters.
    """
    text = text.strip()
    if not text:
        raise UserError("the description is empty; say what the person looks like")
    if len(text) > MAX_TEXT:
        raise UserError(f"the description has {len(text)} characters; at most {MAX_TEXT} are read")
    return text
