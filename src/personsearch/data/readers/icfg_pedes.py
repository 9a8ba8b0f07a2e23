"""ICFG-PEDES (Ding et al., 2021): one caption per image, no val split.

Its image folders are named train and test too, and are not the split: only the annotation's `split` counts.
"""

from collections.abc import Iterator
from pathlib import Path

from personsearch.data.readers.json_rows import existing, json_rows
from personsearch.data.readers.row import AnnotationRow, DatasetFormat, PublishedSplit

ANNOTATIONS = ("ICFG-PEDES.json", "ICFG_PEDES.json")


def camera_of(image: str) -> str | None:
    """The camera in a name from MSMT17, `<identity>_<number>_<camera>_<time>_…`."""
    fields = Path(image).stem.split("_")
    return f"c{fields[2]}" if len(fields) >= 4 and fields[2].isdigit() else None


def rows(annotation: Path) -> Iterator[AnnotationRow]:
    """Read `ICFG-PEDES.json`."""
    return json_rows(annotation, "file_path", camera_of=camera_of)


FORMAT = DatasetFormat(
    name="icfg-pedes",
    wanted=ANNOTATIONS[0],
    annotations=lambda source: existing(source, *ANNOTATIONS),
    rows=rows,
    published={"train": PublishedSplit(0, 3101, 34674), "test": PublishedSplit(3102, 4101, 19848)},
)
