"""A camera's signature and what its sensor, lens and codec do to a picture."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.data.synthetic.palette import Floats

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Camera:
    """What all images of one camera share.

    `gain` and `haze` are per channel (RGB), `person_height` is a range in pixels. `haze` is the share of full
    brightness at which black is recorded, `ceiling` the one at which white is.
    """

    name: str
    gain: tuple[float, float, float]
    gamma: float
    contrast: float
    black_level: float
    saturation: float
    exposure: float
    blur: float
    noise: float
    sharpening: float
    jpeg_quality: tuple[int, int]
    person_height: tuple[int, int]
    pitch: float
    indoors: bool
    sun: float
    haze: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ceiling: float = 1.0
    motion_blur: int = 0
    interlaced: bool = False


def draw_camera(name: str, rng: np.random.Generator) -> Camera:
    """A random camera."""
    warmth, tint = rng.normal(0, 0.055), rng.normal(0, 0.02)
    low = int(rng.integers(44, 100))
    indoors = bool(rng.random() < 0.25)
    # Most surveillance cameras record black as a grey: the darkest hundredth of real crops lies at 22 to 52 of 255.
    haze = float(rng.uniform(0.03, 0.23)) if rng.random() < 0.85 else 0.0
    veil = np.clip(haze * np.exp(rng.normal(0, 0.12, 3)), 0, 0.3)
    return Camera(
        name=name,
        gain=(float(np.exp(warmth)), float(np.exp(tint)), float(np.exp(-warmth))),
        gamma=float(np.exp(rng.normal(-0.04, 0.12))),
        contrast=float(rng.uniform(0.8, 1.35)),
        black_level=float(rng.uniform(-0.04, 0.1)),
        saturation=float(rng.uniform(0.4, 1.15)),
        exposure=float(np.exp(rng.normal(0.3, 0.2))),
        blur=float(rng.uniform(0.1, 0.75)),
        noise=float(rng.uniform(0.002, 0.02)),
        sharpening=float(max(0.0, rng.uniform(-0.4, 1.2))),
        jpeg_quality=(int(rng.integers(35, 70)), int(rng.integers(75, 95))),
        person_height=(low, low + int(rng.integers(25, 80))),
        pitch=float(rng.uniform(0.02, 0.55)),
        indoors=indoors,
        sun=0.15 if indoors else float(rng.choice([0.15, 0.35, 0.6, 0.95])),
        haze=(float(veil[0]), float(veil[1]), float(veil[2])),
        ceiling=float(rng.uniform(0.72, 1.0)),
    )


def by_night(camera: Camera, rng: np.random.Generator) -> Camera:
    """The same camera under street lamps: dim, orange, pale, grainy, soft. A domain in which colours mislead."""
    return replace(
        camera,
        gain=(1.35, 1.0, float(rng.uniform(0.35, 0.55))),
        gamma=float(rng.uniform(1.0, 1.3)),
        contrast=float(rng.uniform(0.6, 0.9)),
        saturation=float(rng.uniform(0.3, 0.55)),
        exposure=float(rng.uniform(0.55, 0.9)),
        blur=float(rng.uniform(0.4, 0.9)),
        noise=float(rng.uniform(0.01, 0.025)),
        sharpening=0.0,
        sun=0.0,
    )


def for_one_shot(camera: Camera, rng: np.random.Generator) -> Camera:
    """The camera at one moment: exposure, focus and noise vary; sometimes the person moves too fast for it."""
    return replace(
        camera,
        exposure=camera.exposure * float(np.exp(rng.normal(0, 0.1))),
        blur=camera.blur * float(rng.uniform(0.5, 1.7)),
        noise=camera.noise * float(rng.uniform(0.4, 1.8)),
        motion_blur=int(rng.integers(2, 5)) if rng.random() < 0.12 else 0,
        interlaced=bool(rng.random() < 0.03),
    )


def develop(linear_HW3: Floats, camera: Camera, rng: np.random.Generator) -> Picture:
    """8-bit RGB of linear light: exposure, cast, tone curve, saturation, haze, blur, sharpening, noise."""
    light = np.maximum(linear_HW3 * (np.asarray(camera.gain, np.float32) * np.float32(camera.exposure)), 0)
    tone: Floats = cv2.pow(np.minimum(light, np.float32(1.5)), camera.gamma / 2.2)
    tone = (tone - camera.black_level) / (1 - camera.black_level)
    tone = (tone - 0.42) * camera.contrast + 0.44
    grey = tone @ np.array([0.3, 0.59, 0.11], np.float32)
    tone = grey[..., None] + (tone - grey[..., None]) * camera.saturation
    haze = np.asarray(camera.haze, np.float32)
    tone = haze + np.clip(tone, 0, 1) * (np.float32(camera.ceiling) - haze)
    if camera.blur > 0.25:
        tone = cv2.GaussianBlur(tone, (0, 0), camera.blur)
    if camera.motion_blur:
        tone = cv2.blur(tone, (camera.motion_blur, 1))
    if camera.sharpening > 0.05:
        tone = tone + camera.sharpening * (tone - cv2.GaussianBlur(tone, (0, 0), 1.0))
    tone = tone + _sensor_noise(tone.shape, camera.noise, rng)
    picture = np.asarray(np.clip(tone * 255, 0, 255), np.uint8)
    return _interlaced(picture, rng) if camera.interlaced else picture


def _sensor_noise(shape: tuple[int, ...], strength: float, rng: np.random.Generator) -> Floats:
    """Fine noise of brightness and coarser noise of colour."""
    height, width = shape[:2]
    fine = rng.standard_normal((height, width, 1), np.float32) * strength
    coarse = rng.standard_normal((height // 3 + 1, width // 3 + 1, 3), np.float32) * strength * 0.7
    return np.asarray(fine + cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def encode(picture: Picture, camera: Camera, rng: np.random.Generator) -> bytes:
    """JPEG bytes as the camera's codec would leave them (chroma at half resolution)."""
    quality = int(rng.integers(camera.jpeg_quality[0], camera.jpeg_quality[1] + 1))
    coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    # A second time at high quality: data sets hold crops that were cut from a coded video and saved again.
    again = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return bytes(cv2.imencode(".jpg", again, [cv2.IMWRITE_JPEG_QUALITY, 92])[1])


def _interlaced(picture: Picture, rng: np.random.Generator) -> Picture:
    """Odd lines, taken a moment later than even ones, shifted by a pixel."""
    shifted = picture.copy()
    shifted[1::2] = np.roll(picture[1::2], int(rng.choice([-1, 1])), axis=1)
    return shifted
