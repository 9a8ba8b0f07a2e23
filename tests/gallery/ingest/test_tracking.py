"""People keep their identity while they cross, hide and reappear."""

import numpy as np
import pytest

from personsearch.gallery.ingest.tracking import Tracker, TrackingConfig
from personsearch.gallery.ingest.video import Frame

from .clips import Walker, draw

RED, BLUE = (30, 30, 180), (160, 60, 20)


def sure(boxes: np.ndarray) -> np.ndarray:
    return np.ones(len(boxes), dtype=bool)


def follow(walkers: list[Walker], frames: int, hidden: dict[int, range] | None = None) -> dict[int, list[int]]:
    """For each walker, the tracks it was given, frame by frame."""
    tracker = Tracker(TrackingConfig())
    numbers: dict[int, list[int]] = {n: [] for n in range(len(walkers))}
    for index in range(frames):
        seen = [
            n
            for n, walker in enumerate(walkers)
            if walker.first <= index <= walker.last and index not in (hidden or {}).get(n, range(0))
        ]
        boxes = np.array([walkers[n].box_at(index) for n in seen]).reshape(-1, 4)
        frame = Frame(index, index / 10, draw(index, [walkers[n] for n in seen]))
        for n, sighting in zip(seen, tracker.update(frame, boxes, sure(boxes)), strict=True):
            numbers[n].append(sighting.track)
    return numbers


def test_crossing_people_keep_their_identity() -> None:
    numbers = follow([Walker(RED, 60, 5), Walker(BLUE, 260, -5)], 40, hidden={0: range(17, 23)})
    assert [set(tracks) for tracks in numbers.values()] == [{1}, {2}]


def test_a_person_behind_a_post_is_the_same_afterwards() -> None:
    numbers = follow([Walker(RED, 60, 4)], 40, hidden={0: range(15, 27)})
    assert set(numbers[0]) == {1}


def test_somebody_else_in_the_same_place_is_a_new_track() -> None:
    numbers = follow([Walker(RED, 100, 0, last=15), Walker(BLUE, 100, 0, first=17)], 35)
    assert not set(numbers[0]) & set(numbers[1])


def test_who_is_gone_too_long_is_forgotten() -> None:
    numbers = follow([Walker(RED, 100, 0)], 80, hidden={0: range(15, 60)})
    assert len(set(numbers[0])) == 2


def test_a_stall_of_the_recording_ends_the_tracks() -> None:
    tracker, walker = Tracker(TrackingConfig(longest_gap_seconds=2.5)), Walker(RED, 60, 0)
    box, pixels = np.array([walker.box_at(0)]), draw(0, [walker])
    times = [0.0, 0.1, 0.2, 2.7, 62.7]
    assert [tracker.update(Frame(n, t, pixels), box, sure(box))[0].track for n, t in enumerate(times)] == [
        1,
        1,
        1,
        1,
        2,
    ]


def test_only_confirmed_tracks_say_where_people_are_expected() -> None:
    tracker = Tracker(TrackingConfig(confirming_boxes=3))
    walker = Walker(RED, 60, 5)
    for index, expected in enumerate([0, 0, 0, 1]):
        assert len(tracker.expected()) == expected
        box = np.array([walker.box_at(index)])
        tracker.update(Frame(index, index / 10, draw(index, [walker])), box, sure(box))


def test_isolation_is_the_uncovered_share() -> None:
    tracker = Tracker(TrackingConfig())
    boxes = np.array([[0.0, 0, 20, 40], [10.0, 0, 30, 40], [100.0, 0, 120, 40]])
    sightings = tracker.update(Frame(0, 0.0, draw(0, [])), boxes, sure(boxes))
    assert [s.isolation for s in sightings] == [0.5, 0.5, 1.0]


def test_faint_boxes_continue_tracks_and_begin_none() -> None:
    """The person passes through a shadow; a thing that is faintly like a person stands beside."""
    tracker, walker, thing = Tracker(TrackingConfig(confirming_boxes=3)), Walker(RED, 60, 5), Walker(BLUE, 250, 0)
    seen = []
    for index in range(20):
        boxes = np.array([walker.box_at(index), thing.box_at(index)])
        frame = Frame(index, index / 10, draw(index, [walker, thing]))
        sightings = tracker.update(frame, boxes, np.array([not 8 <= index < 14, False]))
        seen.append([(s.track, s.sure, s.box[0]) for s in sightings])
    assert seen == [[(1, not 8 <= n < 14, walker.box_at(n)[0])] for n in range(20)]


def test_a_track_takes_the_sure_box_before_the_faint_one() -> None:
    """The faint box lies better, but the detector is sure of the other."""
    tracker, walker = Tracker(TrackingConfig(confirming_boxes=2)), Walker(RED, 100, 0)
    box, pixels = np.array(walker.box_at(0)), draw(0, [walker])
    for index in range(3):
        tracker.update(Frame(index, index / 10, pixels), box[None], np.array([True]))
    both = np.array([box, box + 3.0])
    (sighting,) = tracker.update(Frame(3, 0.3, pixels), both, np.array([False, True]))
    assert (sighting.track, sighting.sure, sighting.box[0]) == (1, True, box[0] + 3)


@pytest.mark.parametrize(("seconds", "same"), [(0.1, False), (0.5, True)])
def test_the_longer_ago_the_farther_somebody_may_have_gone(seconds: float, same: bool) -> None:
    """Half a person's height: too far in a tenth of a second, a walk in half a second."""
    tracker = Tracker(TrackingConfig())
    tracks = []
    for index, start in enumerate((100, 140)):
        walker = Walker(RED, start, 0)
        box = np.array([walker.box_at(0)])
        tracks.append(tracker.update(Frame(index, index * seconds, draw(0, [walker])), box, sure(box))[0].track)
    assert (tracks[0] == tracks[1]) is same
