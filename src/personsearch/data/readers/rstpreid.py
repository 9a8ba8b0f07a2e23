"""RSTPReid (Zhu et al., ACM MM 2021): `data_captions.json`, a list or an object by index."""

import re
from collections.abc import Iterator
from pathlib import Path

from personsearch.data.readers.json_rows import existing, json_rows
from personsearch.data.readers.row import AnnotationRow, DatasetFormat, PublishedSplit

ANNOTATION = "data_captions.json"
CAMERA = re.compile(r"_(c\d+)_")


def camera_of(image: str) -> str | None:
    """The camera in a name such as `0000_c14_0031.jpg`."""
    match = CAMERA.search(image)
    return match[1] if match else None


def rows(annotation: Path) -> Iterator[AnnotationRow]:
    """Read `data_captions.json`."""
    return json_rows(annotation, "img_path", camera_of=camera_of)


FORMAT = DatasetFormat(
    name="rstpreid",
    wanted=ANNOTATION,
    annotations=lambda source: existing(source, ANNOTATION),
    rows=rows,
    published={
        "train": PublishedSplit(0, 3700, 18505),
        "val": PublishedSplit(3701, 3900, 1000),
        "test": PublishedSplit(3901, 4100, 1000),
    },
)
