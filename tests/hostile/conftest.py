"""Two hundred inputs that want to break the reading of a data set, each with the verdict it deserves."""

import csv
import io
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

Verdict = Literal["accepted", "refused"]
COUNT = 200
EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True)
class HostileInput:
    """One row with its image, and what must become of it."""

    name: str
    verdict: Verdict
    content: bytes | None = None
    fields: dict[str, Any] = field(default_factory=dict)


def picture(seed: int, mode: str = "RGB", size: tuple[int, int] = (12, 24)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, format_name: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def png_with_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b"")):
        parts.append(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return b"".join(parts)


def jpeg_with_header(width: int, height: int) -> bytes:
    content = bytearray(encoded(picture(0)))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def turned(seed: int, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return encoded(picture(seed), exif=exif)


def image_cases(seed: int) -> Iterator[tuple[str, Verdict, bytes | None]]:
    """Images with another content for each seed; None: no file."""
    whole = encoded(picture(seed), quality=90)
    yield "zero bytes", "refused", b""
    yield "missing", "refused", None
    yield "wrong magic", "refused", b"\x00\x01\x02\x03" + whole[4:]
    yield "truncated jpeg", "refused", whole[: len(whole) // 2 + seed]
    yield "header only", "refused", whole[:20]
    yield "huge png header", "refused", png_with_header(30_000, 30_000)
    yield "huge jpeg header", "refused", jpeg_with_header(30_000, 30_000)
    yield "zero by zero", "refused", png_with_header(0, 0)
    yield "text renamed", "refused", f"just text {seed}\n".encode() * 40
    yield "json renamed", "refused", json.dumps({"image": seed}).encode()
    yield "html renamed", "refused", b"<html><script>alert(1)</script></html>"
    yield "svg renamed", "refused", b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>'
    yield "postscript renamed", "refused", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n"
    yield "zip renamed", "refused", b"PK\x03\x04" + bytes(range(200))
    yield "random bytes", "refused", np.random.default_rng(seed).bytes(500)
    yield "one pixel", "refused", encoded(picture(seed, size=(1, 1)), "PNG")
    yield "thin line", "refused", encoded(picture(seed, size=(4, 900)), "PNG")
    yield "cmyk", "accepted", encoded(picture(seed, "CMYK"))
    yield "grey", "accepted", encoded(picture(seed, "L"))
    yield "exif rotated", "accepted", turned(seed, 2 + seed % 7)
    yield "progressive", "accepted", encoded(picture(seed), progressive=True)
    yield "png named jpg", "accepted", encoded(picture(seed), "PNG")
    yield "palette", "accepted", encoded(picture(seed).quantize(16), "GIF")
    yield "transparent", "accepted", encoded(picture(seed, "RGBA"), "PNG")
    yield "webp", "accepted", encoded(picture(seed), "WEBP")
    yield "trailing garbage", "accepted", whole + b"\0" * 999


def row_cases(seed: int) -> Iterator[tuple[str, Verdict, dict[str, Any]]]:
    """Rows around a good image."""
    yield "good", "accepted", {}
    yield "emoji", "accepted", {"captions": [f"a 🙂👩‍🦰 person {seed} 🎒"]}
    yield "other scripts", "accepted", {"captions": [f"一个穿红色外套的男人 {seed}", f"رجل يرتدي معطفا {seed}"]}
    yield "control characters", "accepted", {"captions": [f"a\x00 man\x1b[2J \u202e{seed}"]}
    yield "lone surrogate", "accepted", {"captions": [f"a man \ud83d {seed}"]}
    yield "one good caption of two", "accepted", {"captions": ["", f"a man {seed}"]}
    yield "markup", "accepted", {"captions": [f"<script>alert({seed})</script> '; drop table people; --"]}
    yield "ten thousand words", "refused", {"captions": ["word " * 10_000]}
    yield "one endless word", "refused", {"captions": ["x" * 100_000]}
    yield "empty caption", "refused", {"captions": [""]}
    yield "white space", "refused", {"captions": [" \t\n"]}
    yield "no captions", "refused", {"captions": []}
    yield "captions are a number", "refused", {"captions": 5}
    yield "captions are null", "refused", {"captions": [None, 1, {}]}
    yield "wrong split", "refused", {"split": "training"}
    yield "split is null", "refused", {"split": None}
    yield "identity is text", "refused", {"id": "somebody"}
    yield "identity is negative", "refused", {"id": -1}
    yield "identity is huge", "refused", {"id": 2**70}
    yield "identity is true", "refused", {"id": True}
    yield "path outside", "refused", {"file_path": f"../../secret{seed}.jpg"}
    yield "absolute path", "refused", {"file_path": "/etc/hostname"}
    yield "path with nul", "refused", {"file_path": f"a\x00{seed}.jpg"}
    yield "path too long", "refused", {"file_path": "d/" * 3000 + f"{seed}.jpg"}
    yield "name too long", "refused", {"file_path": "n" * 300 + f"{seed}.jpg"}
    yield "path is a list", "refused", {"file_path": [1, 2]}
    yield "path is a folder", "refused", {"file_path": "."}
    yield "odd extras", "accepted", {"attributes": [1, 2], "camera_id": {"a": 1}, "captions_bt": "x", "extra": 3}


def hostile_inputs() -> list[HostileInput]:
    """COUNT inputs: every case again with other seeds until there are enough."""
    inputs: list[HostileInput] = []
    seed = 0
    while len(inputs) < COUNT:
        inputs += [HostileInput(f"{name} {seed}", verdict, content) for name, verdict, content in image_cases(seed)]
        for name, verdict, fields in row_cases(seed):
            inputs.append(HostileInput(f"{name} {seed}", verdict, encoded(picture(1000 + len(inputs))), fields))
        seed += 1
    return inputs[:COUNT]


def as_row(number: int, hostile: HostileInput) -> dict[str, Any]:
    row = {"split": "train", "id": number, "file_path": f"{number:03d}.jpg", "captions": [f"person {number} walks"]}
    return row | hostile.fields


@pytest.fixture(scope="session")
def inputs() -> list[HostileInput]:
    return hostile_inputs()


@pytest.fixture
def write_hostile(inputs: list[HostileInput], tmp_path: Path) -> Callable[[str], Path]:
    """Write the inputs as CUHK-PEDES (`json`) or as a folder with a CSV file (`csv`)."""

    def write(form: str) -> Path:
        source = tmp_path / f"hostile_{form}"
        images = source / ("imgs" if form == "json" else "images")
        images.mkdir(parents=True)
        rows = [as_row(number, hostile) for number, hostile in enumerate(inputs)]
        for number, hostile in enumerate(inputs):
            if hostile.content is not None:
                (images / f"{number:03d}.jpg").write_bytes(hostile.content)
        os.mkfifo(images / "pipe.jpg")
        rows.append(as_row(COUNT, HostileInput("pipe", "refused", None, {"file_path": "pipe.jpg"})))
        if form == "json":
            (source / "reid_raw.json").write_text(json.dumps(rows), encoding="utf-8")
        else:
            write_csv(source / "captions.csv", rows)
        return source

    return write


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "person_id", "caption", "split"])
        for row in rows:
            for caption in row["captions"] if isinstance(row["captions"], list) else [row["captions"]]:
                writer.writerow([row["file_path"], row["id"], caption, row["split"]])
