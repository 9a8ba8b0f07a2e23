"""Searches whose answer is known, to fit a calibration to: captions and short queries in galleries of several sizes.

To a caption the person described is the one right answer; to a short query everybody who fits is right. The same
similarity means less in a larger gallery. In some every image is a track of its own, in others all images of a person
are one track, as of a camera that follows people. Each holds people of one half of the split and is compared with the
pictures of the other half: compared with pictures of the same people, a gallery would tell who was taken out of it.

Shapes: Q queries, C queries of one chunk, G images, T tracks, K candidates of a query, N candidates in all, F features,
D embedding dimension.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personsearch.data.facts.catalogue import FACTS
from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN
from personsearch.data.facts.queries import ShortQuery, draw_query, fits
from personsearch.encoders.encoder import Encoder
from personsearch.evaluation.attributes.known import known_table
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.search.calibration import (
    DEPTH,
    SLOPES,
    Conditions,
    Level,
    Reference,
    count_facts,
    features,
)

CHUNK = 1024
MOST_SHORT_QUERIES = 600


@dataclass(frozen=True)
class Galleries:
    """People dealt into `parts` galleries; with `by_person` all images of a person are one track."""

    parts: int
    by_person: bool


GALLERIES = (Galleries(2, False), Galleries(8, False), Galleries(4, True), Galleries(16, True))


@dataclass(frozen=True)
class Questions:
    """Queries with their vectors, the facts they name, and the person whose gallery they are asked in, arrays [Q].

    `fits_QG` is TRUE, FALSE or UNKNOWN for each query and image; None if only images of the query's person are right.
    `own_Q` is the image that a query is made of, which no gallery holds; None if it is made of none.
    """

    text_QD: NDArray[np.float32]
    facts_Q: NDArray[np.int64]
    person_Q: NDArray[np.int64]
    fits_QG: NDArray[np.int8] | None = None
    own_Q: NDArray[np.int64] | None = None

    @classmethod
    def of_captions(cls, embeddings: SplitEmbeddings) -> "Questions":
        facts = np.array([count_facts(caption) for caption in embeddings.captions], dtype=np.int64)
        return cls(embeddings.text_QD, facts, embeddings.caption_ids)

    def truth(
        self, queries_C: NDArray[np.int64], images_G: NDArray[np.int64], people_G: NDArray[np.int64]
    ) -> NDArray[np.int8]:
        """TRUE, FALSE or UNKNOWN for each of these queries and images [C, G]."""
        if self.fits_QG is None:
            return np.asarray(self.person_Q[queries_C, None] == people_G, dtype=np.int8)
        fits_CG: NDArray[np.int8] = self.fits_QG[np.ix_(queries_C, images_G)]
        return fits_CG


@dataclass(frozen=True)
class Candidates:
    """The DEPTH best tracks of every query, best first: the curve's inputs [Q, K, F], whether it is right, and whether
    that is known of a track that exists [Q, K]; the tracks searched and the query's person [Q].
    """

    features_QKF: NDArray[np.float64]
    right_QK: NDArray[np.bool_]
    there_QK: NDArray[np.bool_]
    searched_Q: NDArray[np.int64]
    person_Q: NDArray[np.int64]

    def select(self, chosen_Q: NDArray[np.bool_]) -> "Candidates":
        return Candidates(*(values[chosen_Q] for values in vars(self).values()))

    @classmethod
    def join(cls, parts: Sequence["Candidates"]) -> "Candidates":
        return cls(*(np.concatenate(values) for values in zip(*(vars(part).values() for part in parts), strict=True)))

    def best(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The inputs [N, F] of the best candidates, and whether each is right [N]."""
        found_Q = self.there_QK[:, 0]
        return self.features_QKF[found_Q, 0], self.right_QK[found_Q, 0]

    def rightness(self) -> NDArray[np.bool_]:
        """Whether each candidate that exists is right [N]."""
        return self.right_QK[self.there_QK]


@dataclass(frozen=True)
class Searched:
    """The searches for one kind of query: with those it fits in the gallery, and without them."""

    present: Candidates
    absent: Candidates

    def select(self, people: NDArray[np.int64]) -> "Searched":
        """The searches for these people."""
        parts = (self.present, self.absent)
        return Searched(*(part.select(np.isin(part.person_Q, people)) for part in parts))


def search_kinds(
    embeddings: SplitEmbeddings,
    short: Questions | None,
    reference: Reference | None,
    galleries: Sequence[Galleries] = GALLERIES,
) -> dict[str, Searched]:
    """Every caption and short query in every gallery that holds its person."""
    questions = {"captions": Questions.of_captions(embeddings)}
    if short is not None:
        questions["short_queries"] = short
    return {name: search_known(embeddings, asked, reference, galleries) for name, asked in questions.items()}


def search_known(
    embeddings: SplitEmbeddings,
    questions: Questions,
    reference: Reference | None = None,
    galleries: Sequence[Galleries] = GALLERIES,
) -> Searched:
    """Every query in every gallery that holds its person, with those it fits and without."""
    return Searched(
        *(
            find_candidates(embeddings, questions, reference, absent=absent, galleries=galleries)
            for absent in (False, True)
        )
    )


def draw_short_queries(
    embeddings: SplitEmbeddings, encoder: Encoder, most: int = MOST_SHORT_QUERIES
) -> Questions | None:
    """Short queries about what is known of images drawn at random, the same on every run; None if nothing is known."""
    table_GF, _ = known_table(embeddings.records)
    asked = drawn_queries(table_GF, most, seed=0)
    if not asked:
        return None
    queries = [query for _, query in asked]
    return Questions(
        text_QD=encoder.encode_texts([query.text for query in queries]),
        facts_Q=np.array([count_facts(query.text) for query in queries], dtype=np.int64),
        person_Q=embeddings.image_ids[[image for image, _ in asked]],
        fits_QG=fits(queries, table_GF).T,
    )


def drawn_queries(table_GF: NDArray[np.int8], most: int, seed: int) -> list[tuple[int, ShortQuery]]:
    """Images drawn at random, at most twice each, with a short query about what is known of each. Which images are
    drawn does not depend on `seed`.
    """
    rng = np.random.default_rng(0)
    images = rng.permutation(np.flatnonzero((table_GF == TRUE).any(axis=1)))
    images = np.tile(images, -(-most // max(len(images), 1)))[: min(most, 2 * len(images))]
    if seed:
        rng = np.random.default_rng(seed)
    drawn = [(int(image), draw_query(_true_facts(table_GF[image]), rng)) for image in images]
    return [(image, query) for image, query in drawn if query is not None]


def find_candidates(
    embeddings: SplitEmbeddings,
    questions: Questions,
    reference: Reference | None,
    *,
    absent: bool,
    galleries: Sequence[Galleries] = GALLERIES,
) -> Candidates:
    """The best tracks of every query in each gallery that holds its person; `absent` first removes the images that fit,
    or of which that is unknown. `reference` has other people; None takes those of the other half of the split, for
    galleries of even number.
    """
    references = _other_halves(embeddings) if reference is None else (reference, reference)
    levels = [[each.level(text_D) for text_D in questions.text_QD] for each in references]
    found = [
        _search(embeddings, questions, chosen, levels[chosen.half], absent=absent)
        for each in galleries
        for chosen in _deal(embeddings, questions, each)
    ]
    return Candidates.join([part for parts in found for part in parts])


def _true_facts(known_F: NDArray[np.int8]) -> list[str]:
    return [fact.name for fact, known in zip(FACTS, known_F, strict=True) if known == TRUE]


@dataclass(frozen=True)
class _Chosen:
    """The images and queries of one gallery, and the half of the people that it holds; `track_G` numbers the images'
    tracks, in the order of the images.
    """

    half: int
    images_G: NDArray[np.int64]
    queries_Q: NDArray[np.int64]
    track_G: NDArray[np.int64]


def _deal(embeddings: SplitEmbeddings, questions: Questions, galleries: Galleries) -> Iterator[_Chosen]:
    """Deal people into galleries at random, the same on every run."""
    image_ids = embeddings.image_ids
    people = _in_order(embeddings)
    for start in range(min(galleries.parts, len(people))):
        dealt = people[start :: galleries.parts]
        images_G = np.flatnonzero(np.isin(image_ids, dealt))
        if galleries.by_person:
            images_G = images_G[np.argsort(image_ids[images_G], kind="stable")]
        _, track_G = np.unique(image_ids[images_G] if galleries.by_person else images_G, return_inverse=True)
        yield _Chosen(start % 2, images_G, np.flatnonzero(np.isin(questions.person_Q, dealt)), track_G)


def _in_order(embeddings: SplitEmbeddings) -> NDArray[np.int64]:
    """The people in the random order in which they are dealt; every second one belongs to the same half."""
    return np.random.default_rng(0).permutation(np.unique(embeddings.image_ids))


def _other_halves(embeddings: SplitEmbeddings) -> tuple[Reference, Reference]:
    """For each half of the people the pictures of the other one; of a single person the same."""
    people = _in_order(embeddings)
    others = [np.isin(embeddings.image_ids, people[1 - half :: 2] if len(people) > 1 else people) for half in (0, 1)]
    return Reference.of(embeddings.image_GD[others[0]]), Reference.of(embeddings.image_GD[others[1]])


def _search(
    embeddings: SplitEmbeddings, questions: Questions, chosen: _Chosen, levels: Sequence[Level], *, absent: bool
) -> Iterator[Candidates]:
    """The candidates of each chunk of a gallery's queries."""
    image_GD, people_G = embeddings.image_GD[chosen.images_G], embeddings.image_ids[chosen.images_G]
    for start in range(0, len(chosen.queries_Q), CHUNK):
        queries_C = chosen.queries_Q[start : start + CHUNK]
        similarity_CG = (questions.text_QD[queries_C] @ image_GD.T).astype(np.float64)
        truth_CG = questions.truth(queries_C, chosen.images_G, people_G)
        if absent:
            similarity_CG[truth_CG != FALSE] = -np.inf
        if questions.own_Q is not None:
            similarity_CG[questions.own_Q[queries_C, None] == chosen.images_G] = -np.inf
        best_CK = _best_of_tracks(similarity_CG, chosen.track_G)
        score_CK, lead_CK, there_CK = _leads(np.take_along_axis(similarity_CG, best_CK, axis=1))
        known_CK = np.take_along_axis(truth_CG, best_CK, axis=1)[:, :DEPTH]
        held_CG = np.isfinite(similarity_CG)
        given = [
            Conditions(
                tracks=len(np.unique(chosen.track_G[held_G])),
                facts=int(questions.facts_Q[query]),
                reference=levels[query],
                gallery=Level.of(similarity_G[held_G], levels[query]),
            )
            for query, similarity_G, held_G in zip(queries_C, similarity_CG, held_CG, strict=True)
        ]
        yield _padded(
            np.array([_features(*rows) for rows in zip(score_CK, lead_CK, given, strict=True)]),
            known_CK == TRUE,
            there_CK & (known_CK != UNKNOWN),
            np.array([int(each.tracks) for each in given], dtype=np.int64),
            questions.person_Q[queries_C],
        )


def _best_of_tracks(similarity_CG: NDArray[np.float64], track_G: NDArray[np.int64]) -> NDArray[np.int64]:
    """The best image of each of the DEPTH + 1 best tracks, best first [C, K]; images of a track stand together."""
    starts = np.flatnonzero(np.diff(track_G, prepend=-1))
    if len(starts) == len(track_G):
        return np.argsort(-similarity_CG, axis=1, kind="stable")[:, : DEPTH + 1]
    spans = zip(starts, [*starts[1:], len(track_G)], strict=True)
    image_CT = np.stack([start + similarity_CG[:, start:end].argmax(axis=1) for start, end in spans], axis=1)
    best_CT = np.take_along_axis(similarity_CG, image_CT, axis=1)
    order_CK = np.argsort(-best_CT, axis=1, kind="stable")[:, : DEPTH + 1]
    return np.take_along_axis(image_CT, order_CK, axis=1)


def _leads(
    score_CK: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Of the DEPTH best candidates: the score, the lead over the mean of the others among the DEPTH + 1 best, and
    whether they exist.
    """
    there_CK = np.isfinite(score_CK)
    score_CK = np.where(there_CK, score_CK, 0.0)
    others_CK = there_CK.sum(axis=1, keepdims=True) - there_CK
    total_CK = score_CK.sum(axis=1, keepdims=True) - score_CK
    lead_CK = np.where(others_CK > 0, score_CK - total_CK / np.maximum(others_CK, 1), 0.0)
    return score_CK[:, :DEPTH], lead_CK[:, :DEPTH], there_CK[:, :DEPTH]


def _features(score_K: NDArray[np.float64], lead_K: NDArray[np.float64], given: Conditions) -> list[tuple[float, ...]]:
    return [features(score, lead, given) for score, lead in zip(score_K, lead_K, strict=True)]


def _padded(
    features_CKF: NDArray[np.float64],
    right_CK: NDArray[np.bool_],
    there_CK: NDArray[np.bool_],
    searched_C: NDArray[np.int64],
    person_C: NDArray[np.int64],
) -> Candidates:
    """The candidates with places for DEPTH of them."""
    missing = (0, DEPTH - there_CK.shape[1])
    features_CKF = features_CKF.reshape(*there_CK.shape, len(SLOPES))
    return Candidates(
        np.pad(features_CKF, ((0, 0), missing, (0, 0))),
        np.pad(right_CK & there_CK, ((0, 0), missing)),
        np.pad(there_CK, ((0, 0), missing)),
        searched_C,
        person_C,
    )
