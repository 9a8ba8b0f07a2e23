"""Answers a description: encodes it, searches, groups crops by track and estimates confidence.

Shapes: D embedding dimension.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from personsearch.encoders.encoder import Encoder
from personsearch.errors import UserError
from personsearch.search.calibration import DEPTH, CalibratedCurve, Conditions, Level, Moments, count_facts, lead_over
from personsearch.search.crop import Crop
from personsearch.search.filters import EVERYTHING, CropFilter
from personsearch.search.index import MAX_K, Hit, VectorIndex, check_k
from personsearch.search.query import Query, combined

MAX_TEXT = 2000
CROPS_PER_TRACK = 4  # first guess at the crops of one track among the best; if it is too low, a second search follows
Match = Literal["none", "some", "many"]
Judge = Callable[[float, float], float]  # a candidate's confidence by its similarity and its lead
NO_CONDITIONS = Conditions()
NO_LEVEL = Level()
NEVER_CALIBRATED = "No confidence: the model was never calibrated."
ONE_DESCRIPTION = "No confidence: it is calibrated for one description alone, not for {}."
NOT_TOGETHER = "No confidence: it is not calibrated for {} in one search."
SMALLEST_SPREAD = 1e-4
MANY = 3  # candidates that fit: none of them stands out
SAMPLE = 512  # crops from which the gallery's level is estimated …
SAMPLED_IDS = 16_384  # … spread over so many, by their ids: as many as an engine returns at once
JUDGED = (DEPTH + 1) * CROPS_PER_TRACK  # always fetch this many crops: confidence compares the best with its rivals


@dataclass(frozen=True, slots=True)
class Candidate:
    """A crop that may show the person described; `rank` counts from 1.

    `lead` is its score minus the mean of the best other tracks'; `confidence` is the calibrated probability that it
    shows the person, None for a model without calibration.
    """

    rank: int
    crop: Crop
    score: float
    confidence: float | None = None
    lead: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Candidates, best first. `reliable` is False for "no reliable match", None if the model was never calibrated.

    The model read `text_cut_after` characters of the description, all of it if None. `fitting` counts those of the
    DEPTH best tracks that are as likely to fit as a reliable answer. `given` has the number of tracks searched,
    estimated in a large gallery. `uncalibrated` says why no candidate has a confidence; "" where they have.
    """

    candidates: list[Candidate]
    reliable: bool | None
    text_cut_after: int | None = None
    fitting: int | None = None
    given: Conditions = NO_CONDITIONS
    uncalibrated: str = ""

    @property
    def match(self) -> Match | None:
        """No reliable match is "none"; a reliable one is "many" if the description fits others as well."""
        if self.reliable is None:
            return None
        return "none" if not self.reliable else "many" if (self.fitting or 0) >= MANY else "some"

    @property
    def remark(self) -> str:
        """What to tell whoever searched, beside the candidates; "" if there is nothing to add."""
        if self.candidates and self.match == "none":
            return "No reliable match: these are the nearest, who need not fit the description."
        if self.match == "many":
            return f"Many fit this description: {self.fitting} of the best candidates. Add details to tell them apart."
        return self.uncalibrated


def none_of(crop_ids: Sequence[str]) -> Sequence[str]:
    """For an index of crops of which none was erased."""
    return ()


class Searcher:
    """Answers descriptions from one index with the model that made its vectors.

    The index is counted and its vectors' moments are measured only once; make a new searcher when it has changed.
    `erased_among` names the crops that were erased but may still be in the index: no moment includes them.
    """

    def __init__(
        self,
        encoder: Encoder,
        index: VectorIndex,
        calibration: CalibratedCurve | None = None,
        erased_among: Callable[[Sequence[str]], Sequence[str]] = none_of,
    ) -> None:
        self.encoder = encoder
        self.index = index
        self.calibration = calibration
        self._erased_among = erased_among

    def answer(
        self, text: str, *, k: int = 10, crop_filter: CropFilter = EVERYTHING, group_by_track: bool = True
    ) -> Answer:
        """The k best candidates; with `group_by_track` the best crop of each track.

        Raises:
            UserError: an empty or too long text, or a `k` that no index can return.
        """
        return self.answer_query(Query((text,)), k=k, crop_filter=crop_filter, group_by_track=group_by_track)

    def confidences(
        self,
        text: str,
        crops: Sequence[Crop],
        vectors_ND: NDArray[np.float32],
        crop_filter: CropFilter = EVERYTHING,
    ) -> list[tuple[float, float]]:
        """The score of each of these crops, and the confidence that a search for `text` shows for it. The index need
        not have them yet; they are rivals of one another.

        Raises:
            UserError: as `answer`, or the model was never calibrated.
        """
        if self.calibration is None:
            raise UserError(NEVER_CALIBRATED)
        text = checked_text(text)
        vector_D = self.encoder.encode_texts([text])[0]
        found = self._hits(Query((text,)), vector_D, 1, crop_filter, group_by_track=True)
        scores_N = vectors_ND @ vector_D
        hits = [Hit(crop, float(score)) for crop, score in zip(crops, scores_N, strict=True)]
        given = self._conditions(vector_D, count_facts(text), self._tracks(found, crop_filter))
        rivals = sorted([*found, *hits], key=lambda hit: -hit.score)
        return [
            (hit.score, self.calibration.confidence(hit.score, lead, given))
            for hit, lead in zip(hits, _leads(hits, rivals), strict=True)
        ]

    def answer_query(
        self, query: Query, *, k: int = 10, crop_filter: CropFilter = EVERYTHING, group_by_track: bool = True
    ) -> Answer:
        """The k best candidates for a query of any kind. Of a kind for which the model has no calibration, candidates
        have no confidence, and whether the best one is reliable is None.

        Raises:
            UserError: as `answer`, or the query has nothing to search for.
        """
        texts, without = (tuple(map(checked_text, given)) for given in (query.texts, query.without))
        query = replace(query, texts=texts, without=without)
        _check_k(k)
        vector_D = self._vector(query)
        found = self._hits(query, vector_D, k, crop_filter, group_by_track=group_by_track)
        hits = [hit for hit in found if _is_shown(query, hit.crop)]
        chosen = list(first_of_each_track(hits) if group_by_track else hits)[:k]
        given = self._conditions(vector_D, sum(map(count_facts, texts)), self._tracks(found, crop_filter))
        judge = self._judge(query, given)
        candidates = [
            Candidate(rank, hit.crop, hit.score, judge and judge(hit.score, lead), lead)
            for rank, (hit, lead) in enumerate(zip(chosen, _leads(chosen, hits), strict=True), start=1)
        ]
        return Answer(
            candidates,
            self._is_reliable(candidates) if judge else None,
            text_cut_after=self.encoder.text_cut_after(texts[0]) if texts else None,
            fitting=self._count_fitting(hits, judge) if judge else None,
            given=given,
            uncalibrated="" if judge else self._why_uncalibrated(query),
        )

    def _judge(self, query: Query, given: Conditions) -> Judge | None:
        """The confidence by similarity and lead; None where the model has none for such queries."""
        curve = self.calibration.curve_of(query.kind) if self.calibration else None
        return None if curve is None else lambda score, lead: curve.probability(score, lead, given)

    def _why_uncalibrated(self, query: Query) -> str:
        if self.calibration is None:
            return NEVER_CALIBRATED
        told = NOT_TOGETHER if self.calibration.curves and query.kind is None else ONE_DESCRIPTION
        return told.format(query.beyond_description)

    def _vector(self, query: Query) -> NDArray[np.float32]:
        if not query.texts and query.picture_D is None:
            raise UserError("nothing to search for: a description or a picture expected")
        encoded_ND = self.encoder.encode_texts([*query.texts, *query.without])
        text_ND, without_ND = encoded_ND[: len(query.texts)], encoded_ND[len(query.texts) :]
        if len(encoded_ND) == 1 and query.picture_D is None:
            return np.asarray(encoded_ND[0])
        return combined(text_ND, without_ND, query.picture_D, query.picture_weight, self._spread)

    def _spread(self, vector_D: NDArray[np.float32]) -> float:
        """How much similarities to this vector vary over the gallery; 1 where the gallery cannot tell."""
        spread = self._moments.level(vector_D, NO_LEVEL).spread
        return spread if self._moments.count > 1 and spread > SMALLEST_SPREAD else 1.0

    def _conditions(self, vector_D: NDArray[np.float32], facts: int, tracks: float) -> Conditions:
        """What the confidences of this search have in common; the levels only if the calibration uses them."""
        if self.calibration is None or self.calibration.reference is None:
            return Conditions(tracks, facts)
        reference = self.calibration.reference.level(vector_D)
        return Conditions(tracks, facts, reference, self._moments.level(vector_D, reference))

    def _is_reliable(self, candidates: list[Candidate]) -> bool:
        best = candidates[0].confidence if candidates else None
        return best is not None and self.calibration is not None and best >= self.calibration.threshold

    def _count_fitting(self, hits: list[Hit], judge: Judge) -> int:
        """How many of the DEPTH best tracks reach the threshold, independent of `k` and grouping."""
        assert self.calibration is not None
        leaders = list(islice(first_of_each_track(hits), DEPTH))
        judged = zip(leaders, _leads(leaders, hits), strict=True)
        return sum(judge(hit.score, lead) >= self.calibration.threshold for hit, lead in judged)

    def _hits(
        self, query: Query, vector_D: NDArray[np.float32], k: int, crop_filter: CropFilter, *, group_by_track: bool
    ) -> list[Hit]:
        """Crops, best first: enough of those that the query shows to judge the best one and for k candidates."""
        limit = min(max(k * CROPS_PER_TRACK if group_by_track else k, JUDGED), MAX_K)
        least_tracks, least_crops = (max(k, DEPTH + 1), 0) if group_by_track else (DEPTH + 1, k)
        while True:
            hits = self.index.search(vector_D[None], limit, crop_filter)[0]
            shown = [hit for hit in hits if _is_shown(query, hit.crop)]
            enough = len(shown) >= least_crops and sum(1 for _ in first_of_each_track(shown)) >= least_tracks
            if enough or len(hits) < limit or limit == MAX_K:
                return hits
            limit = min(limit * 4, MAX_K)

    def _tracks(self, hits: list[Hit], crop_filter: CropFilter) -> float:
        """The number of tracks searched: counted if the hits cover everything, else estimated from the best hits'
        crops per track.
        """
        judged = hits[:JUDGED]
        tracks = sum(1 for _ in first_of_each_track(judged))
        if len(hits) < JUDGED:
            return float(tracks)
        crops = self._crops if crop_filter == EVERYTHING else self.index.count(crop_filter)
        return crops * tracks / len(judged)

    @cached_property
    def _crops(self) -> int:
        """Cached, because counting a large collection on a server takes longer than searching it."""
        return self.index.count()

    @cached_property
    def _moments(self) -> Moments:
        """Those of SAMPLE crops, the same whatever engine holds the collection; their vectors are not kept."""
        crop_ids = list(islice(self.index.crop_ids(), SAMPLED_IDS))
        chosen = crop_ids[:: max(1, -(-len(crop_ids) // SAMPLE))]
        erased = set(self._erased_among(chosen))
        held = [crop_id for crop_id in chosen if crop_id not in erased]
        return Moments.of(self.index.fetch(held)[1] if held else np.empty((0, self.encoder.embedding_dim), np.float32))


def _is_shown(query: Query, crop: Crop) -> bool:
    is_late = query.ingested_until is not None and crop.ingested_at > query.ingested_until
    return not is_late and track_of(crop) != query.other_than


def _leads(chosen: list[Hit], hits: list[Hit]) -> list[float]:
    """The lead of each chosen hit over the best other tracks, independent of `k` and grouping."""
    leaders = [(track_of(hit.crop), hit.score) for hit in islice(first_of_each_track(hits), DEPTH + 1)]
    return [lead_over(hit.score, [score for track, score in leaders if track != track_of(hit.crop)]) for hit in chosen]


def first_of_each_track(hits: Iterable[Hit]) -> Iterator[Hit]:
    """The best hit of each track."""
    seen: set[tuple[str, str, str]] = set()
    for hit in hits:
        track = track_of(hit.crop)
        if track not in seen:
            seen.add(track)
            yield hit


def track_of(crop: Crop) -> tuple[str, str, str]:
    """The key of a crop's track. Names are unique only within a camera; a crop without a track is its own track."""
    return crop.camera_id, crop.track_id, "" if crop.track_id else crop.crop_id


def _check_k(k: int) -> None:
    try:
        check_k(k)
    except ValueError as error:
        raise UserError(str(error)) from error


def checked_text(text: str) -> str:
    """The description without surrounding space.

    Raises:
        UserError: it is empty, has more than MAX_TEXT characters, or is not Unicode, as from a terminal without UTF-8.
    """
    text = text.strip()
    if not text:
        raise UserError("the description is empty; describe what the person looks like")
    if len(text) > MAX_TEXT:
        raise UserError(f"the description has {len(text)} characters; at most {MAX_TEXT} expected")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UserError(f"the description {text!a} is not Unicode; text in UTF-8 expected")
    return text
