"""The prepared data set: one row per image in `manifest.parquet`, images beside it.

Every stage after `prepare` reads this and nothing else.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from personsearch.errors import UserError
from personsearch.files import hash_file, replacing

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
MANIFEST = "manifest.parquet"

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
    ]
)


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of one person with its captions.

    `path` is relative to the data set's folder; `captions_bt` are back-translations, one per caption;
    `attributes` is a JSON object of what is known of the person ("upper_colour": "red"), for breakdowns.
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


def write_manifest(folder: Path, records: Iterable[ImageRecord]) -> None:
    """Write `manifest.parquet` into `folder`, whole or not at all."""
    table = pa.Table.from_pylist([asdict(record) for record in records], schema=SCHEMA)
    with replacing(folder / MANIFEST) as temporary:
        pq.write_table(table, temporary)


def read_manifest(folder: Path, split: Split | None = None) -> list[ImageRecord]:
    """The records of a prepared data set, of one split if named, in the manifest's order.

    Raises:
        UserError: the folder holds no manifest, or one with other columns.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{folder}: not a prepared data set ({MANIFEST} is missing); run `personsearch data prepare`")
    schema = pq.read_schema(path)
    if not set(SCHEMA.names) <= set(schema.names):
        missing = ", ".join(sorted(set(SCHEMA.names) - set(schema.names)))
        raise UserError(f"{path}: columns missing: {missing}")
    filters = [("split", "==", split)] if split is not None else None
    table = pq.read_table(path, columns=SCHEMA.names, filters=filters)
    return list(_records(table))


def dataset_hash(folder: Path) -> str:
    """The identity of a prepared data set where DVC has none to give: the hash of its manifest.

    The manifest's `image_id` is derived from each image's bytes, so equal hashes mean equal content.
    """
    return hash_file(folder / MANIFEST)


def _records(table: pa.Table) -> Iterator[ImageRecord]:
    for row in table.to_pylist():
        row["split"] = cast(Split, row["split"])
        yield ImageRecord(**row)
