"""Lists of cameras in files that people edit: CSV with a header, or YAML."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import yaml

from personsearch.config import parse_yaml
from personsearch.errors import UserError, explain
from personsearch.files import replacing
from personsearch.gallery.cameras import CameraDetails, checked_details

COLUMNS = tuple(field.name for field in fields(CameraDetails))
KINDS = {".csv": "csv", ".yaml": "yaml", ".yml": "yaml"}


def read_cameras(file: Path) -> list[CameraDetails]:
    """The cameras that a file lists.

    Raises:
        UserError: it cannot be read, or it is no list of cameras; it says where.
    """
    kind = _kind(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text), strict=True)) if kind == "csv" else parse_yaml(text, str(file))
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {explain(error)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: not {kind.upper()} in UTF-8: {error}") from error
    if not isinstance(rows, list):
        raise UserError(f"{file}: a list of cameras expected, each with {', '.join(COLUMNS)}")
    found: dict[str, CameraDetails] = {}
    for number, row in enumerate(rows, start=1):
        camera = _camera(row, f"{file}: camera {number}")
        if camera.camera_id in found:
            raise UserError(f"{file}: camera {number}: {camera.camera_id!r} is listed before")
        found[camera.camera_id] = camera
    return list(found.values())


def write_cameras(file: Path, cameras: Sequence[CameraDetails]) -> None:
    """Write a list that `read_cameras` reads.

    Raises:
        UserError: the name of the file does not say its kind.
    """
    rows = [asdict(each) for each in cameras]
    if _kind(file) == "yaml":
        text = yaml.safe_dump(rows, allow_unicode=True, sort_keys=False)
    else:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = buffer.getvalue()
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _kind(file: Path) -> str:
    kind = KINDS.get(file.suffix.lower())
    if kind is None:
        raise UserError(f"{file}: a file name ending in {', '.join(KINDS)} expected")
    return kind


def _camera(row: Any, place: str) -> CameraDetails:
    if not isinstance(row, dict):
        raise UserError(f"{place}: {', '.join(COLUMNS)} expected")
    values = {name: "" if value is None else value for name, value in row.items()}
    if wrong := [name for name in values if name not in COLUMNS]:
        raise UserError(f"{place}: {wrong[0]!r} is none of {', '.join(COLUMNS)}")
    if numbers := [name for name, value in values.items() if not isinstance(value, str)]:
        raise UserError(f"{place}: {numbers[0]}: text expected, in quotes if it is a number")
    try:
        return checked_details(CameraDetails(values.pop("camera_id", ""), **values))
    except UserError as error:
        raise UserError(f"{place}: {error}") from error
