"""The order in which candidates are shown."""

from collections.abc import Sequence
from typing import Literal

from personsearch.search.searcher import Candidate
from personsearch.search.time_of_day import EPOCH

Sort = Literal["score", "newest", "oldest"]
SORTED_AMONG = 200  # best candidates that are put in the order of time: of all, most would not fit at all


def in_order(candidates: Sequence[Candidate], sort: Sort) -> list[Candidate]:
    """Candidates, of which the best come first, in the order to show them; equal times in the order of `crop_id`."""
    return list(candidates) if sort == "score" else sorted(candidates, key=lambda each: place_in_time(each, sort))


def place_in_time(candidate: Candidate, sort: Sort) -> tuple[float, str]:
    """Where a candidate stands in the order of time."""
    passed = (candidate.crop.captured_at - EPOCH).total_seconds()
    return -passed if sort == "newest" else passed, candidate.crop.crop_id
