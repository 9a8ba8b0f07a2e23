"""From a video to the tracks of the people in it."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from personsearch.config import Config
from personsearch.errors import UserError, dangling_link
from personsearch.gallery.ingest.detectors import Detector, MotionDetector
from personsearch.gallery.ingest.onnx_detector import BUILTIN, OnnxDetector
from personsearch.gallery.ingest.selection import SelectionConfig, TrackViews
from personsearch.gallery.ingest.tracking import Tracker, TrackingConfig
from personsearch.gallery.ingest.video import Frame, VideoInfo, read_frames
from personsearch.progress import track as show_progress

STRETCH_SECONDS = 0.5
LOOKS_PER_SECOND = 6
LEAST_SURE, LEAST_SURE_SHARE = 2, 0.05  # of a track's boxes
FEW_BOXES = 6  # of so few, one is enough


class IngestConfig(Config):
    """Section `ingest` of params.yaml: how people are found in a video (docs/ingest.md)."""

    every: int | None = Field(None, ge=1)
    """Look at every n-th frame; null looks about six times a second, and at every frame for motion."""

    frames_per_second: float | None = Field(None, ge=0.1, le=1000)
    """Of a stream without timestamps, such as raw H.264; null takes the times that the stream gives."""

    detector: Literal["builtin", "motion"] | Path = "builtin"
    """`builtin`, the person detector that comes with this package; an ONNX file; or `motion`, which needs none."""

    least_confidence: float = Field(0.5, gt=0, lt=1)
    """Confidence in (0, 1) with which a box of a trained detector begins a track."""

    faint_confidence: float = Field(0.25, gt=0, lt=1)
    """Confidence in (0, 1) with which a box continues a track: of people half hidden or in poor light."""

    longest_side: int = Field(640, ge=64)
    """Longer side of a detector's input, in pixels, if it takes any size; a larger one finds smaller people, slower."""

    background_samples: int = Field(64, ge=8)
    """Frames whose median is the empty scene."""

    background_sample_seconds: float = Field(2.0, gt=0)
    """Seconds between these frames; less in a short video."""

    foreground_threshold: float = Field(22.0, gt=0)
    """Grey levels by which a person differs from the scene; lower it in poor light."""

    still_seconds: float = Field(5.0, gt=0)
    """Seconds between searches by HOG for people who stood so long that they count as background."""

    least_still_margin: float = 1.0
    """Least margin of the HOG people detector for such a person."""

    tracking: TrackingConfig = TrackingConfig()
    """When a box continues a track."""

    selection: SelectionConfig = SelectionConfig()
    """Which tracks count as people, and how many crops each gives."""


def look_at_every(config: IngestConfig, info: VideoInfo) -> int:
    """The n of "every n-th frame" for this video."""
    if config.every is not None:
        return config.every
    return 1 if config.detector == "motion" else max(1, round(info.frames_per_second / LOOKS_PER_SECOND))


def detector_file(config: IngestConfig) -> Path | None:
    """The trained detector's file; None for motion.

    Raises:
        UserError: there is no such file.
    """
    if config.detector == "motion":
        return None
    path = BUILTIN if config.detector == "builtin" else config.detector
    if not path.is_file():
        absent = dangling_link(path) or "no such file"
        raise UserError(f"detector {path}: {absent}; builtin, motion or an ONNX file expected")
    return path


def make_detector(config: IngestConfig, video: Path, info: VideoInfo) -> Detector:
    """The detector that the configuration names."""
    trained = detector_file(config)
    if trained is not None:
        return OnnxDetector(
            trained,
            least_confidence=config.least_confidence,
            faint_confidence=config.faint_confidence,
            longest_side=config.longest_side,
        )
    return MotionDetector(
        video,
        info,
        samples=config.background_samples,
        sample_seconds=config.background_sample_seconds,
        threshold=config.foreground_threshold,
        still_seconds=config.still_seconds,
        least_still_margin=config.least_still_margin,
        least_height=config.selection.least_height,
    )


def is_sure_enough(sure: int, boxes: int) -> bool:
    """Whether a trained detector was sure of enough of a track's boxes for a person. Clutter that it takes for a person
    once gives faint boxes for long.
    """
    return sure >= max(LEAST_SURE if boxes > FEW_BOXES else 1, LEAST_SURE_SHARE * boxes)


class TrackFinder:
    """Iterates over the people's tracks of a video as they end; the counts say what was seen.

    A live stream has no end to iterate to: there `add` takes its frames one by one.
    """

    def __init__(self, config: IngestConfig, path: Path, info: VideoInfo, *, detector: Detector | None = None) -> None:
        self._config = config
        self._path = path
        self._info = info
        self.every = look_at_every(config, info)
        self.frames = 0
        self.last_frame = -1
        self.detections = 0
        self.rejected: Counter[str] = Counter()
        self._best_margin = -math.inf
        self._detector = detector
        self._tracker = Tracker(config.tracking)
        self._growing: dict[int, TrackViews] = {}
        self._stretch = max(1, round(STRETCH_SECONDS * info.frames_per_second))

    def __iter__(self) -> Iterator[TrackViews]:
        frames = read_frames(self._path, every=self.every, frames_per_second=self._config.frames_per_second)
        total = math.ceil(self._info.frame_count / self.every) or None
        for frame in show_progress(frames, f"ingest {self._path.name}", total=total):
            yield from self.add(frame)
        yield from self.finish()

    def add(self, frame: Frame) -> Iterator[TrackViews]:
        """Look at the next frame; yields the tracks that end with it."""
        if self._detector is None:
            self._detector = make_detector(self._config, self._path, self._info)
        found = self._detector.detect(frame, self._tracker.expected())
        self.frames, self.last_frame = self.frames + 1, frame.index
        self.detections += int(found.sure_N.sum())
        for sighting in self._tracker.update(frame, found.boxes_N4, found.sure_N):
            self._growing.setdefault(sighting.track, TrackViews(sighting.track, self._stretch)).add(frame, sighting)
        yield from self._end(set(self._growing) - self._tracker.alive())

    def finish(self) -> Iterator[TrackViews]:
        """End every track, since no more frames follow."""
        self._tracker.forget()
        yield from self._end(set(self._growing))

    def split(self, longest: int) -> Iterator[TrackViews]:
        """What was seen so far of tracks that have lasted `longest` frames; they continue, under the same number."""
        yield from self._end({number for number, views in self._growing.items() if views.length() >= longest})

    def alive(self) -> set[int]:
        """The numbers of the tracks that may still continue."""
        return self._tracker.alive()

    def _end(self, numbers: set[int]) -> Iterator[TrackViews]:
        yield from self._people(self._growing.pop(number) for number in sorted(numbers))

    def why_rejected(self) -> str:
        """How many tracks were rejected, why, and the settings that decide; empty where none was."""
        wanted = self._config.selection
        reasons = {
            "short": f"seen for less than {wanted.least_track_seconds} s (selection.least_track_seconds)",
            "low": f"lower than {wanted.least_height} pixels (selection.least_height)",
            "unsure": f"of which the detector was hardly ever sure (least_confidence {self._config.least_confidence})",
            "no person": f"no person to the HOG detector, with margins up to {self._best_margin:.2f} where "
            f"{wanted.least_person_margin} is needed (selection.least_person_margin)",
        }
        return "; ".join(f"{self.rejected[reason]} {text}" for reason, text in reasons.items() if self.rejected[reason])

    def why_nobody(self) -> str:
        """Why a video gave no tracks at all."""
        parts = [self.why_rejected()] if self.rejected else []
        if isinstance(self._detector, MotionDetector) and self._detector.changed_frames > self.frames / 2:
            parts.append(f"the picture changes as a whole in {self._detector.changed_frames} frames: the camera moves")
        if not parts and isinstance(self._detector, MotionDetector):
            parts.append("nothing of a person's size differs from the empty scene, and HOG sees nobody standing")
        return "; ".join(parts) or "the detector sees nobody (least_confidence, longest_side)"

    def _people(self, tracks: Iterator[TrackViews]) -> Iterator[TrackViews]:
        for track in tracks:
            reason = self._why_not_a_person(track)
            if reason is None:
                yield track
            else:
                self.rejected[reason] += 1

    def _why_not_a_person(self, track: TrackViews) -> str | None:
        """None for a track long enough, large enough, and of a person to the trained detector, or by motion to HOG."""
        wanted = self._config.selection
        least_boxes = wanted.least_track_seconds * self._info.frames_per_second / self.every
        if len(track.sightings) < max(2.0, least_boxes):
            return "short"
        if track.height() < wanted.least_height:
            return "low"
        if self._config.detector != "motion":
            return None if is_sure_enough(track.times_sure, len(track.sightings)) else "unsure"
        margin = track.person_margin()
        self._best_margin = max(self._best_margin, margin)
        return None if margin >= wanted.least_person_margin else "no person"
