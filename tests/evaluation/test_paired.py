"""The margin of a difference between two models: cases by hand, and against drawing persons again and again."""

from pathlib import Path

import numpy as np
import pytest

from personsearch.evaluation.paired import FirstRanks, r1_margin


def ranks(hits: list[int], person_ids: list[int]) -> FirstRanks:
    """First ranks of queries that found their person (1), did not (0) or had nobody to find (-1)."""
    return FirstRanks(np.array([{1: 1, 0: 7, -1: 0}[hit] for hit in hits]), np.array(person_ids))


def test_models_that_never_disagree_differ_by_nothing() -> None:
    one = ranks([1, 0, 1, 1], [0, 0, 1, 2])
    assert r1_margin(one, one) == 0


def test_by_hand() -> None:
    """Two of four queries change sides, of four persons: differences 1, -1, 0, 0 of variance 2/3."""
    one, other = ranks([0, 1, 1, 0], [0, 1, 2, 3]), ranks([1, 0, 1, 0], [0, 1, 2, 3])
    assert r1_margin(one, other) == pytest.approx(100 * 1.96 * np.sqrt(2 / 3 / 4))
    assert r1_margin(other, one) == r1_margin(one, other)


def test_queries_of_one_person_are_no_independent_evidence() -> None:
    """Each person's query asked five times over says no more than asked once."""
    hits, other_hits, people = [0, 1, 1, 0, 1, 1], [1, 0, 1, 0, 1, 1], list(range(6))
    once = r1_margin(ranks(hits, people), ranks(other_hits, people))
    often = r1_margin(ranks(5 * hits, 5 * people), ranks(5 * other_hits, 5 * people))
    assert often == pytest.approx(once)


def test_it_is_what_drawing_other_persons_shows() -> None:
    random = np.random.default_rng(0)
    person_ids = np.repeat(np.arange(200), 6)
    hard = random.random(200)[person_ids]
    hits = [(random.random(1200) < 0.3 + 0.6 * hard).astype(int) for _ in range(2)]
    difference = hits[1] - hits[0]
    drawn = [difference.reshape(200, 6)[random.integers(0, 200, 200)].mean() for _ in range(4000)]
    found = r1_margin(*(ranks(each.tolist(), person_ids.tolist()) for each in hits))
    assert found == pytest.approx(100 * 1.96 * np.std(drawn), rel=0.05)


def test_queries_without_a_person_to_find_say_nothing() -> None:
    one, other = ranks([0, 1, 1, 0], [0, 1, 2, 3]), ranks([1, 0, 1, 0], [0, 1, 2, 3])
    more = [ranks([*hits, -1], [0, 1, 2, 3, 4]) for hits in ([0, 1, 1, 0], [1, 0, 1, 0])]
    assert r1_margin(*more) == r1_margin(one, other)


def test_one_person_tells_nothing_and_other_queries_are_refused() -> None:
    assert r1_margin(ranks([0, 1], [5, 5]), ranks([1, 1], [5, 5])) == 100
    with pytest.raises(ValueError, match="2 and 1 queries; the same ones expected"):
        r1_margin(ranks([0, 1], [5, 5]), ranks([1], [5]))


def test_they_are_kept(tmp_path: Path) -> None:
    one = ranks([0, 1, -1], [5, 6, 7])
    one.write(tmp_path)
    again = FirstRanks.read(tmp_path)
    assert np.array_equal(again.rank, one.rank)
    assert np.array_equal(again.person_id, one.person_id)
