"""people.json: what is refused, so that nobody counts as missed who could never be found."""

from typing import Any

import pytest
from pydantic import ValidationError

from personsearch.evaluation.described import DescribedFootage

PERSON: dict[str, Any] = {"clip": "a.avi", "descriptions": ["a man in a coat"]}


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"boxes": [[3, [10, 20, 5, 40]]]}, "left, top, right, bottom"),
        ({"boxes": [[3, [1, 1, 1, 1]]]}, "left, top, right, bottom"),
        ({"boxes": [[-5, [1, 1, 9, 9]]]}, "box .* of frame -5"),
        ({"frames": [9, 1]}, "the first and the last frame"),
    ],
)
def test_a_place_that_cannot_be_is_refused(place: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DescribedFootage.model_validate({"people": [PERSON | place]})


@pytest.mark.parametrize("values", [{"people": 5}, {"people": [PERSON], "one_at_a_time": "x"}])
def test_people_are_a_list(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="people: a list expected"):
        DescribedFootage.model_validate(values)
