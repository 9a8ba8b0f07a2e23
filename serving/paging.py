"""Pages of a ranking. An opaque cursor says after which candidate the last page ended, so a crop that arrives meanwhile
shifts nobody onto a second page.
"""

import base64
import hashlib
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError

from personsearch.search.searcher import Candidate
from serving.problems import Problem, WrongField

DEEPEST = 2000  # candidates of one search, all pages together


class Position(BaseModel):
    """Where a page ended, by default before the first one.

    `asked` is a digest of the request and of the collection that answered it.
    """

    asked: str
    ranks: int = 0
    score: float = Field(default=math.inf, allow_inf_nan=False)
    crop_id: str = ""

    @classmethod
    def read(cls, cursor: str, asked: str) -> Self:
        """The position that a cursor names.

        Raises:
            Problem: 422, it is no cursor of this request, or another collection has gone live.
        """
        try:
            position = cls.model_validate_json(base64.urlsafe_b64decode(cursor.encode()))
        except (ValidationError, ValueError) as error:
            raise _refused("not a `next` of an answer") from error
        if position.asked != asked or not 0 < position.ranks < DEEPEST:
            raise _refused("of another request, or another collection has gone live since: search again")
        return position

    @property
    def cursor(self) -> str:
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode()

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


def digest(request: dict[str, Any], collection: str) -> str:
    """What a cursor keeps of the request that it continues."""
    content = repr((sorted(request.items()), collection))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _refused(reason: str) -> Problem:
    errors = [WrongField(field="cursor", message=reason)]
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"cursor: {reason}", errors=errors)
