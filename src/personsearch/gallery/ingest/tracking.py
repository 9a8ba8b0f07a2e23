"""Joins boxes of successive frames into tracks, one per person.

A track moves at constant velocity (an alpha-beta filter: the steady state of a Kalman filter); boxes are assigned
to tracks by the Hungarian algorithm on overlap, distance and colour. A track without a box is kept for a while at its
predicted position, so that people who cross or pass behind a post keep their identity.

Shapes: N boxes, K tracks.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from personsearch.config import Config
from personsearch.gallery.ingest.appearance import Appearance, blend, describe, similarity
from personsearch.gallery.ingest.boxes import NO_BOXES, Boxes, coverage, overlap
from personsearch.gallery.ingest.video import Frame

IMPOSSIBLE = 1e6
POSITION_GAIN = 0.6
VELOCITY_GAIN = 0.25
SIZE_GAIN = 0.25
VELOCITY_DECAY = 0.93
SURELY_ALIKE = 0.72
REACH, REACH_PER_SECOND = 0.29, 0.6  # from where a track should be, relative to the person's height
SAME_TIME = 1e-6


class TrackingConfig(Config):
    """When a box continues a track."""

    longest_gap_seconds: float = 2.5
    """How long a track waits for its next box while a person is hidden, in seconds."""

    confirming_boxes: int = 3
    """Boxes after which a track is confirmed and waits that long; an unconfirmed track waits one frame."""

    appearance_weight: float = 2.0
    """Weight of different colours in the cost, beside place and size."""

    most_cost: float = 1.3
    """Largest cost at which a box continues a track; a box that costs more starts a new one."""

    least_similarity: float = 0.6
    """Least similarity of colours, in [0, 1], for a box to continue a track."""


@dataclass
class Track:
    """One person so far. `box` is the filtered place in the latest frame, `velocity` its motion per processed frame,
    `seen_at` the time of its latest box.
    """

    number: int
    box: NDArray[np.float64]
    appearance: Appearance
    seen_at: float
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    boxes_seen: int = 1
    frames_missed: int = 0

    def predict(self) -> None:
        """Move to where the next frame should show it."""
        self.box = self.box + np.tile(self.velocity, 2)
        if self.frames_missed:
            self.velocity = self.velocity * VELOCITY_DECAY

    def correct(self, box: NDArray[np.float64], appearance: Appearance, seconds: float, *, isolated: bool) -> None:
        """Update with the box found in the frame of this time."""
        error = _foot(box) - _foot(self.box)
        gain = min(1.0, POSITION_GAIN + 0.1 * self.frames_missed)
        foot = _foot(self.box) + gain * error
        self.velocity = self.velocity + (VELOCITY_GAIN if self.boxes_seen > 2 else 0.5) * error
        size = (1 - SIZE_GAIN) * _size(self.box) + SIZE_GAIN * _size(box)
        self.box = np.array([foot[0] - size[0] / 2, foot[1] - size[1], foot[0] + size[0] / 2, foot[1]])
        if isolated and similarity(self.appearance, appearance) > SURELY_ALIKE:
            self.appearance = blend(self.appearance, appearance, 0.1)
        self.boxes_seen += 1
        self.frames_missed = 0
        self.seen_at = seconds


@dataclass(frozen=True, slots=True)
class Sighting:
    """A track's box in one frame; `isolation` is the share of the box that no other box covers, `sure` whether the
    detector is sure of it.
    """

    track: int
    box: NDArray[np.float64]
    isolation: float
    sure: bool


class Tracker:
    """Follows people from frame to frame."""

    def __init__(self, config: TrackingConfig) -> None:
        self._config = config
        self._tracks: list[Track] = []
        self._next_number = 1

    def expected(self) -> Boxes:
        """Where the people of confirmed tracks should be in the next frame [K, 4]."""
        expected = [t.box + np.tile(t.velocity, 2) for t in self._tracks if self._is_confirmed(t)]
        return np.array(expected).reshape(-1, 4) if expected else NO_BOXES

    def forget(self) -> None:
        """End every track; numbers continue."""
        self._tracks = []

    def alive(self) -> set[int]:
        """Ids of the tracks that may still continue."""
        return {track.number for track in self._tracks}

    def update(self, frame: Frame, boxes_N4: Boxes, sure_N: NDArray[np.bool_]) -> list[Sighting]:
        """Assign a frame's boxes to tracks, old or new. Boxes that are not sure begin none, and continue only tracks
        seen lately that no sure box continues (after Zhang et al., "ByteTrack", 2022).
        """
        self._tracks = [track for track in self._tracks if self._may_continue(track, frame.seconds)]
        for track in self._tracks:
            track.predict()
        covered = coverage(boxes_N4, boxes_N4[sure_N]) * (1 - np.eye(len(boxes_N4))[:, sure_N])
        isolation = 1 - np.minimum(covered.sum(axis=1), 1.0)
        appearances = [describe(frame.pixels, box) for box in boxes_N4]
        owners = self._assign(frame.seconds, boxes_N4, sure_N, appearances)
        seen = set(owners.values())
        for index, position in owners.items():
            isolated = bool(isolation[index] > 0.9)
            self._tracks[position].correct(boxes_N4[index], appearances[index], frame.seconds, isolated=isolated)
        for position, track in enumerate(self._tracks):
            track.frames_missed += position not in seen
        sightings = [
            Sighting(
                self._tracks[owners[n]].number if n in owners else self._begin(box, appearances[n], frame.seconds),
                box,
                float(isolation[n]),
                bool(sure_N[n]),
            )
            for n, box in enumerate(boxes_N4)
            if n in owners or sure_N[n]
        ]
        self._tracks = [track for track in self._tracks if self._may_continue(track, frame.seconds)]
        return sightings

    def _assign(
        self, seconds: float, boxes_N4: Boxes, sure_N: NDArray[np.bool_], appearances: list[Appearance]
    ) -> dict[int, int]:
        """Box index → track position; recently seen tracks are matched first, lost ones with what is left."""
        owners: dict[int, int] = {}
        lately = [k for k, track in enumerate(self._tracks) if track.frames_missed <= 2]
        lost = [k for k, track in enumerate(self._tracks) if track.frames_missed > 2]
        for candidates, wanted_N in ((lately, sure_N), (lost, sure_N), (lately, ~sure_N)):
            positions = [k for k in candidates if k not in owners.values()]
            free = [int(n) for n in np.flatnonzero(wanted_N) if n not in owners]
            if not positions or not free:
                continue
            cost_KN = np.array(
                [[self._cost(self._tracks[k], boxes_N4[n], appearances[n], seconds) for n in free] for k in positions]
            )
            for row, column in zip(*linear_sum_assignment(cost_KN), strict=True):
                if cost_KN[row, column] <= self._config.most_cost:
                    owners[free[column]] = positions[row]
        return owners

    def _cost(self, track: Track, box: NDArray[np.float64], appearance: Appearance, seconds: float) -> float:
        """Low if position, size and colours agree; IMPOSSIBLE if nobody could have moved that far."""
        height = float(track.box[3] - track.box[1])
        distance = float(np.linalg.norm(_foot(box) - _foot(track.box))) / height
        shared = float(overlap(track.box[None], box[None])[0, 0])
        alike = similarity(track.appearance, appearance)
        reach = REACH + REACH_PER_SECOND * (seconds - track.seen_at)
        growth = abs(float(np.log((box[3] - box[1]) / height)))
        if (shared < 0.1 and distance > reach) or alike < self._config.least_similarity or growth > 0.5:
            return IMPOSSIBLE
        return 0.5 * (1 - shared) + 0.5 * min(distance / reach, 1.5) + self._config.appearance_weight * (1 - alike)

    def _begin(self, box: NDArray[np.float64], appearance: Appearance, seconds: float) -> int:
        self._tracks.append(Track(self._next_number, box.copy(), appearance, seconds))
        self._next_number += 1
        return self._tracks[-1].number

    def _may_continue(self, track: Track, seconds: float) -> bool:
        if not self._is_confirmed(track):
            return track.frames_missed <= 1
        return seconds - track.seen_at <= self._config.longest_gap_seconds + SAME_TIME

    def _is_confirmed(self, track: Track) -> bool:
        return track.boxes_seen >= self._config.confirming_boxes


def _foot(box: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([(box[0] + box[2]) / 2, box[3]])


def _size(box: NDArray[np.float64]) -> NDArray[np.float64]:
    size: NDArray[np.float64] = box[2:] - box[:2]
    return size
