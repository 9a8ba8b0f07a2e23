"""A plain folder of images with one CSV file.

Columns: `image`, `person_id`, `caption`; optional `split`, `camera_id`, `caption_bt`, `attributes` (a JSON object).
An image may have several lines, one per caption. Without a `split` column identities are divided 80/10/10.
"""

import csv
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from personsearch.data.readers.row import AnnotationRow, DatasetFormat
from personsearch.data.splits import assign_splits
from personsearch.errors import UserError, explain

REQUIRED = ("image", "person_id", "caption")
LONGEST_FIELD = 1 << 24

Line = dict[str, str]


def annotations(source: Path) -> list[Path]:
    """`captions.csv`, or else the only CSV file in the folder, or the only one with the required columns."""
    found = csv_files(source)
    preferred = [path for path in found if path.name.lower() == "captions.csv"]
    if preferred or len(found) == 1:
        return preferred or found
    fitting = [path for path in found if _has_required_columns(path)]
    return fitting if len(fitting) == 1 else []


def csv_files(source: Path) -> list[Path]:
    """The CSV files in a folder, without hidden ones: macOS puts a `._name.csv` beside each on foreign disks."""
    found = (path for path in source.iterdir() if path.suffix.lower() == ".csv" and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def rows(annotation: Path) -> Iterator[AnnotationRow]:
    """Group the lines of a CSV file by image, in order of first mention; the whole text is held in memory.

    Lines that name the same image but another person, split or camera become rows of their own, which the checks refuse
    as listed again.

    Raises:
        UserError: unreadable, not UTF-8, not CSV, or a required column is missing.
    """
    lines = _lines(annotation)
    groups: dict[tuple[str | None, ...], list[tuple[int, Line]]] = {}
    for number, line in lines:
        key = tuple(map(line.get, ("image", "person_id", "split", "camera_id")))
        groups.setdefault(key, []).append((number, line))
    has_splits = bool(lines) and "split" in lines[0][1]
    divided = None if has_splits else assign_splits(line["person_id"] for _, line in lines)
    for group in groups.values():
        number, first = group[0]
        yield AnnotationRow(
            number=number,
            annotation=annotation.name,
            image=first["image"],
            person=first["person_id"],
            split=first["split"] if divided is None else divided[first["person_id"]],
            captions=[line["caption"] for _, line in group],
            captions_bt=[line["caption_bt"] for _, line in group] if "caption_bt" in first else None,
            camera_id=first.get("camera_id") or None,
            attributes=_attributes(first.get("attributes")),
        )


def _has_required_columns(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return set(REQUIRED) <= {name.strip() for name in next(csv.reader(file), [])}
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def _lines(annotation: Path) -> list[tuple[int, Line]]:
    csv.field_size_limit(LONGEST_FIELD)  # beyond csv's own limit one long caption would end the whole reading
    try:
        with annotation.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            columns = [name.strip() for name in reader.fieldnames or []]
            missing = [name for name in REQUIRED if name not in columns]
            if missing:
                found = ", ".join(columns)
                raise UserError(
                    f"{annotation}: columns missing: {', '.join(missing)}; found: {found}{_advice(columns)}"
                )
            reader.fieldnames = columns
            return [(reader.line_num, _stripped(line)) for line in reader]
    except OSError as error:
        raise UserError(f"{annotation}: cannot be read: {explain(error)}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{annotation}: not UTF-8 text: {error.reason}") from error
    except csv.Error as error:
        raise UserError(f"{annotation}: not valid CSV: {error}") from error


def _advice(columns: list[str]) -> str:
    """Spreadsheets of many countries write semicolons."""
    other = len(columns) == 1 and any(separator in columns[0] for separator in ";\t")
    return "; columns separated by commas expected" if other else ""


def _stripped(line: dict[str, str]) -> Line:
    """Text in NFC, without the surplus fields of a line with too many commas, which csv puts under the key None."""
    return {name: unicodedata.normalize("NFC", value.strip()) for name, value in line.items() if isinstance(value, str)}


def _attributes(text: str | None) -> object:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return text


CSV_FOLDER = DatasetFormat(
    name="csv-folder",
    expected="captions.csv",
    annotations=annotations,
    rows=rows,
    image_folders=("", "images", "imgs"),
    named_identities=True,
)
