"""A gallery crop as a row of a Milvus collection, readable by anyone with a Milvus client."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, cast, get_args

from pymilvus import CollectionSchema, DataType, MilvusClient

from personsearch.addresses import hide_credentials
from personsearch.errors import UserError
from personsearch.integrations.milvus.filters import milliseconds
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.index import MAX_BYTES, CollectionProperties
from personsearch.search.quantised import Centres, Coding, VectorStorage

NAMES = [field.name for field in fields(CollectionProperties) if field.name != "coding"]
CROP_FIELDS = [*MAX_BYTES, "captured_at", "bbox", "quality", "ingested_at"]
DESCRIPTION = (
    "Pictures of people, one a row, with the vector of the model that the collection's properties name. Written by "
    "personsearch; read it by the alias persons (live) or persons_previous (before). Do not write here: the gallery is "
    "the source, and rows are made again from it."
)
DESCRIPTIONS = {
    "crop_id": "Primary key: the picture's id, the same in every collection, never used twice.",
    "camera_id": "Name of the camera, as people say it.",
    "track_id": "One passing of one person: the same for its pictures, unique within a camera only.",
    "image_uri": "Name of the JPEG below PERSONSEARCH_CROPS, or the gallery's folder; an address if it is elsewhere.",
    "frame_uri": "Where the whole frame can be found, for people; empty if it was not kept.",
    "captured_at": "When the picture was taken: milliseconds since 1970-01-01T00:00:00 UTC.",
    "bbox": "The person in the frame: [left, top, width, height] in pixels.",
    "quality": "0 to 1: how good the picture is, or the confidence of a camera's own detector.",
    "ingested_at": "When the picture entered the gallery: milliseconds since 1970-01-01T00:00:00 UTC.",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def collection_schema() -> CollectionSchema:
    """The fields of a gallery crop without its vector, each with its description."""
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False, description=DESCRIPTION)
    for name, max_bytes in MAX_BYTES.items():
        _add(schema, name, DataType.VARCHAR, max_length=max_bytes, is_primary=name == "crop_id")
    _add(schema, "captured_at", DataType.INT64)
    _add(schema, "bbox", DataType.ARRAY, element_type=DataType.INT32, max_capacity=4)
    _add(schema, "quality", DataType.DOUBLE)
    _add(schema, "ingested_at", DataType.INT64)
    return schema


def _add(schema: CollectionSchema, name: str, kind: DataType, **options: Any) -> None:
    schema.add_field(name, kind, description=DESCRIPTIONS[name], **options)


def row_of(crop: Crop) -> dict[str, Any]:
    """The row of a crop that `check_crop` has accepted, without its vector."""
    strings = {name: getattr(crop, name) for name in MAX_BYTES}
    return strings | {
        "captured_at": milliseconds(crop.captured_at),
        "bbox": [crop.bbox.x, crop.bbox.y, crop.bbox.width, crop.bbox.height],
        "quality": float(crop.quality),
        "ingested_at": milliseconds(crop.ingested_at),
    }


def crop_of(row: Mapping[str, Any]) -> Crop:
    """The crop of a row that was read with CROP_FIELDS.

    An earlier version stored addresses of frames with their tokens; a collection that is kept for a rollback may hold
    some, so they are hidden here.
    """
    strings = {name: row[name] for name in MAX_BYTES}
    return Crop(
        **strings | {"frame_uri": hide_credentials(strings["frame_uri"])},
        captured_at=_EPOCH + timedelta(milliseconds=row["captured_at"]),
        bbox=BoundingBox(*row["bbox"]),
        quality=row["quality"],
        ingested_at=_EPOCH + timedelta(milliseconds=row["ingested_at"]),
    )


def stored_properties(properties: CollectionProperties) -> dict[str, str]:
    """Milvus keeps properties as strings."""
    coding = properties.coding
    centres = {"centres": coding.centres.to_text()} if coding.centres else {}
    stored = {name: str(getattr(properties, name)) for name in NAMES}
    return stored | {"vectors": coding.vectors, "oversampling": str(coding.oversampling)} | centres


def read_properties(stored: Mapping[str, str]) -> CollectionProperties | None:
    """The properties stored with a collection; None if personsearch did not make it.

    A collection that names no coding holds float32.

    Raises:
        UserError: its vectors have a coding that this version cannot read.
    """
    vectors = stored.get("vectors", "float32")
    if vectors not in get_args(VectorStorage):
        raise UserError(f"vectors={vectors!r}; one of {', '.join(get_args(VectorStorage))} expected")
    try:
        values: dict[str, Any] = {name: stored[name] for name in NAMES}
        centres = Centres.from_text(stored["centres"]) if "centres" in stored else None
        coding = Coding(cast(VectorStorage, vectors), int(stored.get("oversampling", 1)), centres)
        return CollectionProperties(**values | {"embedding_dim": int(values["embedding_dim"])}, coding=coding)
    except (KeyError, ValueError):
        return None
