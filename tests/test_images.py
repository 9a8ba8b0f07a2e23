"""Decoding: what comes in upright and whole, what is refused with a reason."""

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from personsearch.images import MAX_PIXELS, ImageRejected, open_image

EXIF_ORIENTATION = 0x0112


def encode(image: Image.Image, format_name: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def gradient(mode: str = "RGB") -> Image.Image:
    """16 high, 8 wide; red grows downwards, green to the right."""
    rows, columns = np.mgrid[0:16, 0:8]
    return Image.fromarray(np.stack([rows * 16, columns * 32, rows * 0], axis=-1).astype(np.uint8)).convert(mode)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    chunks = b"\x89PNG\r\n\x1a\n"
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", b""),
        (b"IEND", b""),
    ):
        chunks += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return chunks


@pytest.mark.parametrize("format_name", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_formats_give_their_pixels(format_name: str) -> None:
    original = gradient() if format_name != "GIF" else gradient().quantize(128)
    assert np.array_equal(open_image(encode(original, format_name)), original.convert("RGB"))


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6  # the camera was turned: rotate by 90° clockwise to see it upright
    upright = open_image(encode(gradient(), "PNG", exif=exif))
    assert np.array_equal(upright, np.rot90(np.asarray(gradient()), k=-1))


def test_cmyk_becomes_rgb() -> None:
    image = open_image(encode(gradient("CMYK"), "JPEG", quality=100))
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image, dtype=int) - np.asarray(gradient(), dtype=int)).mean() < 12


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    deep = Image.fromarray(np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8))
    values = np.asarray(open_image(encode(deep, "PNG")))[..., 0].ravel()
    assert np.array_equal(values, np.linspace(0, 65535, 64, dtype=np.uint16) >> 8)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_sensor_of_few_bits_in_a_deep_image_fills_the_range(tmp_path: Path, bits: int) -> None:
    grey = np.linspace(0, 2**bits - 1, 64).astype(np.uint16).reshape(8, 8)
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(grey).save(tmp_path / name)
        values = np.asarray(open_image(tmp_path / name))[..., 0]
        assert np.array_equal(values, grey >> (bits - 8))
    assert values.max() == 255


def test_deep_colour_that_would_be_black_is_refused(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 4096, (8, 8, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "scaled.png"), colour << 4)
    assert np.array_equal(np.asarray(open_image(tmp_path / "scaled.png"))[..., ::-1], colour >> 4)
    cv2.imwrite(str(tmp_path / "low.png"), colour)
    with pytest.raises(ImageRejected, match="16 bits per channel of which the upper 4 are empty"):
        open_image(tmp_path / "low.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "black.png")
    assert np.asarray(open_image(tmp_path / "black.png")).max() == 0


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(ImageRejected, match="mode F"):
        open_image(encode(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image"),
        (b"hello, I am a text", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
        (encode(gradient(), "JPEG")[:300], "truncated|cannot be decoded"),
        (encode(gradient(), "PNG")[:60], "truncated|cannot be decoded"),
        (png_header(30_000, 30_000), "pixels"),
        (png_header(10_000, 6_000), "pixels"),
        (png_header(8, 8), "cannot be decoded"),
    ],
)
def test_bad_bytes_are_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ImageRejected, match=reason):
        open_image(content)


def test_missing_files_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, reason in (("absent.jpg", "missing"), ("pipe.jpg", "regular"), (".", "regular")):
        with pytest.raises(ImageRejected, match=reason):
            open_image(tmp_path / name)


def test_the_limit_is_on_pixels_not_on_sides() -> None:
    long = Image.new("L", (60_000, 8))
    assert long.width * long.height < MAX_PIXELS
    assert open_image(encode(long, "PNG")).size == (60_000, 8)


@settings(max_examples=150, deadline=None)
@given(
    damage=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=20),
    whole=st.booleans(),
)
def test_damaged_files_are_decoded_or_refused(damage: list[tuple[int, int]], whole: bool) -> None:
    content = bytearray(encode(gradient(), "JPEG" if whole else "PNG"))
    for position, value in damage:
        content[position % len(content)] = value
    try:
        mode = open_image(bytes(content)).mode
    except ImageRejected:
        return
    assert mode == "RGB"
