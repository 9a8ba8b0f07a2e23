"""From similarity to the probability that a candidate is the right person, per model and judged per query."""

import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from personsearch.bundle import CALIBRATION
from personsearch.config import Config, describe_validation_error
from personsearch.errors import UserError

DEPTH = 10


class Logistic(Config):
    """probability = 1 / (1 + exp(−(intercept + score·s + lead·l)))."""

    intercept: float
    score: float
    lead: float = 0.0

    def probability(self, score: float, lead: float = 0.0) -> float:
        logit = self.intercept + self.score * score + self.lead * lead
        return 1.0 / (1.0 + math.exp(-min(max(logit, -60.0), 60.0)))


class Calibration(Config):
    """The content of calibration.json.

    `by_score` sees a candidate's similarity alone; `by_query` also its lead over the mean of the query's DEPTH best.
    Both were fitted on `split`, each query once with its person in the gallery and once without, so they assume that
    the person is there in half of the searches. The four rates were measured on people that the fit had not seen:
    `expected_calibration_error` of all candidates, `precision` of best candidates called reliable, and the shares
    of queries called reliable with and without their person in the gallery.
    """

    by_score: Logistic
    by_query: Logistic
    threshold: float
    split: str
    queries: int
    expected_calibration_error: float
    precision: float
    reliable_when_present: float
    reliable_when_absent: float

    def confidence(self, score: float, query_scores: Sequence[float] = ()) -> float:
        """Probability that the candidate with `score` is right; `query_scores` are those of the query's candidates.

        With fewer than DEPTH of them the similarity alone decides.
        """
        best = sorted(query_scores, reverse=True)[:DEPTH]
        if len(best) < DEPTH:
            return self.by_score.probability(score)
        return self.by_query.probability(score, score - sum(best) / DEPTH)

    def is_reliable(self, query_scores: Sequence[float]) -> bool:
        """Whether the best candidate is more than a guess; False is "no reliable match"."""
        return bool(query_scores) and self.confidence(max(query_scores), query_scores) >= self.threshold


def read_calibration(bundle: Path) -> Calibration | None:
    """A bundle's calibration, None where the model was never calibrated.

    Raises:
        UserError: the file is damaged.
    """
    path = bundle / CALIBRATION
    if not path.is_file():
        return None
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path}: {describe_validation_error(error)[:300]}") from error
