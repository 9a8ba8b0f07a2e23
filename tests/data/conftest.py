"""Small raw data sets in every format, and what `prepare` makes of them."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch.data.prepare import PrepareConfig, prepare
from personsearch.data.records import ImageRecord, read_manifest


@dataclass(frozen=True)
class Prepared:
    """The output of `prepare`, read back."""

    folder: Path
    metrics: dict[str, float]
    records: list[ImageRecord]
    statistics: dict[str, Any]
    refused: list[dict[str, Any]]
    warnings: list[dict[str, Any]]

    @property
    def reasons(self) -> list[tuple[int, str]]:
        return [(line["row"], line["reason"]) for line in self.refused]

    def of(self, origin: str) -> ImageRecord:
        return next(record for record in self.records if record.origin == origin)


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def write_images() -> Callable[[Path, Iterable[str]], None]:
    """Write a small picture for each name, different for different names."""

    def write(folder: Path, names: Iterable[str]) -> None:
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
            pixels = np.random.default_rng(seed).integers(0, 255, (16, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)

    return write


@pytest.fixture
def run_prepare(tmp_path: Path) -> Callable[..., Prepared]:
    """Run `prepare` on a folder into a fresh one, and read everything back."""

    def run(source: Path, out: str = "prepared", **config: Any) -> Prepared:
        folder = tmp_path / out
        metrics = prepare(PrepareConfig(**config), source, folder)
        return Prepared(
            folder,
            metrics,
            read_manifest(folder),
            json.loads((folder / "stats.json").read_text(encoding="utf-8")),
            read_lines(folder / "rejected.jsonl"),
            read_lines(folder / "warnings.jsonl"),
        )

    return run


@pytest.fixture
def cuhk_pedes(tmp_path: Path, write_images: Callable[[Path, Iterable[str]], None]) -> Callable[..., Path]:
    """Write rows as `reid_raw.json` with a picture for each `file_path` that stays inside the folder."""

    def write(rows: list[dict[str, Any]], *, name: str = "cuhk") -> Path:
        source = tmp_path / name
        paths = [row["file_path"] for row in rows if ".." not in row["file_path"]]
        write_images(source / "imgs", paths)
        (source / "reid_raw.json").write_text(json.dumps(rows), encoding="utf-8")
        return source

    return write


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """One row of `reid_raw.json`; named fields replace the defaults."""

    def make(number: int, **fields: Any) -> dict[str, Any]:
        return {
            "split": "train",
            "captions": [f"A man with bag {number}.", f"Person {number} walks."],
            "file_path": f"cam_a/{number:03d}.jpg",
            "processed_tokens": [["a", "man"]],
            "id": number,
        } | fields

    return make
