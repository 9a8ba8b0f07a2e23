"""Turns a similarity into the probability that a candidate fits the description, given the search that found it.

Shapes: D embedding dimension, R principal axes, N pictures.
"""

import base64
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from personsearch.config import Config, describe_validation_error
from personsearch.data.facts.words import facts_in
from personsearch.errors import UserError
from personsearch.search.query import QueryKind

logger = logging.getLogger(__name__)

FORMAT: Final = 4  # 1 knew neither tracks nor the size of the gallery; 2 only similarity, lead and tracks; 3 no kinds
DEPTH = 10
AXES = 32  # of the reference: they hold nearly all of the variance of a similarity
FEW = 16.0  # pictures: a gallery of so many is believed as much as the reference


@dataclass(frozen=True, slots=True)
class Level:
    """Mean and standard deviation of a description's similarity to many pictures."""

    mean: float = 0.0
    spread: float = 0.0

    @classmethod
    def of(cls, similarity_N: NDArray[np.floating[Any]], reference: "Level") -> "Level":
        """That of these pictures; the fewer they are, the nearer to the reference."""
        if not len(similarity_N):
            return reference
        return cls(float(similarity_N.mean()), float(similarity_N.std())).towards(reference, len(similarity_N))

    def towards(self, reference: "Level", count: int) -> "Level":
        """Between this level, measured on `count` pictures, and the reference."""
        weight = count / (count + FEW)
        mean = weight * self.mean + (1 - weight) * reference.mean
        return Level(mean, math.sqrt(weight * self.spread**2 + (1 - weight) * reference.spread**2))


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and covariance of the vectors of `count` pictures: all that a description's level needs of them."""

    count: int
    mean_D: NDArray[np.float64]
    covariance_DD: NDArray[np.float64]

    @classmethod
    def of(cls, image_ND: NDArray[np.float32]) -> "Moments":
        count, dimensions = image_ND.shape
        if not count:
            return cls(0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))
        image_ND = image_ND.astype(np.float64)
        return cls(count, image_ND.mean(axis=0), np.atleast_2d(np.cov(image_ND.T, bias=True)))

    def level(self, query_D: NDArray[np.float32], reference: Level) -> Level:
        """The same as `Level.of` their similarities."""
        variance = max(float(query_D @ self.covariance_DD @ query_D), 0.0)
        return Level(float(self.mean_D @ query_D), math.sqrt(variance)).towards(reference, self.count)


class Reference(Config):
    """The pictures that a calibration was fitted on, as far as it needs them: their mean and how they vary."""

    dimensions: int
    """Dimensions D of the model's vectors."""

    vectors: str
    """float16 [1 + R, D] in base64: the mean of the pictures' vectors, then principal axes times their deviation."""

    @classmethod
    def of(cls, image_ND: NDArray[np.float32]) -> "Reference":
        mean_D = image_ND.mean(axis=0)
        covariance_DD = np.atleast_2d(np.cov(image_ND.T.astype(np.float64), bias=True))
        value_D, axis_DD = np.linalg.eigh(covariance_DD)
        axes_RD = (axis_DD * np.sqrt(value_D.clip(0))).T[::-1][:AXES]
        stored = np.concatenate([mean_D[None], axes_RD]).astype("<f2")
        return cls(dimensions=len(mean_D), vectors=base64.b64encode(stored.tobytes()).decode())

    def level(self, query_D: NDArray[np.float32]) -> Level:
        """How similar a description is to these pictures."""
        projected = self._stored() @ query_D
        return Level(float(projected[0]), float(np.linalg.norm(projected[1:])))

    def centre(self) -> tuple[NDArray[np.float64], float]:
        """The mean of the pictures' vectors [D], and their deviation from it."""
        stored = self._stored()
        return stored[0], float(np.linalg.norm(stored[1:]))

    def _stored(self) -> NDArray[np.float64]:
        stored = np.frombuffer(base64.b64decode(self.vectors), "<f2").reshape(-1, self.dimensions)
        return stored.astype(np.float64)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the confidences of one search have in common: the tracks searched, the facts that the description names, and
    how similar it is to the pictures of the calibration and to those of the gallery.
    """

    tracks: float = 0.0
    facts: int = 0
    reference: Level = Level()
    gallery: Level = Level()


def count_facts(text: str) -> int:
    """How many facts about a person a description names."""
    return sum(facts_in(text).values())


def features(score: float, lead: float, given: Conditions) -> tuple[float, ...]:
    """The inputs of a curve for one candidate, in the order of its slopes."""
    facts = math.log1p(given.facts)
    levels = (given.reference.mean, given.reference.spread, given.gallery.mean, given.gallery.spread)
    return (score, lead, math.log(max(given.tracks, 1.0)), facts, lead * facts, *levels)


class Curve(Config):
    """probability = 1 / (1 + exp(−(intercept + score·s + lead·l + log_tracks·ln n + facts·f + lead_facts·l·f + …))).

    s is the candidate's similarity, l its lead over the mean of the DEPTH best other tracks, and n the number of tracks
    searched: the more there are, the higher the best wrong one scores. f is ln(1 + facts that the description names):
    a description of many fits one person, who stands out; one of a few fits many, who do not.
    """

    intercept: float
    """Constant term of the logit."""

    score: float
    """Weight of the candidate's similarity s."""

    lead: float
    """Weight of its lead l."""

    log_tracks: float
    """Weight of ln n."""

    facts: float = 0.0
    """Weight of f."""

    lead_facts: float = 0.0
    """Weight of l·f."""

    reference_mean: float = 0.0
    """Weight of the description's mean similarity to the pictures that the curve was fitted on."""

    reference_spread: float = 0.0
    """Weight of the standard deviation of that similarity."""

    gallery_mean: float = 0.0
    """Weight of the description's mean similarity to the pictures of the gallery."""

    gallery_spread: float = 0.0
    """Weight of the standard deviation of that similarity."""

    @classmethod
    def of(cls, intercept: float, slopes: Mapping[str, float]) -> "Curve":
        """A curve with these slopes; the others are 0."""
        return cls.model_validate({**dict.fromkeys(SLOPES, 0.0), **slopes, "intercept": intercept})

    @property
    def slopes(self) -> tuple[float, ...]:
        """The weights of `features`."""
        return tuple(getattr(self, name) for name in SLOPES)

    def probability(self, score: float, lead: float, given: Conditions) -> float:
        inputs = features(score, lead, given)
        logit = self.intercept + sum(weight * value for weight, value in zip(self.slopes, inputs, strict=True))
        return 1.0 / (1.0 + math.exp(-min(max(logit, -60.0), 60.0)))


SLOPES = tuple(name for name in Curve.model_fields if name != "intercept")


class CalibratedCurve(Config):
    """A curve, and the confidence from which an answer is reliable: all that a search needs."""

    curve: Curve
    """Turns a candidate's similarity into its confidence."""

    threshold: float
    """Confidence from which the best candidate counts as reliable."""

    reference: Reference | None = None
    """The pictures that the curve was fitted on; null for a curve that does not compare with them."""

    curves: Mapping[QueryKind, Curve] = {}
    """Curves of the other kinds of queries; what is missing has no confidence."""

    def curve_of(self, kind: QueryKind | None) -> Curve | None:
        """The curve for a kind of query, None if there is none."""
        return self.curve if kind == "description" else None if kind is None else self.curves.get(kind)

    def with_curves_of(self, other: "CalibratedCurve | None") -> Self:
        """A calibration that judges single descriptions as this one does, and other queries as `other` does."""
        return self if other is None else self.model_copy(update={"curves": other.curves})

    def confidence(self, score: float, lead: float, given: Conditions) -> float:
        """Probability that a candidate with this similarity and lead fits the description."""
        return self.curve.probability(score, lead, given)


class KindRates(Config):
    """How far one kind of description can be trusted; measured on people that the fit had not seen."""

    queries: int
    """Number of descriptions."""

    log_loss: float
    """Mean negative logarithm of the probability given to the truth about the best candidate."""

    auc: float
    """Share of pairs of a right and a wrong best candidate of which the right one has the higher confidence."""

    precision: float
    """Share of right ones among the best candidates called reliable; 1 if none is."""

    right_reliable: float
    """Share of the right best candidates that are called reliable."""

    absent_reliable: float
    """Share of searches called reliable while nobody in the gallery is right."""


class Calibration(CalibratedCurve):
    """The content of calibration.json.

    Each description was searched once with those it fits in the gallery and once without, so the calibration assumes
    that somebody is there in half of the searches. The rates were measured on people that the fit had not seen.
    """

    format: Literal[2, 3, 4] = FORMAT
    """Version of this file's layout."""

    split: str
    """Split that the curve was fitted to."""

    queries: int
    """Number of captions in the fit."""

    galleries: tuple[float, ...]
    """Mean number of tracks in each size of gallery that it was fitted in."""

    expected_calibration_error: float
    """Mean distance between stated confidence and share of right candidates, over all candidates."""

    precision: float
    """Share of right ones among the best candidates called reliable."""

    reliable_when_present: float
    """Share of queries called reliable while their person is in the gallery."""

    reliable_when_absent: float
    """Share of queries called reliable while their person is not in the gallery."""

    captions: KindRates | None = None
    """The rates of captions, which describe one person: right is the person described."""

    short_queries: KindRates | None = None
    """The rates of short queries, which may fit many people: right is whoever fits. Null if none could be asked."""

    kinds: Mapping[QueryKind, KindRates] = {}
    """The rates of the other kinds of queries; those that are missing were not calibrated."""


def lead_over(score: float, others: Sequence[float]) -> float:
    """A candidate's lead: its similarity minus the mean of the best other tracks', of which the first DEPTH count.

    `others` are best first; without any, the lead is 0.
    """
    best = others[:DEPTH]
    return score - sum(best) / len(best) if best else 0.0


def read_calibration(path: Path) -> Calibration | None:
    """Read calibration.json; None if the model was never calibrated or the file has another format.

    Raises:
        UserError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
        found = content.get("format", 1) if isinstance(content, dict) else FORMAT
        if found not in (2, 3, FORMAT):
            logger.warning(
                "%s: format %s, but this version reads %d; no confidence until the model is evaluated again",
                path, found, FORMAT,
            )  # fmt: skip
            return None
        return Calibration.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {describe_validation_error(error, Calibration)}") from error
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from error
