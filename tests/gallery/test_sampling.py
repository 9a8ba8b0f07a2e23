"""Samples that the end of a gallery is in like its beginning."""

import pytest

from personsearch.gallery.verification import spread_evenly


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        (0, 3, []),
        (2, 3, [0, 1]),
        (3, 3, [0, 1, 2]),
        (5, 3, [0, 1, 3]),
        (6, 3, [0, 2, 4]),
        (100, 4, [0, 25, 50, 75]),
    ],
)
def test_a_sample_is_spread_over_all(total: int, count: int, expected: list[int]) -> None:
    assert list(spread_evenly(range(total), total, count)) == expected
