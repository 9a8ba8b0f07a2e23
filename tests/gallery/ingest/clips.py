"""Short clips of simple figures, drawn for the tests of ingest."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

SIZE = (240, 320)
FRAMES_PER_SECOND = 10


@dataclass(frozen=True)
class Walker:
    """A figure 80 pixels high that moves along a row; colours are BGR."""

    upper: tuple[int, int, int]
    start: float
    step: float
    foot: int = 200
    first: int = 0
    last: int = 10_000

    def box_at(self, index: int) -> tuple[float, float, float, float]:
        middle = self.start + self.step * index
        return (middle - 15, self.foot - 80, middle + 15, self.foot)


def scene(seed: int = 0) -> np.ndarray:
    """A grey ground with a fixed texture, [H, W, 3]."""
    noise = np.random.default_rng(seed).normal(0, 6, (SIZE[0] // 8, SIZE[1] // 8, 3))
    return np.clip(150 + cv2.resize(noise, SIZE[::-1]), 0, 255).astype(np.uint8)


def draw(index: int, walkers: list[Walker]) -> np.ndarray:
    """One frame: the scene, the walkers in order, a little noise."""
    pixels = scene()
    for walker in walkers:
        if walker.first <= index <= walker.last:
            _draw_person(pixels, walker, index)
    noise = np.random.default_rng(index).normal(0, 2, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def write_clip(path: Path, walkers: list[Walker], *, frames: int) -> Path:
    """Render a clip as Motion JPEG."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FRAMES_PER_SECOND, SIZE[::-1])
    for index in range(frames):
        writer.write(draw(index, walkers))
    writer.release()
    return path


def write_stream(path: Path, walkers: list[Walker], *, times: Sequence[float], aspect: Fraction = Fraction(1)) -> Path:
    """Render a clip as H.264 with a key frame every ten frames, each frame at its time in seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"g": "10"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, seconds in enumerate(times):
            frame = av.VideoFrame.from_ndarray(draw(index, walkers), format="bgr24")
            frame.pts, frame.time_base = round(1000 * seconds), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _draw_person(pixels: np.ndarray, walker: Walker, index: int) -> None:
    middle, foot = round(walker.start + walker.step * index), walker.foot
    swing = round(5 * np.sin(index))
    for side in (-1, 1):
        cv2.line(pixels, (middle + side * 4, foot - 40), (middle + side * (4 + swing), foot - 3), (40, 30, 30), 8)
    cv2.ellipse(pixels, (middle, foot - 52), (12, 18), 0, 0, 360, walker.upper, -1)
    cv2.circle(pixels, (middle, foot - 73), 7, (140, 160, 200), -1)
