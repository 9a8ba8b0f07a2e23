"""The pre-split files that TBPS-CLIP publishes: one JSON file per split, with back-translations in `captions_bt`."""

from collections.abc import Iterator
from pathlib import Path

from personsearch.data.readers.json_rows import existing, json_rows
from personsearch.data.readers.row import AnnotationRow, DatasetFormat
from personsearch.data.records import SPLITS


def annotations(source: Path) -> list[Path]:
    """`train_reid.json`, `val_reid.json`, `test_reid.json`, or the same without `_reid`; those that exist."""
    return [path for split in SPLITS for path in existing(source, f"{split}_reid.json", f"{split}.json")]


def rows(annotation: Path) -> Iterator[AnnotationRow]:
    """Read one split; the file's name says which."""
    return json_rows(annotation, "file_path", split=annotation.stem.removesuffix("_reid"))


FORMAT = DatasetFormat(name="tbps-clip", wanted="train_reid.json", annotations=annotations, rows=rows)
