"""The row that the published data sets share: {split, id, file_path or img_path, captions}."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from personsearch.data.readers.json_stream import stream_items
from personsearch.data.readers.row import AnnotationRow

CameraOf = Callable[[str], str | None]


def no_camera(image: str) -> str | None:
    """For data sets whose file names tell no camera."""
    return None


def json_rows(
    annotation: Path, image_key: str, *, camera_of: CameraOf = no_camera, split: str | None = None
) -> Iterator[AnnotationRow]:
    """Read one annotation file; `split` is given where the file's name says it.

    An item that is not an object becomes a row of nothing, which the checks refuse by its number.

    Raises:
        UserError: the file is not JSON.
    """
    for number, item in enumerate(stream_items(annotation), start=1):
        values: dict[str, Any] = item if isinstance(item, dict) else {}
        image = values.get(image_key, values.get("file_path", values.get("img_path")))
        derived = camera_of(image) if isinstance(image, str) else None
        yield AnnotationRow(
            number=number,
            annotation=annotation.name,
            image=image,
            person=values.get("id"),
            split=split or values.get("split"),
            captions=values.get("captions"),
            captions_bt=values.get("captions_bt"),
            camera_id=values.get("camera_id", derived),
            attributes=values.get("attributes"),
        )


def existing(source: Path, *names: str) -> list[Path]:
    """The first of the named files that exists in the folder, as a list; empty if none does."""
    return next(([source / name] for name in names if (source / name).is_file()), [])
