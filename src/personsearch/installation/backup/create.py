"""Makes a backup: rows of one moment, the pictures that they name, the vectors of what is live, and MLflow.

Nothing has to be stopped. Rows come first and are of one moment; pictures never change, so those that the rows name are
of that moment too; vectors and MLflow follow and are as they were some minutes later. A restore brings them together:
vectors without a row are left out, and rows without a vector are encoded by the promoter.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from personsearch import __version__
from personsearch.errors import UserError
from personsearch.gallery.pictures import Pictures
from personsearch.gallery.store import Gallery
from personsearch.installation.backup.archive import (
    Archive,
    Kind,
    Manifest,
    Part,
    PictureLists,
    Registry,
    Table,
    Tables,
    VectorLists,
    Writer,
)
from personsearch.installation.backup.contents import (
    at_once,
    entry,
    in_parts,
    key_of,
    packed,
    rows_in,
    table_of,
    vectors_content,
)
from personsearch.installation.backup.opening import Stores
from personsearch.installation.backup.owner import claim
from personsearch.integrations.database.copying import kept_tables
from personsearch.integrations.database.dumping import line_of, rows_of, tables_of
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.notices import BACKED_UP, DatabaseNotices
from personsearch.integrations.database.schema import HEAD, VERSION_TABLE, open_database
from personsearch.integrations.database.tables import CROPS, METADATA
from personsearch.integrations.milvus.rows import stored_properties
from personsearch.integrations.mlflow.state import installed_version, mlflow_revision
from personsearch.integrations.objects.files import Files, KeptFile
from personsearch.progress import announce, track
from personsearch.search.index import LIVE_ALIAS, VectorIndex

if TYPE_CHECKING:
    from personsearch.integrations.milvus.store import MilvusStore

logger = logging.getLogger(__name__)

TRIES = 3  # while a collection goes live as another is read


def create(stores: Stores, archive: Archive, kinds: tuple[Kind, ...], *, full: bool = False) -> Manifest:
    """Write a backup. An interrupted one is continued; what another backup has is not written again unless `full`.

    Raises:
        UserError: an engine or the place cannot be used, or keeps another installation's. No backup is listed then.
    """
    database = open_database(stores.settings.database_address)
    with database.held("backup"):
        claim(archive, database)
        began = datetime.now(UTC)
        writer = Writer(archive, () if full else _held(archive))
        tables = dump_tables(writer, database, kept_tables(), revision=HEAD) if "database" in kinds else None
        manifest = Manifest(
            name=f"{began:%Y-%m-%dT%H%M%S}.{began.microsecond // 1000:03d}Z",
            personsearch=__version__,
            began_at=began,
            database=tables,
            crops=_pictures(writer, stores.gallery(), tables) if "crops" in kinds else None,
            milvus=_vectors(writer, stores) if "milvus" in kinds else None,
            mlflow=_mlflow(writer, stores) if "mlflow" in kinds else None,
            ended_at=datetime.now(UTC),
        )
        archive.write(manifest)
        archive.end_unfinished()
        DatabaseNotices(database).note(BACKED_UP, int(began.timestamp() * 1000))
    return manifest


def _held(archive: Archive) -> Iterator[Part]:
    """The parts that are there. A damaged backup is no reason to make no other."""
    damaged: list[str] = []
    for manifest in archive.manifests(damaged=damaged):
        yield from (part for _, part in manifest.parts())
    yield from archive.unfinished()
    for each in damaged:
        logger.warning("%s; its file must be removed before `erase` and `expire` can work", each)


def dump_tables(writer: Writer, database: Database, tables: Iterable[sa.Table], *, revision: str) -> Tables:
    """The rows of tables at one moment."""
    with database.snapshot() as connection:
        at = datetime.now(UTC)
        dumped = tuple(_table(writer, connection, table) for table in tables)
    announce(f"backup: {len(dumped)} tables with {sum(table.rows for table in dumped)} rows of {database.place}")
    return Tables(at=at, revision=revision, tables=dumped)


def _table(writer: Writer, connection: sa.Connection, table: sa.Table) -> Table:
    columns = [column.name for column in table.columns]
    key = [columns.index(column.name) for column in table.primary_key.columns]
    rows = track(rows_of(connection, table), f"backup: {table.name}", one_of_many=True)
    return table_of(writer, table.name, tuple(columns), rows, key=key or list(range(len(columns))))


def _pictures(writer: Writer, gallery: Gallery, tables: Tables | None) -> PictureLists:
    names = _names_in(writer.archive, tables) if tables else (crop.image_uri for crop in gallery.crops())
    chunks = in_parts(track(names, "backup: pictures", total=gallery.count()), str)
    return PictureLists(parts=tuple(_picture_part(writer, gallery.pictures, chunk) for chunk in chunks))


def _names_in(archive: Archive, tables: Tables) -> Iterator[str]:
    (crops,) = (table for table in tables.tables if table.name == CROPS.name)
    place = crops.columns.index("image_uri")
    return (row[place] for row in rows_in(archive, crops))


def _picture_part(writer: Writer, pictures: Pictures, names: list[str]) -> Part:
    """A list of pictures, which are there once it is."""
    key = key_of("pictures", *names)
    if known := writer.known(key):
        return known
    lines, named, missing = [], 0, 0
    for some in at_once(names):
        read = list(pictures.read_many(some))
        hashes = iter(writer.archive.store([jpeg for jpeg in read if isinstance(jpeg, bytes)]))
        for name, jpeg in zip(some, read, strict=True):
            if isinstance(jpeg, bytes):
                lines.append(entry(name, len(jpeg), [next(hashes)]))
                named += len(jpeg)
            else:
                lines.append(entry(name, 0, []))
                missing += 1
    key = "" if missing else key  # a missing one may be put back
    return writer.write(key, packed(lines), items=len(names), named=named, missing=missing)


def _vectors(writer: Writer, stores: Stores) -> VectorLists | None:
    """The vectors of what is live; None where nothing is."""
    store = stores.existing_vectors()
    for _ in range(TRIES):
        name = store.alias_target(LIVE_ALIAS) if store else None
        if store is None or name is None:
            return None
        with suppress(_Moved):
            return _collection(writer, store, name)
    raise UserError("other collections went live while vectors were read; run the same command again")


class _Moved(Exception):
    """Another collection is live now."""


def _collection(writer: Writer, store: "MilvusStore", name: str) -> VectorLists:
    try:
        index, properties = store.open(name), stored_properties(store.properties(name))
        ids = in_parts(track(index.crop_ids(), "backup: vectors", total=index.count()), str)
        parts = tuple(_vector_part(writer, index, [name, line_of(sorted(properties.items()))], part) for part in ids)
    except UserError:
        if store.alias_target(LIVE_ALIAS) != name:  # it was dropped, or replaced by a copy
            raise _Moved from None
        raise
    if store.alias_target(LIVE_ALIAS) != name:
        raise _Moved
    return VectorLists(collection=name, properties=properties, parts=parts)


def _vector_part(writer: Writer, index: VectorIndex, context: list[str], crop_ids: list[str]) -> Part:
    key = key_of("vectors", *context, *crop_ids)
    if known := writer.known(key):
        return known
    crops, vectors_ND = index.fetch(crop_ids)
    held = [crop.crop_id for crop in crops]
    return writer.write(key if held == crop_ids else "", vectors_content(held, vectors_ND), items=len(held))


def _mlflow(writer: Writer, stores: Stores) -> Registry | None:
    """MLflow's tables and files; None where nobody has used it yet."""
    if (database := stores.existing_mlflow()) is None:
        return None
    files, ours = stores.mlflow_files(), {*METADATA.tables, VERSION_TABLE}  # both may share a database
    tables = [table for table in tables_of(database) if table.name not in ours]
    dumped = dump_tables(writer, database, tables, revision=mlflow_revision(database))
    chunks = in_parts(track(files.all(), "backup: files of MLflow"), lambda file: file.name)
    parts = tuple(_file_part(writer, files, chunk) for chunk in chunks)
    return Registry(version=installed_version(), root=files.root, tables=dumped, parts=parts)


def _file_part(writer: Writer, files: Files, chunk: list[KeptFile]) -> Part:
    key = key_of("files", files.place, *(line_of([file.name, file.size, file.state]) for file in chunk))
    if known := writer.known(key):
        return known
    lines, named = [], 0
    for file in chunk:
        hashes = [sha256 for piece in files.pieces(file) for sha256 in writer.archive.store([piece])]
        lines.append(entry(file.name, file.size, hashes))
        named += file.size
    return writer.write(key, packed(lines), items=len(chunk), named=named)
