"""Searches of the other kinds whose answer is known: by a picture, by a picture and words, by several descriptions, and
by a description with what the person does not have. Words are captions or short queries.

A query's own picture is not in the gallery that it is asked in: whoever searches for a picture has it already.

Shapes: Q queries, G images, D embedding dimension.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from personsearch.data.facts.catalogue import FACT_INDEX
from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN
from personsearch.data.facts.queries import ShortQuery, fits
from personsearch.encoders.encoder import Encoder
from personsearch.evaluation.attributes.known import known_table
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.known_searches import MOST_SHORT_QUERIES, Questions, drawn_queries
from personsearch.search.calibration import count_facts
from personsearch.search.query import QueryKind, combined
from personsearch.search.searcher import SMALLEST_SPREAD

WEIGHTS = (0.3, 0.5, 0.7)  # of a picture beside words
TERMS = {
    "a bag": "a bag", "backpack": "a backpack", "suitcase": "a suitcase", "handbag": "a handbag", "headwear": "a hat",
    "cap": "a cap", "eyewear": "glasses", "scarf": "a scarf", "beard": "a beard", "ponytail": "a ponytail",
    "skirt": "a skirt", "shorts": "shorts", "jeans": "jeans", "coat": "a coat",
}  # fmt: skip
"""Facts that somebody may exclude, in the words for them."""


def draw_kinds(
    embeddings: SplitEmbeddings, encoder: Encoder, most: int = MOST_SHORT_QUERIES
) -> dict[QueryKind, list[Questions]]:
    """At most `most` queries of each kind with captions, and as many with short queries; the same on every run. A kind
    that cannot be asked is missing: pictures where nobody has two.
    """
    asked = _Asked(embeddings, encoder, most)
    kinds: dict[QueryKind, list[Questions]] = {
        "picture": list(asked.pictures()),
        "picture_and_words": list(asked.pictures_with_words()),
        "descriptions": list(asked.several()),
        "exclusion": list(asked.exclusions()),
    }
    return {kind: questions for kind, questions in kinds.items() if questions}


class _Asked:
    """What is asked of one split."""

    def __init__(self, embeddings: SplitEmbeddings, encoder: Encoder, most: int) -> None:
        self.embeddings = embeddings
        self.table_GF, _ = known_table(embeddings.records)
        rng = np.random.default_rng(1)
        people, counts = np.unique(embeddings.image_ids, return_counts=True)
        again_G = np.isin(embeddings.image_ids, people[counts > 1])
        self.images = rng.permutation(np.flatnonzero(again_G))[:most]
        self.captions = rng.permutation(len(embeddings.captions))[:most]
        # two short queries about the same image
        self.short = list(zip(*(drawn_queries(self.table_GF, most, seed) for seed in (1, 2)), strict=True))
        self.short_QD = [encoder.encode_texts([pair[n][1].text for pair in self.short] or [""]) for n in (0, 1)]
        self.terms = dict(zip(TERMS, encoder.encode_texts(list(TERMS.values())), strict=True))

    def pictures(self) -> Iterator[Questions]:
        if len(self.images):
            vectors_QD = self.embeddings.image_GD[self.images]
            yield self._questions(vectors_QD, [0] * len(self.images), self.images, own_Q=self.images)

    def pictures_with_words(self) -> Iterator[Questions]:
        """A caption, or a short query, of the picture itself."""
        captions = [self._captions_of(image)[:1] for image in self.images]
        pairs = [(image, found[0]) for image, found in zip(self.images, captions, strict=True) if len(found)]
        if pairs:
            texts_QD = self.embeddings.text_QD[[caption for _, caption in pairs]]
            facts = [count_facts(self.embeddings.captions[caption]) for _, caption in pairs]
            yield self._with_pictures(texts_QD, facts, np.array([image for image, _ in pairs]))
        held = [n for n, ((image, _), _) in enumerate(self.short) if image in set(self.images.tolist())]
        if held:
            images = np.array([self.short[n][0][0] for n in held])
            facts = [count_facts(self.short[n][0][1].text) for n in held]
            yield self._with_pictures(self.short_QD[0][held], facts, images)

    def several(self) -> Iterator[Questions]:
        """Two captions of one person, and two short queries about one image, both of which must fit."""
        pairs = [pair for n, caption in enumerate(self.captions) if (pair := self._with_another(int(caption), n))]
        if pairs:
            vectors = [self._combined(self.embeddings.text_QD[list(pair)]) for pair in pairs]
            facts = [sum(count_facts(self.embeddings.captions[each]) for each in pair) for pair in pairs]
            images_Q = self.embeddings.image_of_caption[[first for first, _ in pairs]]
            yield self._questions(np.stack(vectors), facts, images_Q)
        if self.short:
            both_QD = [self._combined(np.stack(pair)) for pair in zip(*self.short_QD, strict=True)]
            facts = [count_facts(first.text) + count_facts(second.text) for (_, first), (_, second) in self.short]
            both_QG = np.stack([self._fits([pair[n][1] for pair in self.short]) for n in (0, 1)])
            images_Q = np.array([image for (image, _), _ in self.short])
            yield self._questions(np.stack(both_QD), facts, images_Q, fits_QG=_all_of(both_QG))

    def exclusions(self) -> Iterator[Questions]:
        """What the person described does not have."""
        owners = [int(self.embeddings.image_of_caption[caption]) for caption in self.captions]
        asked = [(n, term) for n, image in enumerate(owners) if (term := self._absent(image, n))]
        if asked:
            captions = [int(self.captions[n]) for n, _ in asked]
            texts_QD = self.embeddings.text_QD[captions]
            facts = [count_facts(self.embeddings.captions[caption]) for caption in captions]
            images_Q = np.array([owners[n] for n, _ in asked])
            yield self._questions(self._without(texts_QD, asked), facts, images_Q)
        short = [(n, term) for n, ((image, _), _) in enumerate(self.short) if (term := self._absent(image, n))]
        if short:
            queries = [self.short[n][0][1] for n, _ in short]
            lacking_QG = np.stack([_negated(self.table_GF[:, FACT_INDEX[term]]) for _, term in short])
            right_QG = _all_of(np.stack([self._fits(queries), lacking_QG]))
            vectors_QD = self._without(self.short_QD[0][[n for n, _ in short]], short)
            facts = [count_facts(each.text) for each in queries]
            images_Q = np.array([self.short[n][0][0] for n, _ in short])
            yield self._questions(vectors_QD, facts, images_Q, fits_QG=right_QG)

    def _with_another(self, caption: int, number: int) -> tuple[int, int] | None:
        """A caption, and another one of the same person."""
        others = np.flatnonzero(self.embeddings.caption_ids == self.embeddings.caption_ids[caption])
        others = others[others != caption]
        return (caption, int(others[number % len(others)])) if len(others) else None

    def _without(self, texts_QD: NDArray[np.float32], asked: Sequence[tuple[int, str]]) -> NDArray[np.float32]:
        parts = zip(texts_QD, asked, strict=True)
        return np.stack([self._combined(text_D[None], self.terms[term][None]) for text_D, (_, term) in parts])

    def _questions(
        self,
        vectors_QD: NDArray[np.float32],
        facts: Sequence[int],
        images_Q: NDArray[np.int64],
        *,
        own_Q: NDArray[np.int64] | None = None,
        fits_QG: NDArray[np.int8] | None = None,
    ) -> Questions:
        people_Q = self.embeddings.image_ids[images_Q]
        return Questions(vectors_QD, np.array(facts, dtype=np.int64), people_Q, fits_QG, own_Q)

    def _with_pictures(
        self, texts_QD: NDArray[np.float32], facts: Sequence[int], images_Q: NDArray[np.int64]
    ) -> Questions:
        none_ND = texts_QD[:0]
        vectors = [
            combined(text_D[None], none_ND, self.embeddings.image_GD[image], WEIGHTS[n % len(WEIGHTS)], self._spread)
            for n, (text_D, image) in enumerate(zip(texts_QD, images_Q, strict=True))
        ]
        return self._questions(np.stack(vectors), facts, images_Q, own_Q=images_Q)

    def _combined(
        self, texts_ND: NDArray[np.float32], without_ND: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        return combined(texts_ND, texts_ND[:0] if without_ND is None else without_ND, None, 0.5, self._spread)

    def _spread(self, vector_D: NDArray[np.float32]) -> float:
        """As a search measures it in its gallery."""
        return max(float((self.embeddings.image_GD @ vector_D).std()), SMALLEST_SPREAD)

    def _captions_of(self, image: int) -> NDArray[np.int64]:
        return np.flatnonzero(self.embeddings.image_of_caption == image)

    def _absent(self, image: int, number: int) -> str | None:
        """One of the terms that are false of an image; None where that is known of none."""
        absent = [name for name in TERMS if self.table_GF[image, FACT_INDEX[name]] == FALSE]
        return absent[number % len(absent)] if absent else None

    def _fits(self, queries: Sequence[ShortQuery]) -> NDArray[np.int8]:
        return fits(queries, self.table_GF).T


def _all_of(truth_NQG: NDArray[np.int8]) -> NDArray[np.int8]:
    """TRUE where all are, FALSE as soon as one is."""
    unknown_QG = np.where((truth_NQG == UNKNOWN).any(axis=0), UNKNOWN, TRUE)
    return np.where((truth_NQG == FALSE).any(axis=0), FALSE, unknown_QG).astype(np.int8)


def _negated(truth_G: NDArray[np.int8]) -> NDArray[np.int8]:
    return np.where(truth_G == UNKNOWN, UNKNOWN, np.where(truth_G == TRUE, FALSE, TRUE)).astype(np.int8)
