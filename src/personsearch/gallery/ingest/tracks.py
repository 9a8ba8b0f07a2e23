"""From a video to the tracks of the people in it."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from personsearch.config import Config
from personsearch.gallery.ingest.detectors import Detector, JoinedDetector, MotionDetector
from personsearch.gallery.ingest.onnx_detector import OnnxDetector
from personsearch.gallery.ingest.selection import SelectionConfig, TrackViews
from personsearch.gallery.ingest.tracking import Tracker, TrackingConfig
from personsearch.gallery.ingest.video import VideoInfo, read_frames
from personsearch.progress import track as show_progress

STRETCH_SECONDS = 0.5
LEAST_RECOGNISED, LEAST_RECOGNISED_SHARE = 2, 0.1


class IngestConfig(Config):
    """Section `ingest` of params.yaml: how people are found in a video (docs/ingest.md)."""

    every: int = Field(1, ge=1)
    """Look at every n-th frame; 2 or more is faster on videos with many frames per second."""

    frames_per_second: float | None = Field(None, ge=0.1, le=1000)
    """Of a stream without timestamps, such as raw H.264; null takes the times that the stream gives."""

    detector: Path | None = None
    """An ONNX detector, joined with motion; null finds people by motion and HOG alone, without weights."""

    least_confidence: float = Field(0.35, gt=0, lt=1)
    """Confidence in (0, 1) that a box of an ONNX detector needs."""

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


def make_detector(config: IngestConfig, path: Path, info: VideoInfo) -> Detector:
    """The detector that the configuration names."""
    motion = MotionDetector(
        path,
        info,
        samples=config.background_samples,
        sample_seconds=config.background_sample_seconds,
        threshold=config.foreground_threshold,
        still_seconds=config.still_seconds,
        least_still_margin=config.least_still_margin,
        least_height=config.selection.least_height,
    )
    if config.detector is None:
        return motion
    return JoinedDetector(OnnxDetector(config.detector, least_confidence=config.least_confidence), motion)


class TrackFinder:
    """Iterates over the people's tracks of a video as they end; afterwards the counts say what was seen."""

    def __init__(self, config: IngestConfig, path: Path, info: VideoInfo) -> None:
        self._config = config
        self._path = path
        self._info = info
        self.frames = 0
        self.last_frame = -1
        self.detections = 0
        self.rejected: Counter[str] = Counter()
        self._best_margin = -math.inf
        self._detector: Detector | None = None

    def __iter__(self) -> Iterator[TrackViews]:
        config = self._config
        detector = self._detector = make_detector(config, self._path, self._info)
        tracker = Tracker(config.tracking)
        growing: dict[int, TrackViews] = {}
        frames = read_frames(self._path, every=config.every, frames_per_second=config.frames_per_second)
        total = round(self._info.frame_count / config.every) or None
        for frame in show_progress(frames, f"ingest {self._path.name}", total=total):
            found = detector.detect(frame, tracker.expected())
            self.frames, self.last_frame = self.frames + 1, frame.index
            self.detections += len(found.boxes_N4)
            sightings = tracker.update(frame, found.boxes_N4)
            for sighting, recognised in zip(sightings, found.recognised_N, strict=True):
                stretch = max(1, round(STRETCH_SECONDS * self._info.frames_per_second))
                views = growing.setdefault(sighting.track, TrackViews(sighting.track, stretch))
                views.add(frame, sighting, recognised=bool(recognised))
            ended = sorted(set(growing) - tracker.alive())
            yield from self._people(growing.pop(number) for number in ended)
        yield from self._people(growing[number] for number in sorted(growing))

    def why_nobody(self) -> str:
        """What was rejected and why, with the settings that decide."""
        wanted = self._config.selection
        reasons = {
            "short": f"seen for less than {wanted.least_track_seconds} s (selection.least_track_seconds)",
            "low": f"lower than {wanted.least_height} pixels (selection.least_height)",
            "no person": f"no person to the HOG detector, with margins up to {self._best_margin:.2f} where "
            f"{wanted.least_person_margin} is needed (selection.least_person_margin)",
        }
        parts = [f"{self.rejected[reason]} {text}" for reason, text in reasons.items() if self.rejected[reason]]
        if isinstance(self._detector, MotionDetector) and self._detector.changed_frames > self.frames / 2:
            parts.append(f"the picture changes as a whole in {self._detector.changed_frames} frames: the camera moves")
        if not parts:
            parts.append("nothing of a person's size differs from the empty scene, and HOG sees nobody standing")
        return "; ".join(parts)

    def _people(self, tracks: Iterator[TrackViews]) -> Iterator[TrackViews]:
        for track in tracks:
            reason = self._why_not_a_person(track)
            if reason is None:
                yield track
            else:
                self.rejected[reason] += 1

    def _why_not_a_person(self, track: TrackViews) -> str | None:
        """None for a track long enough, large enough, and recognised often enough, or a person to the HOG detector in a
        quarter of its views.
        """
        wanted = self._config.selection
        least_boxes = wanted.least_track_seconds * self._info.frames_per_second / self._config.every
        if len(track.sightings) < max(2.0, least_boxes):
            return "short"
        if track.height() < wanted.least_height:
            return "low"
        if track.times_recognised >= max(LEAST_RECOGNISED, LEAST_RECOGNISED_SHARE * len(track.sightings)):
            return None
        margin = track.person_margin()
        self._best_margin = max(self._best_margin, margin)
        return None if margin >= wanted.least_person_margin else "no person"
