"""Asks a model about one thing at a time, on images of which it is known.

Shapes: N images, F facts, D embedding dimension.
"""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from personsearch.config import Config
from personsearch.data.facts.catalogue import FACTS
from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN
from personsearch.data.facts.queries import ShortQuery, fits
from personsearch.encoders.encoder import Encoder
from personsearch.evaluation.attributes.figures import AttributeFigures, AttributeScore, LeftOut, QueryFigures
from personsearch.evaluation.attributes.known import known_table
from personsearch.evaluation.attributes.probe import fit_probe
from personsearch.evaluation.attributes.questions import GROUPS, SHORT_QUERIES, Group, Question, fact_text
from personsearch.evaluation.attributes.ranking import area_under_curve, average_precision, precision_at
from personsearch.evaluation.attributes.swapped import swapped_sentences
from personsearch.evaluation.embeddings import SplitEmbeddings

logger = logging.getLogger(__name__)


class AttributesConfig(Config):
    """What a model is asked about single attributes."""

    fewest_people: int = Field(default=5, ge=1)
    """A question is asked only if at least so many people have the thing and as many have not."""

    swapped_captions: int = Field(default=100, ge=0)
    """Most captions that are tested with one thing made wrong, for each kind of thing (gender, bag …); 0 tests none."""

    probe: bool = True
    """Fit a linear probe to the image vectors of `calibrate_on`, and measure it on `split`."""


@dataclass(frozen=True)
class _Known:
    """Images with their vectors and what is known of them."""

    person_N: NDArray[np.int64]
    image_ND: NDArray[np.float32]
    table_NF: NDArray[np.int8]
    from_captions: int = 0

    @classmethod
    def of(cls, embeddings: SplitEmbeddings) -> "_Known":
        return cls(embeddings.image_ids, embeddings.image_GD, *known_table(embeddings.records))

    def select(self, chosen_N: NDArray[np.bool_]) -> "_Known":
        return _Known(self.person_N[chosen_N], self.image_ND[chosen_N], self.table_NF[chosen_N])

    def halves(self) -> tuple["_Known", "_Known"]:
        """Two parts that share no person."""
        people = np.unique(self.person_N)
        first = np.random.default_rng(0).permutation(people)[: len(people) // 2]
        in_first_N = np.isin(self.person_N, first)
        return self.select(in_first_N), self.select(~in_first_N)

    def lacks(self, answer_N: NDArray[np.int8], fewest: int) -> str:
        """Why a question cannot be asked; empty if it can."""
        have, lack = (len(np.unique(self.person_N[answer_N == value])) for value in (TRUE, FALSE))
        return "" if min(have, lack) >= fewest else f"{have} people fit and {lack} do not; {fewest} of each needed"


def measure_attributes(
    config: AttributesConfig, encoder: Encoder, measured: SplitEmbeddings, fit: SplitEmbeddings | None
) -> AttributeFigures | None:
    """Ask about every attribute that enough people have and lack; None if nothing is known of the images.

    Probes are fitted on `fit`; without it on half of the people in `measured`, and measured on the others.
    """
    known = _Known.of(measured)
    if (known.table_NF == UNKNOWN).all():
        logger.warning("neither attributes nor words of captions tell what the images show: attributes not measured")
        return None
    asked = _Asked(known, _encode(encoder), config.fewest_people)
    groups = [score for group in GROUPS if (score := asked.group(group)) is not None]
    if config.probe:
        source, target = known.halves() if fit is None else (_Known.of(fit), known)
        groups = [score.with_probe(_probe(score.name, source, target, config.fewest_people)) for score in groups]
    facts = [asked.question(Question(fact.name), fact.name) for fact in FACTS]
    queries = [asked.short_query(query) for query in SHORT_QUERIES]
    return AttributeFigures(
        images=len(known.person_N),
        from_captions=known.from_captions,
        queries=tuple(query for query in queries if isinstance(query, QueryFigures)),
        left_out=tuple(query for query in queries if isinstance(query, LeftOut)),
        groups=tuple(groups),
        facts=tuple(score for score in facts if score is not None),
        swaps=swapped_sentences(encoder, measured, config.swapped_captions) if config.swapped_captions else (),
    )


def _encode(encoder: Encoder) -> dict[str, NDArray[np.float32]]:
    """The vector of every text that may be asked."""
    questions = [question for group in GROUPS for question in group.questions]
    texts = [query.text for query in SHORT_QUERIES] + [text for question in questions for text in question.texts]
    texts = list(dict.fromkeys(texts + [fact_text(fact.name) for fact in FACTS]))
    return dict(zip(texts, encoder.encode_texts(texts), strict=True))


@dataclass(frozen=True)
class _Asked:
    """Asks in words, where at least `fewest` people have the thing and as many have not."""

    known: _Known
    vectors: dict[str, NDArray[np.float32]]
    fewest: int

    def short_query(self, query: ShortQuery) -> QueryFigures | LeftOut:
        answer_N = fits([query], self.known.table_NF)[:, 0]
        reason = self.known.lacks(answer_N, self.fewest)
        if reason:
            return LeftOut(query.text, reason)
        told_N = answer_N != UNKNOWN
        score_N, has_it_N = self.known.image_ND[told_N] @ self.vectors[query.text], answer_N[told_N] == TRUE
        precision, average = precision_at(10, score_N, has_it_N), average_precision(score_N, has_it_N)
        return QueryFigures(query.text, int(has_it_N.sum()), len(has_it_N), 100 * precision, 100 * average)

    def question(self, question: Question, label: str) -> AttributeScore | None:
        answer_N = question.answers(self.known.table_NF)
        if self.known.lacks(answer_N, self.fewest):
            return None
        told_N = answer_N != UNKNOWN
        text, *opposite = question.texts
        direction_D = self.vectors[text] - sum(self.vectors[other] for other in opposite)
        has_it_N = answer_N[told_N] == TRUE
        auc = area_under_curve(self.known.image_ND[told_N] @ direction_D, has_it_N)
        asked = " against ".join(question.texts)
        return AttributeScore(question.fact, label, asked, int(has_it_N.sum()), len(has_it_N), auc)

    def group(self, group: Group) -> AttributeScore | None:
        scores = [self.question(question, group.label) for question in group.questions]
        measured = [score for score in scores if score is not None]
        if not measured:
            return None
        return AttributeScore(
            name=group.name,
            label=group.label,
            text="; ".join(score.text for score in measured),
            fitting=sum(score.fitting for score in measured),
            known=max(score.known for score in measured),
            auc=float(np.mean([score.auc for score in measured])),
        )


def _probe(name: str, source: _Known, target: _Known, fewest: int) -> float | None:
    """Mean AUC of the linear probes on a group's questions; None where too few people have or lack it."""
    areas = []
    for question in next(group for group in GROUPS if group.name == name).questions:
        fit_N, answer_N = question.answers(source.table_NF), question.answers(target.table_NF)
        if source.lacks(fit_N, fewest) or target.lacks(answer_N, fewest):
            continue
        told_N, fit_told_N = answer_N != UNKNOWN, fit_N != UNKNOWN
        probe = fit_probe(source.image_ND[fit_told_N], fit_N[fit_told_N] == TRUE)
        areas.append(area_under_curve(probe.scores(target.image_ND[told_N]), answer_N[told_N] == TRUE))
    return float(np.mean(areas)) if areas else None
