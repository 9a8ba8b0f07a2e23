"""The oracle itself, against the obvious computation; the contract it shares is in tests/integrations."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from personsearch.search import exact
from personsearch.search.exact import ExactIndex
from personsearch.search.filters import CropFilter
from tests.crops import make_crop

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CROP = make_crop("", camera_id="a", captured_at=NOON)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=40),
    st.integers(1, 12),
    st.integers(1, 7),
    st.randoms(use_true_random=False),
)
def test_blocks_change_nothing_and_ties_follow_the_ids(directions, k, block_rows, random) -> None:  # type: ignore[no-untyped-def]
    """Few directions, so that most scores are equal; any block size gives the order of one obvious sort."""
    crops = [replace(CROP, crop_id=f"{n:03d}") for n in range(len(directions))]
    vectors_ND = np.eye(4, dtype=np.float32)[directions]
    order = random.sample(range(len(crops)), len(crops))
    index = ExactIndex(4)
    for row in order:
        index.upsert([crops[row]], vectors_ND[row : row + 1])
    expected = sorted(range(len(crops)), key=lambda row: (-vectors_ND[row, 0], crops[row].crop_id))[:k]
    before, exact.BLOCK_ROWS = exact.BLOCK_ROWS, block_rows
    try:
        [hits] = index.search(np.eye(1, 4, dtype=np.float32), k)
    finally:
        exact.BLOCK_ROWS = before
    assert [hit.crop.crop_id for hit in hits] == [crops[row].crop_id for row in expected]


MOMENTS = st.integers(-1500, 12_000).map(lambda micro: NOON + timedelta(microseconds=micro))
NAMES = st.lists(st.sampled_from("abcx"), max_size=3).map(tuple)


@settings(deadline=None)
@given(
    st.builds(
        CropFilter,
        cameras=st.none() | NAMES,
        tracks=st.none() | NAMES,
        crop_ids=st.none() | NAMES,
        after=st.none() | MOMENTS,
        before=st.none() | MOMENTS,
    )
)
def test_a_filter_admits_what_it_says(crop_filter: CropFilter) -> None:
    crops = [
        replace(
            CROP,
            crop_id="abc"[n] if n < 3 else f"{n}",
            camera_id="abc"[n % 3],
            track_id="ab"[n % 2],
            captured_at=(NOON + timedelta(milliseconds=n)).astimezone(timezone(timedelta(hours=n % 5))),
        )
        for n in range(12)
    ]
    index = ExactIndex(2)
    index.upsert(crops, np.eye(1, 2, dtype=np.float32).repeat(12, axis=0))
    admitted = sorted(crop.crop_id for crop in crops if crop_filter.admits(crop))
    assert [hit.crop.crop_id for hit in index.search(np.eye(1, 2, dtype=np.float32), 12, crop_filter)[0]] == admitted
    assert index.count(crop_filter) == len(admitted)


def test_a_mirror_holds_what_the_other_index_holds() -> None:
    index = ExactIndex(4)
    crops = [replace(CROP, crop_id=f"{n:04d}", camera_id="ab"[n % 2]) for n in range(2500)]
    index.upsert(crops, np.eye(4, dtype=np.float32)[np.arange(2500) % 4])
    mirror = ExactIndex.mirror(index, 4)
    index.delete(CropFilter(cameras=("a",)))
    assert (mirror.count(), index.count()) == (2500, 1250)
    assert mirror.search(np.eye(2, 4, dtype=np.float32), 3) == [
        mirror.search(np.eye(2, 4, dtype=np.float32)[row : row + 1], 3)[0] for row in range(2)
    ]
    assert ExactIndex.mirror(ExactIndex(4), 4).count() == 0
