"""The mirror answers as the exact index does, whatever was written before, and while others write."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from numpy.typing import NDArray

from personsearch.search import mirror as module
from personsearch.search.crop import Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.filters import EVERYTHING, CropFilter
from personsearch.search.mirror import CROP_BYTES, Mirror, mirror_bytes
from personsearch.search.quantised import Centres, Coding
from personsearch.search.time_of_day import TimeOfDay
from tests.crops import make_crop

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
D = 16
# Products of these are exact in float32, so both indexes give the same scores and the same ties, to the last bit.
SIGNS = np.random.default_rng(0).choice([-0.25, 0.25], (12, D)).astype(np.float32)
CODINGS = [
    Coding(),
    Coding("int8"),
    Coding("binary", 2, Centres(np.full(D, 0.1, dtype=np.float32), np.zeros(D, dtype=np.float32))),
]
numbers = st.integers(0, 40)
SECONDS = st.integers(0, 60).map(lambda s: NOON + timedelta(seconds=s))
CLOCKS = st.integers(0, 59).map(lambda s: time(13, 0, s))
times_of_day = st.builds(
    CropFilter,
    after=SECONDS,
    before=SECONDS,
    time_of_day=st.builds(
        TimeOfDay,
        start=CLOCKS,
        end=CLOCKS.map(lambda clock: clock.replace(microsecond=1000)),
        zone=st.just("Europe/Vienna"),
        zones=st.dictionaries(st.sampled_from("abx"), st.sampled_from(["UTC", "Africa/Lagos"]), max_size=2),
    ),
)
filters = times_of_day | st.builds(
    CropFilter,
    cameras=st.none() | st.sets(st.sampled_from("abc"), max_size=2).map(tuple),
    tracks=st.none() | st.sets(st.sampled_from(["t0", "t1", "nobody"]), max_size=2).map(tuple),
    after=st.none() | SECONDS,
    before=st.none() | SECONDS,
    crop_ids=st.none() | st.lists(numbers.map("{:03d}".format), max_size=4).map(tuple),
)


def crop(number: int, *, camera: str = "a") -> Crop:
    at, track = NOON + timedelta(seconds=number), f"t{number % 3}"
    return make_crop(f"{number:03d}", camera_id=camera, track_id=track, captured_at=at)


class Both(RuleBasedStateMachine):
    """The same changes to a mirror and to the exact index."""

    coding = CODINGS[0]

    def __init__(self) -> None:
        super().__init__()
        self.mirror, self.exact = Mirror(D, self.coding), ExactIndex(D, self.coding)

    @rule(written=st.lists(st.tuples(numbers, st.integers(0, 11), st.sampled_from("abc")), max_size=9))
    def upsert(self, written: list[tuple[int, int, str]]) -> None:
        crops = [crop(number, camera=camera) for number, _, camera in written]
        vectors = SIGNS[[direction for _, direction, _ in written]]
        for index in (self.mirror, self.exact):
            index.upsert(crops, vectors)

    @rule(crop_filter=filters)
    def delete(self, crop_filter: CropFilter) -> None:
        if crop_filter != EVERYTHING:
            assert self.mirror.delete(crop_filter) == self.exact.delete(crop_filter)

    @rule(crop_filter=filters, k=st.integers(1, 12))
    def search(self, crop_filter: CropFilter, k: int) -> None:
        queries = SIGNS[:3]
        assert self.mirror.search(queries, k, crop_filter) == self.exact.search(queries, k, crop_filter)
        assert self.mirror.count(crop_filter) == self.exact.count(crop_filter)

    @invariant()
    def holds_the_same(self) -> None:
        assert self.mirror.count() == self.exact.count()
        assert list(self.mirror.crop_ids()) == list(self.exact.crop_ids())
        for (crops, vectors), (expected, theirs) in zip(self.mirror.iterate(7), self.exact.iterate(7), strict=True):
            assert crops == expected
            np.testing.assert_array_equal(vectors, theirs)
        found, vectors = self.mirror.fetch(["007", "003", "none"])
        expected, theirs = self.exact.fetch(["007", "003", "none"])
        assert found == expected
        np.testing.assert_array_equal(vectors, theirs)


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: coding.vectors)
def test_it_is_the_exact_index_whatever_is_written(coding: Coding, monkeypatch: pytest.MonkeyPatch) -> None:
    """With small chunks and blocks, and copies after few deletions, so that every boundary is met."""
    monkeypatch.setattr(module, "CHUNK_ROWS", 8)
    monkeypatch.setattr(module, "BLOCK_ROWS", 3)
    monkeypatch.setattr(module, "FEWEST_ENDED", 10)
    machine = type("BothCoded", (Both,), {"coding": coding})
    machine.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
    machine.TestCase().runTest()


def unit(vectors_ND: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)


def test_what_was_deleted_is_overwritten_also_where_it_had_been_replaced() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(3, D)))
    mirror = Mirror(D)
    mirror.upsert([crop(1), crop(2)], vectors[:2])
    mirror.upsert([crop(1, camera="b")], vectors[2:])
    mirror.delete(CropFilter(crop_ids=("001",)))
    rows = mirror._view.rows
    assert [each and each.crop_id for each in rows.crops] == [None, "002", None]
    stored = module._arrays(rows.chunks[0].vectors)[0]
    np.testing.assert_array_equal(stored[:3], [np.zeros(D), vectors[1], np.zeros(D)])


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: coding.vectors)
def test_a_search_in_flight_keeps_the_rows_it_began_with(coding: Coding) -> None:
    """A replaced crop is found once, as it was: neither twice nor not at all."""
    vectors = unit(np.random.default_rng(0).normal(size=(40, D)))
    mirror = Mirror(D, coding)
    mirror.upsert([crop(n) for n in range(40)], vectors)
    view = mirror._view
    parts = list(view.parts(EVERYTHING))
    mirror.upsert([crop(n, camera="b") for n in range(20)], vectors[:20])
    mirror.upsert([crop(n) for n in range(40, 60)], vectors[:20])
    for read in (parts, list(view.parts(EVERYTHING))):
        [best] = module._scan(read, vectors[:1], 40)
        hits = module._hits(view.rows.crops, *best, 40)
        assert {(hit.crop.crop_id, hit.crop.camera_id) for hit in hits} == {(f"{n:03d}", "a") for n in range(40)}
    assert len(view.admitted(CropFilter(crop_ids=("003", "050")))) == 1
    assert mirror.count(CropFilter(cameras=("b",))) == 20


def test_threads_that_search_see_every_crop_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """While others come, change and go, and rows are copied to closer quarters."""
    monkeypatch.setattr(module, "CHUNK_ROWS", 64)
    monkeypatch.setattr(module, "FEWEST_ENDED", 32)
    vectors = unit(np.random.default_rng(0).normal(size=(100, D)))
    mirror, stop, wrong = Mirror(D, CODINGS[2]), threading.Event(), []
    mirror.upsert([crop(n) for n in range(100)], vectors)

    def search() -> None:
        while not stop.is_set():
            for n in (0, 25, 49):
                [[best, *_]] = mirror.search(vectors[n : n + 1], 3)
                ids = [hit.crop.crop_id for hits in mirror.search(vectors[n : n + 1], 300) for hit in hits]
                if best.crop.crop_id != f"{n:03d}" or len(set(ids)) != len(ids) or not set(STAYING) <= set(ids):
                    wrong.append((n, best, ids))

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(300):
        moving = 50 + turn % 50
        mirror.delete(CropFilter(crop_ids=(f"{moving:03d}",)))
        mirror.upsert([replace(crop(moving), camera_id="c")], vectors[moving : moving + 1])
        mirror.upsert([crop(turn % 50, camera="b")], vectors[turn % 50 : turn % 50 + 1])
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert mirror.count() == 100


STAYING = [f"{n:03d}" for n in range(50)]


@pytest.mark.parametrize(("coding", "vector"), [(CODINGS[0], 4 * D), (CODINGS[1], D + 4), (CODINGS[2], D + 4 + 8)])
def test_its_memory_is_told_before_it_is_made(coding: Coding, vector: int) -> None:
    assert mirror_bytes(1000, D, coding) == 1000 * (vector + CROP_BYTES)
