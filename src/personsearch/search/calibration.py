"""Turns a similarity into the probability that a candidate is the right person, given the search that found it."""

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from personsearch.config import Config, describe_validation_error
from personsearch.errors import UserError

logger = logging.getLogger(__name__)

FORMAT: Final = 2  # format 1 considered neither tracks nor the size of the gallery
DEPTH = 10


class Curve(Config):
    """probability = 1 / (1 + exp(−(intercept + score·s + lead·l + log_tracks·ln n))).

    s is the candidate's similarity, l its lead over the mean of the DEPTH best other tracks, and n the number of tracks
    searched: the more there are, the higher the best wrong one scores.
    """

    intercept: float
    """Constant term of the logit."""

    score: float
    """Weight of the candidate's similarity s."""

    lead: float
    """Weight of its lead l."""

    log_tracks: float
    """Weight of ln n."""

    def probability(self, score: float, lead: float, tracks: float) -> float:
        logit = self.intercept + self.score * score + self.lead * lead + self.log_tracks * math.log(max(tracks, 1.0))
        return 1.0 / (1.0 + math.exp(-min(max(logit, -60.0), 60.0)))


class CalibratedCurve(Config):
    """A curve, and the confidence from which an answer is reliable: all that a search needs."""

    curve: Curve
    """Turns a candidate's similarity into its confidence."""

    threshold: float
    """Confidence from which the best candidate counts as reliable."""

    def confidence(self, score: float, lead: float, tracks: float) -> float:
        """Probability that a candidate with this similarity and lead among so many tracks is right."""
        return self.curve.probability(score, lead, tracks)


class Calibration(CalibratedCurve):
    """The content of calibration.json.

    Each query was fitted once with its person in the gallery and once without, so the calibration assumes that the
    person is there in half of the searches. The four rates were measured on people that the fit had not seen.
    """

    format: Literal[2] = FORMAT
    """Version of this file's layout."""

    split: str
    """Split that the curve was fitted to."""

    queries: int
    """Number of queries in the fit."""

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
        if found != FORMAT:
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
