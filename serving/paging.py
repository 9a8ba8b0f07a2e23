"""Pages of a ranking. An opaque cursor says after which candidate the last page ended, so a crop that arrives meanwhile
shifts nobody onto a second page.
"""

import base64
import hashlib
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from personsearch.search.order import Sort, place_in_time
from personsearch.search.searcher import Candidate
from serving.problems import Problem, WrongField

DEEPEST = 2000  # candidates of one search, all pages together


class Place(BaseModel):
    """Where a page ended. `asked` is a digest of the request and of the collection that answered it."""

    asked: str
    ranks: int = 0

    @classmethod
    def read(cls, cursor: str, asked: str) -> Self:
        """The place that a cursor names.

        Raises:
            Problem: 422, it is no cursor of this request, or another collection has gone live.
        """
        try:
            place = cls.model_validate_json(base64.urlsafe_b64decode(cursor.encode()))
        except (ValidationError, ValueError) as error:
            raise _refused("not a `next` of an answer") from error
        if place.asked != asked or not 0 < place.ranks < DEEPEST:
            raise _refused("of another request, or another collection has gone live since: search again")
        return place

    @property
    def cursor(self) -> str:
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode()


class Position(Place):
    """Where a page ended in the order of scores, by default before the first one."""

    score: float = Field(default=math.inf, allow_inf_nan=False)
    crop_id: str = ""

    def moved(self, ranks: int, candidates: Sequence[Candidate]) -> "Position":
        """The end of a page that holds these candidates; an empty one, when others came before them, moves nothing."""
        if not candidates:
            return self.model_copy(update={"ranks": ranks})
        last = candidates[-1]
        return Position(asked=self.asked, ranks=ranks, score=last.score, crop_id=last.crop.crop_id)

    def after(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those of a ranking that follow."""
        end = (-self.score, self.crop_id)
        return [candidate for candidate in candidates if (-candidate.score, candidate.crop.crop_id) > end]


class PositionInTime(Place):
    """Where a page ended in the order of time. The candidates are those that the first page found: down to the worst of
    them, and none that came into the gallery after the newest of them.
    """

    time: float = Field(default=-math.inf, allow_inf_nan=False)
    crop_id: str = ""
    worst_score: float = Field(allow_inf_nan=False)
    worst_crop_id: str
    newest: AwareDatetime

    @classmethod
    def before_the_first(cls, asked: str, found: Sequence[Candidate]) -> Self:
        """The place before all of these candidates, best first."""
        newest = max(candidate.crop.ingested_at for candidate in found)
        worst = found[-1]
        return cls(asked=asked, worst_score=worst.score, worst_crop_id=worst.crop.crop_id, newest=newest)

    def moved(self, page: Sequence[Candidate], sort: Sort) -> Self:
        """The end of a page that holds these candidates."""
        time, crop_id = place_in_time(page[-1], sort)
        return self.model_copy(update={"ranks": self.ranks + len(page), "time": time, "crop_id": crop_id})

    def among(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those of a ranking that the first page found."""
        worst = (-self.worst_score, self.worst_crop_id)
        return [candidate for candidate in candidates if (-candidate.score, candidate.crop.crop_id) <= worst]

    def after(self, candidates: Sequence[Candidate], sort: Sort) -> list[Candidate]:
        """Those in the order of time that follow."""
        return [candidate for candidate in candidates if place_in_time(candidate, sort) > (self.time, self.crop_id)]


def digest(request: dict[str, Any], collection: str) -> str:
    """What a cursor keeps of the request that it continues."""
    content = repr((sorted(request.items()), collection))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _refused(reason: str) -> Problem:
    errors = [WrongField(field="cursor", message=reason)]
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"cursor: {reason}", errors=errors)
