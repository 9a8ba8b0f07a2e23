"""CUHK-PEDES (Li et al., CVPR 2017): `reid_raw.json` and `imgs/`."""

import re
from collections.abc import Iterator
from pathlib import Path

from personsearch.data.readers.json_rows import existing, json_rows
from personsearch.data.readers.row import AnnotationRow, DatasetFormat, PublishedSplit

ANNOTATION = "reid_raw.json"
MARKET_CAMERA = re.compile(r"_(c\d)s\d_")


def camera_of(image: str) -> str | None:
    """The camera where the path tells it: `cam_a/…`, `cam_b/…`, and Market-1501's `…_c3s1_…`."""
    folder = image.removeprefix("./").partition("/")[0]
    if folder.startswith("cam_"):
        return folder
    match = MARKET_CAMERA.search(image) if folder == "Market" else None
    return f"market_{match[1]}" if match else None


def rows(annotation: Path) -> Iterator[AnnotationRow]:
    """Read `reid_raw.json`."""
    return json_rows(annotation, "file_path", camera_of=camera_of)


FORMAT = DatasetFormat(
    name="cuhk-pedes",
    wanted=ANNOTATION,
    annotations=lambda source: existing(source, ANNOTATION),
    rows=rows,
    published={
        "train": PublishedSplit(1, 11003, 34054),
        "val": PublishedSplit(11004, 12003, 3078),
        "test": PublishedSplit(12004, 13003, 3074),
    },
)
