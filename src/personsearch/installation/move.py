"""Moves an installation's state to another database and another store of pictures, and compares every row and picture.

The source stays as it is, so nothing is lost whatever happens; an interrupted move continues when it is run again.
Pictures go first: rows never name a picture that is not there yet.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from personsearch.config import Config
from personsearch.errors import UserError
from personsearch.gallery.pictures import Pictures, remove_unfinished
from personsearch.gallery.store import Gallery
from personsearch.images import ImageRejected
from personsearch.integrations.database.copying import (
    check_is_beginning,
    content,
    copy_rows,
    count_rows,
    kept_tables,
)
from personsearch.integrations.database.engine import Database
from personsearch.progress import track
from personsearch.search.crop import Crop

logger = logging.getLogger(__name__)

PICTURES_AT_ONCE = 64
MISSING = "missing"
NOT_MOVED = (
    "vectors in Milvus and models in MLflow, which keep their addresses",
    "files of PERSONSEARCH_HOME: keys of this machine, calibrations of the site, logs, settings of each ingest",
    "the right to change this installation's backups: `personsearch backup adopt`",
    "leases and heartbeats, which running processes write again",
)


@dataclass(frozen=True, slots=True)
class State:
    """Where an installation keeps its state: rows in a database, pictures in a store."""

    database: Database
    pictures: Pictures


class Moved(Config):
    """What a move carried, all of it compared."""

    rows: dict[str, int]
    """Rows by table."""

    pictures: int
    """Pictures, of which none differs."""

    pictures_missing: int
    """Crops without a picture, in the source as in the target."""

    sha256: str
    """Of every row and picture, equal in source and target."""

    not_moved: tuple[str, ...] = NOT_MOVED
    """What stays where it is."""


def move(gallery: Gallery, source: State, target: State) -> Moved:
    """Copy everything that the target does not have yet, then compare; nobody adds or erases crops meanwhile.

    A database or a store that source and target share stays as it is.

    Raises:
        UserError: they share both, the target holds something else, an engine fails, or the comparison does.
    """
    same_database = _is_same(source.database.place, target.database.place)
    same_pictures = _is_same(source.pictures.place, target.pictures.place)
    if same_database and same_pictures:
        raise UserError(f"{target.database.place}, {target.pictures.place}: the installation is there already")
    with gallery.rows.turn(alone=True):
        if not same_database:
            for table in kept_tables():
                check_is_beginning(source.database, target.database, table)
        if not same_pictures:
            _copy_pictures(gallery, source.pictures, target.pictures)
        if not same_database:
            _copy_tables(source.database, target.database)
        return _compared(gallery, source, target)


def _is_same(place: str, other: str) -> bool:
    """Whether two places are one; a path may be spelled in several ways."""
    return place == other or ("://" not in place + other and Path(place).resolve() == Path(other).resolve())


def _copy_pictures(gallery: Gallery, source: Pictures, target: Pictures) -> None:
    is_empty = True
    remove_unfinished(target)
    for names in target.names():
        is_empty = False
        if others := set(names) - gallery.rows.pictures_among(names):
            raise UserError(
                f"{target.place}: holds {min(others)}, which is no picture of {gallery.rows.place}; an empty place, or "
                "one that an interrupted move has begun, expected"
            )
    for crops in _batches(gallery, "move: pictures"):
        names = [crop.image_uri for crop in crops]
        read = dict(zip(names, source.read_many(names), strict=True))
        held = {} if is_empty else dict(zip(names, target.read_many(names), strict=True))
        pictures = {name: jpeg for name, jpeg in read.items() if isinstance(jpeg, bytes)}
        target.write([(name, jpeg) for name, jpeg in pictures.items() if held.get(name) != jpeg])


def _copy_tables(source: Database, target: Database) -> None:
    for table in kept_tables():
        left = count_rows(source, table) - count_rows(target, table)
        pages = copy_rows(source, target, table)
        rows = (row for number in pages for row in range(number))
        for _ in track(rows, f"move: {table.name}", total=left) if left else ():
            pass


def _compared(gallery: Gallery, source: State, target: State) -> Moved:
    digest, rows, pictures = hashlib.sha256(), {}, Counter[bool]()
    for table in kept_tables():
        of_source, of_target = (content(each.database, table) for each in (source, target))
        if of_source != of_target:
            raise UserError(
                f"{table.name!r} has {of_source.rows} rows in {source.database.place} and {of_target.rows} in "
                f"{target.database.place}, or they differ: it was changed meanwhile. Stop what uses it, and move again "
                "to an empty place"
            )
        rows[table.name] = of_source.rows
        digest.update(of_source.sha256.encode())
    for picture_hash in _compared_pictures(gallery, source.pictures, target.pictures):
        pictures[picture_hash == MISSING] += 1
        digest.update(picture_hash.encode())
    if pictures[True]:
        logger.warning("%d crops have no picture, here as there", pictures[True])
    return Moved(rows=rows, pictures=pictures[False], pictures_missing=pictures[True], sha256=digest.hexdigest())


def _compared_pictures(gallery: Gallery, source: Pictures, target: Pictures) -> Iterator[str]:
    """The hash of every crop's picture, which is the same in both."""
    for crops in _batches(gallery, "move: compare pictures"):
        names = [crop.image_uri for crop in crops]
        for name, *both in zip(names, source.read_many(names), target.read_many(names), strict=True):
            of_source, of_target = map(_hash, both)
            if of_source != of_target:
                raise UserError(f"{target.address(name)}: differs from {source.address(name)}")
            yield of_source


def _hash(picture: bytes | ImageRejected) -> str:
    return MISSING if isinstance(picture, ImageRejected) else hashlib.sha256(picture).hexdigest()


def _batches(gallery: Gallery, description: str) -> Iterator[list[Crop]]:
    batch: list[Crop] = []
    for crop in track(gallery.crops(), description, total=gallery.count()):
        batch.append(crop)
        if len(batch) == PICTURES_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
