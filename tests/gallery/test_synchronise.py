"""How a build writes: many batches of the encoder in one call, none of which counts before the call has returned."""

import threading
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from personsearch.errors import UserError
from personsearch.gallery import indexing
from personsearch.gallery.builds import BuildProgress
from personsearch.gallery.encoding import Encoded
from personsearch.gallery.store import Gallery
from personsearch.gallery.synchronise import Synchroniser
from personsearch.images import ImageRejected
from personsearch.search.crop import Crop
from personsearch.search.exact import ExactIndex, ExactStore
from personsearch.search.filters import CropFilter
from tests.crops import numbered_crop
from tests.gallery.builds import gallery_ids, ids, new_build

DIM = 8


class RecordingIndex(ExactIndex):
    """Remembers how many crops each call wrote."""

    def __init__(self) -> None:
        super().__init__(DIM)
        self.written: list[int] = []

    def upsert(self, crops: list[Crop], vectors_ND: NDArray[np.float32]) -> None:  # type: ignore[override]
        super().upsert(crops, vectors_ND)
        self.written.append(len(crops))


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class OneVector:
    """A CropEncoder for crops without pictures, which calls `encoding` before each batch."""

    def __init__(self, encoding: Callable[[], None] = lambda: None, unreadable: str = "") -> None:
        self._encoding = encoding
        self._unreadable = unreadable

    def encode(self, batches: Iterable[list[Crop]]) -> Iterator[Encoded]:
        for crops in batches:
            self._encoding()
            readable = [crop for crop in crops if crop.crop_id != self._unreadable]
            vectors_ND = np.full((len(readable), DIM), DIM**-0.5, dtype=np.float32)
            damaged = {self._unreadable: ImageRejected("damaged")} if len(readable) < len(crops) else {}
            yield Encoded(readable, vectors_ND, damaged)


@pytest.fixture
def index() -> RecordingIndex:
    return RecordingIndex()


def fill(gallery: Gallery, crops: int) -> None:
    """Add rows without pictures, behind the forty crops of the gallery."""
    with gallery.rows.turn() as turn:
        turn.add([numbered_crop(number, image_uri=f"images/{number}.jpg") for number in range(100, 100 + crops)])


def test_a_thousand_crops_are_written_in_one_call(gallery: Gallery, index: RecordingIndex) -> None:
    fill(gallery, 2460)
    Synchroniser(gallery, OneVector(), index, 64, clock=Clock()).compare_all()
    assert index.written == [960, 960, 580]  # whole batches, and never more than the engine takes in a call
    assert list(index.crop_ids()) == gallery_ids(gallery)


def test_batches_larger_than_that_are_written_each(gallery: Gallery, index: RecordingIndex) -> None:
    fill(gallery, 3000)
    Synchroniser(gallery, OneVector(), index, 1500, clock=Clock()).compare_all()
    assert index.written == [1500, 1500, 40]


@pytest.mark.parametrize(("seconds", "written"), [(0.25, [28, 12]), (0.5, [14, 14, 12]), (20.0, [7, 7, 7, 7, 7, 5])])
def test_no_crop_waits_for_long(gallery: Gallery, index: RecordingIndex, seconds: float, written: list[int]) -> None:
    clock = Clock()

    def encoding() -> None:
        clock.now += seconds

    Synchroniser(gallery, OneVector(encoding), index, 7, clock=clock).compare_all()
    assert index.written == written


def test_the_caller_is_asked_between_batches_and_only_what_is_stored_counts(
    gallery: Gallery, index: RecordingIndex
) -> None:
    fill(gallery, 1100)
    seen: list[tuple[int, int, int]] = []
    follower = Synchroniser(gallery, OneVector(unreadable="crop00003"), index, 100, clock=Clock())
    follower.between = lambda: seen.append((follower.settled, follower.encoded, index.count()))
    follower.compare_all()
    assert len(seen) == 12
    assert seen[:9] == 9 * [(0, 0, 0)]
    assert all(settled - 1 <= encoded <= stored for settled, encoded, stored in seen)
    assert (follower.encoded, index.count(), follower.waiting) == (1139, 1139, 0)
    assert follower.unreadable == {"crop00003"}


def test_the_next_crops_are_encoded_while_others_are_written(gallery: Gallery) -> None:
    fill(gallery, 1100)
    batches, next_one = iter(range(12)), threading.Event()

    def encoding() -> None:
        if next(batches) == 10:
            next_one.set()

    class Slow(RecordingIndex):
        def upsert(self, crops: list[Crop], vectors_ND: NDArray[np.float32]) -> None:  # type: ignore[override]
            assert next_one.wait(120)
            super().upsert(crops, vectors_ND)

    index = Slow()
    Synchroniser(gallery, OneVector(encoding), index, 100, clock=Clock()).compare_all()
    assert (index.written, list(index.crop_ids())) == ([1000, 140], gallery_ids(gallery))


@pytest.mark.parametrize("crops", [40, 1400])
def test_a_write_that_fails_ends_the_build(gallery: Gallery, crops: int) -> None:
    fill(gallery, crops)

    class Full(RecordingIndex):
        def upsert(self, crops: list[Crop], vectors_ND: NDArray[np.float32]) -> None:  # type: ignore[override]
            raise UserError("the disk is full")

    follower = Synchroniser(gallery, OneVector(), Full(), 100, clock=Clock())
    with pytest.raises(UserError, match="the disk is full"):
        follower.compare_all()
    assert follower.encoded == 0


def test_what_was_erased_while_it_waited_is_not_written(gallery: Gallery, index: RecordingIndex) -> None:
    follower = Synchroniser(gallery, OneVector(), index, 7, clock=Clock())
    erasing = iter([lambda: gallery.erase(CropFilter(crop_ids=("crop00002", "crop00033")))])
    follower.between = lambda: next(erasing, lambda: 0)() and None
    follower.compare_all()
    assert (index.written, follower.encoded) == ([38], 38)
    assert list(index.crop_ids()) == gallery_ids(gallery)


def test_a_build_that_ends_early_has_stored_what_it_said(gallery: Gallery, index: RecordingIndex) -> None:
    fill(gallery, 1400)
    batches = iter(range(12))

    def encoding() -> None:
        if next(batches) == 11:
            raise KeyboardInterrupt

    follower = Synchroniser(gallery, OneVector(encoding), index, 100, clock=Clock())
    with pytest.raises(KeyboardInterrupt):
        follower.compare_all()
    assert (follower.encoded, index.count()) == (1000, 1000)
    again = Synchroniser(gallery, OneVector(), index, 100, clock=Clock())
    again.compare_all()
    assert (again.encoded, list(index.crop_ids())) == (440, gallery_ids(gallery))


def test_the_progress_of_a_shard_is_what_is_stored(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "NOTE_SECONDS", 0.0)
    store, seen = ExactStore(), []
    steps = new_build(store, gallery, shard_crops=15)

    def noted(progress: BuildProgress) -> None:
        seen.append((progress.done, progress.encoded, len(ids(store, progress.collection)), progress.finished))

    object.__setattr__(steps, "noted", noted)
    for shard in steps.plan(apart=True):
        steps.fill(shard)
    assert len(seen) > 6
    assert all(done <= encoded <= stored for done, encoded, stored, _ in seen)
    assert seen[-1] == (40, 40, 40, 3)
