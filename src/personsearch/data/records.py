"""The prepared data set: one row per image in `manifest.parquet`, images beside it.

Every stage after `prepare` reads this and nothing else.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, cast, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from personsearch.errors import UserError, check_exists
from personsearch.files import hash_file, inner_path, replacing

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
MANIFEST = "manifest.parquet"
REJECTED_FOR = "rejected_for"
ROWS_PER_GROUP = 8192

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("person_id", pa.int64(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("captions", pa.list_(pa.string()), nullable=False),
        pa.field("captions_bt", pa.list_(pa.string())),
        pa.field("camera_id", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("attributes", pa.string()),
        pa.field("origin", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of one person with its captions.

    `path` is relative to the data set's folder; `captions_bt` are back-translations, one per caption;
    `attributes` is a JSON object of what is known about the person ("upper_colour": "red"), for breakdowns;
    `source` names the data set and `origin` the image's path in it.
    """

    image_id: str
    path: str
    person_id: int
    split: Split
    captions: list[str]
    source: str
    captions_bt: list[str] | None = None
    camera_id: str | None = None
    attributes: str | None = None
    origin: str | None = None

    @property
    def rejected_for(self) -> list[str]:
        """Captions of others that people said do not describe this image: its attribute `rejected_for`."""
        given = json.loads(self.attributes).get(REJECTED_FOR, []) if self.attributes else []
        return [text for text in given if isinstance(text, str)] if isinstance(given, list) else []


def write_manifest(folder: Path, records: Iterable[ImageRecord]) -> None:
    """Write `manifest.parquet` into `folder`, whole or not at all, with only a group of rows in memory."""
    with replacing(folder / MANIFEST) as temporary, pq.ParquetWriter(temporary, SCHEMA) as writer:
        for group in _groups(records):
            writer.write_table(pa.Table.from_pylist([asdict(record) for record in group], schema=SCHEMA))


def read_manifest(folder: Path, split: Split | None = None) -> list[ImageRecord]:
    """The records of a prepared data set, or of one split, in the manifest's order.

    Raises:
        UserError: the folder holds no manifest, or one with other columns or with images outside the folder.
    """
    columns = check_manifest(folder)
    filters = [("split", "==", split)] if split is not None else None
    table = pq.read_table(folder / MANIFEST, columns=columns, filters=filters)
    return list(_records(table, folder / MANIFEST))


def check_manifest(folder: Path) -> list[str]:
    """The known columns that a data set's manifest has; optional ones may be missing.

    Raises:
        UserError: the folder holds no manifest, or one without a column that every data set has.
    """
    path = folder / MANIFEST
    if not path.is_file():
        check_exists(folder, "a prepared data set")
        raise UserError(f"{folder}: not a prepared data set ({MANIFEST} is missing); run `personsearch data prepare`")
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: not a Parquet file: {error}") from error
    missing = [field.name for field in SCHEMA if not field.nullable and field.name not in schema.names]
    if missing:
        raise UserError(f"{path}: columns missing: {', '.join(missing)}")
    return [name for name in SCHEMA.names if name in schema.names]


def dataset_hash(folder: Path) -> str:
    """The identity of a prepared data set outside DVC: the hash of its manifest.

    The manifest's `image_id` is derived from each image's bytes, so equal hashes mean equal content.
    """
    return hash_file(folder / MANIFEST)


def _groups(records: Iterable[ImageRecord]) -> Iterator[list[ImageRecord]]:
    iterator = iter(records)
    while group := list(islice(iterator, ROWS_PER_GROUP)):
        yield group


def _records(table: pa.Table, path: Path) -> Iterator[ImageRecord]:
    for row in table.to_pylist():
        row["split"] = cast(Split, row["split"])
        row["path"] = inner_path(row["path"], path)
        yield ImageRecord(**row)
