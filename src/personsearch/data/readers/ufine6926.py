"""UFine6926 (Zuo et al., CVPR 2024): about 81 words a caption; `file_path` starts at the data set's folder."""

from collections.abc import Iterator
from pathlib import Path

from personsearch.data.readers.json_rows import json_rows
from personsearch.data.readers.row import AnnotationRow, DatasetFormat


def annotations(source: Path) -> list[Path]:
    """Every `UFine6926….json` in the folder, whatever its case: one file, or one per split."""
    return sorted(path for path in source.glob("*.json") if path.name.lower().startswith("ufine6926"))


def rows(annotation: Path) -> Iterator[AnnotationRow]:
    """Read one `UFine6926….json`."""
    return json_rows(annotation, "file_path")


FORMAT = DatasetFormat(
    name="ufine6926", wanted="UFine6926.json", annotations=annotations, rows=rows, image_folders=("", "imgs", "images")
)
