"""Restores a backup into an empty installation, or into one that a restore of the same backup has begun.

Everything is looked at before anything is written. Pictures go first, so that no row names one that is not there; rows
are compared at the end; vectors get the crops that the rows have. Crops that the newest backup says were erased do not
come back: their rows, pictures and vectors are left out, and they count as erased.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice

import sqlalchemy as sa

from personsearch.config import Config
from personsearch.errors import UserError
from personsearch.gallery.collections import numbered
from personsearch.gallery.encoding import batches
from personsearch.gallery.pictures import remove_unfinished
from personsearch.installation.backup.archive import (
    Archive,
    Damaged,
    Kind,
    Manifest,
    PictureLists,
    Registry,
    Table,
    Tables,
    VectorLists,
)
from personsearch.installation.backup.contents import CROP_ID, at_once, picture_crop_id, rows_in, vectors_in
from personsearch.installation.backup.opening import Stores
from personsearch.integrations.database.dumping import (
    PAGE_ROWS,
    Row,
    continue_numbers,
    insert_rows,
    line_of,
    row_of,
    rows_of,
    tables_of,
)
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.promotions import DatabasePromotions, Promotion
from personsearch.integrations.database.schema import REVISIONS, migrate, open_database, schema_revision
from personsearch.integrations.database.tables import CROPS, PROMOTIONS, TOMBSTONES
from personsearch.integrations.milvus.rows import read_properties
from personsearch.integrations.mlflow.state import (
    USED,
    VERSION_TABLE,
    is_used,
    mlflow_revision,
    prepare_mlflow_database,
)
from personsearch.progress import announce, track
from personsearch.search.filters import CropFilter
from personsearch.search.index import LIVE_ALIAS

NOT_RESTORED = (
    "files of PERSONSEARCH_HOME: keys of this machine, calibrations of the site, logs, settings of each ingest",
    "heads of the audit log, which are kept apart from it",
    "the collection that a rollback would make live, and users of MLflow",
)


class Restored(Config):
    """What a restore has brought back."""

    backup: str
    """Name of the backup."""

    rows: dict[str, int]
    """Rows by table, all of them compared."""

    pictures: int
    """Pictures, each compared with its SHA-256."""

    vectors: int
    """Vectors of crops that the rows have."""

    files: int
    """Files of MLflow."""

    left_out: int
    """Crops that a newer backup says were erased since."""

    damaged: tuple[str, ...] = ()
    """Pictures, and lists of vectors, that the backup has lost: they are left out, and vectors are encoded again. Other
    backups in the place that cannot be read: who was erased since is known from the rest alone.
    """

    not_restored: tuple[str, ...] = NOT_RESTORED
    """What no backup holds."""


def restore(stores: Stores, archive: Archive, manifest: Manifest, kinds: tuple[Kind, ...]) -> Restored:
    """Bring back what a backup holds.

    Raises:
        UserError: the installation holds something else, an engine cannot be used, or the backup is damaged or newer.
    """
    if absent := [kind for kind in kinds if kind not in manifest.kinds]:
        raise UserError(f"backup {manifest.name}: holds no {absent[0]}, but {', '.join(manifest.kinds)}")
    view = View(archive, manifest)
    tables = manifest.database if "database" in kinds else None
    pictures = manifest.crops if "crops" in kinds else None
    vectors = manifest.milvus if "milvus" in kinds else None
    registry = manifest.mlflow if "mlflow" in kinds else None
    database = _database(stores, tables)
    with database.held("backup"):
        present = _check_rows(database, view, tables) if tables else {}
        if vectors:
            _check_collections(stores, vectors)
        mlflow = _check_mlflow(stores, archive, registry) if registry else None
        count = _put_pictures(stores, view, pictures, alone=tables is None) if pictures else 0
        rows = _put_rows(database, view, tables, present) if tables else {}
        restored = Restored(
            backup=manifest.name,
            pictures=count,
            rows=rows,
            left_out=_count(tables) - rows.get(CROPS.name, 0),
            files=_put_mlflow(stores, archive, registry, mlflow) if registry and mlflow else 0,
            vectors=_put_vectors(stores, view, vectors) if vectors else 0,
        )
    database.close()
    return restored.model_copy(update={"damaged": tuple(view.damaged)})


class View:
    """A backup without what was erased since, by the newest backup of rows in the same place."""

    def __init__(self, archive: Archive, manifest: Manifest) -> None:
        self.archive = archive
        self.damaged: list[str] = []
        readable = archive.manifests(damaged=self.damaged)
        newest = next((each for each in reversed(readable) if each.database), manifest)
        self._tombstones = _table(newest.database, TOMBSTONES.name)
        before = set(self._erased_by(_table(manifest.database, TOMBSTONES.name)))
        self._erased = set(self._erased_by(self._tombstones)) - before

    def rows(self, table: Table) -> Iterator[Row]:
        """The rows of a table: without those of crops erased since, and with their tombstones."""
        if table.name == TOMBSTONES.name and self._erased and self._tombstones:
            yield from rows_in(self.archive, self._tombstones)
        elif CROP_ID in table.columns:
            place = table.columns.index(CROP_ID)
            yield from (row for row in rows_in(self.archive, table) if row[place] not in self._erased)
        else:
            yield from rows_in(self.archive, table)

    def pictures(self, lists: PictureLists) -> Iterator[tuple[str, str]]:
        """The names of pictures, and the hashes of their contents."""
        for part in lists.parts:
            for line in self.archive.lines(part):
                name, _, hashes = json.loads(line)
                if hashes and picture_crop_id(name) not in self._erased:
                    yield name, hashes[0]

    def intact(self, hashes: Sequence[str]) -> list[bytes | None]:
        """Contents, None for those that are damaged, which are noted."""
        try:
            return list(self.archive.load(hashes))
        except Damaged:
            return [self._intact(sha256) for sha256 in hashes]

    def _intact(self, sha256: str) -> bytes | None:
        try:
            (content,) = self.archive.load([sha256])
        except Damaged as error:
            self.damaged.append(str(error))
            return None
        return content

    def _erased_by(self, table: Table | None) -> Iterator[str]:
        if table:
            place = table.columns.index("crop_id")
            yield from (row[place] for row in rows_in(self.archive, table))


def _count(tables: Tables | None) -> int:
    table = _table(tables, CROPS.name)
    return table.rows if table else 0


def _table(tables: Tables | None, name: str) -> Table | None:
    return next((table for table in (tables.tables if tables else ()) if table.name == name), None)


def _database(stores: Stores, tables: Tables | None) -> Database:
    """The installation's database with the schema of the backup, or of this code where no rows are restored."""
    if tables is None:
        return open_database(stores.settings.database_address)
    if tables.revision not in REVISIONS:
        raise UserError(
            f"the backup has the schema {tables.revision!r} of a newer version of personsearch; use that one"
        )
    database = stores.database()
    if not database.file or database.file.exists():
        revision = schema_revision(database)
        if revision and REVISIONS.index(revision) > REVISIONS.index(tables.revision):
            raise UserError(
                f"{database.place}: has the schema {revision!r}, the backup the older {tables.revision!r}; restore "
                "into a new database, which is brought up to date afterwards; if it was, and the restore was "
                "interrupted then, name what is left in --what"
            )
    migrate(database, to=tables.revision)
    return database


def _check_rows(database: Database, view: View, tables: Tables) -> dict[str, int]:
    """How many rows each table has, which are the first of the backup's."""
    with database.snapshot() as connection:
        return {
            table.name: _matching(database, connection, into, table, view.rows(table))
            for table, into in _into(database, tables)
        }


def _put_rows(database: Database, view: View, tables: Tables, present: dict[str, int]) -> dict[str, int]:
    counts = {}
    for table, into in _into(database, tables):
        left = islice(view.rows(table), present[table.name], None)
        for rows in batches(track(left, f"restore: {table.name}", one_of_many=True), PAGE_ROWS):
            with database.writing() as connection:
                insert_rows(connection, into, table.columns, rows)
        with database.snapshot() as connection:
            expected = view.rows(table)
            counts[table.name] = _matching(database, connection, into, table, expected)
            if next(expected, None) is not None:
                raise UserError(f"{database.place}: {table.name!r} lost rows meanwhile; restore to an empty database")
    announce(f"restore: {len(counts)} tables with {sum(counts.values())} rows into {database.place}")
    migrate(database)
    return counts


def _matching(
    database: Database, connection: sa.Connection, into: sa.Table, table: Table, expected: Iterator[Row]
) -> int:
    """Compare the rows that there are with the first of those expected; returns how many there are."""
    places, count = [into.columns.keys().index(name) for name in table.columns], 0
    for row in rows_of(connection, into):
        count += 1
        if line_of(row[place] for place in places) != line_of(next(expected, ())):
            if table.name == PROMOTIONS.name:  # what an interrupted restore of vectors has added
                break
            raise UserError(
                f"{database.place}: holds {table.name} of something else; an empty database, or one that an "
                "interrupted restore of this backup has begun, expected"
            )
    return count


def _into(database: Database, tables: Tables) -> Iterator[tuple[Table, sa.Table]]:
    """Each table of a backup, and the one to put it into."""
    held = {table.name: table for table in tables_of(database, {table.name for table in tables.tables})}
    if unknown := [table.name for table in tables.tables if table.name not in held]:
        raise UserError(f"{database.place}: has no table {unknown[0]!r}, which the backup has")
    return ((table, held[table.name]) for table in tables.tables)


def _put_pictures(stores: Stores, view: View, lists: PictureLists, *, alone: bool) -> int:
    """Write the pictures that are missing. `alone`, without rows, it is those that the installation's rows name."""
    gallery, count = stores.gallery(), 0
    remove_unfinished(gallery.pictures)
    there = {name for page in gallery.pictures.names() for name in page}
    if there and not alone and (others := there - {name for name, _ in view.pictures(lists)}):
        raise UserError(
            f"{gallery.pictures.place}: holds {min(others)}, which is not in the backup; an empty place, or one that "
            "an interrupted restore of this backup has begun, expected"
        )
    total = sum(part.items for part in lists.parts)
    for some in at_once(track(view.pictures(lists), "restore: pictures", total=total)):
        named = gallery.rows.pictures_among([name for name, _ in some]) if alone else {name for name, _ in some}
        missing = [(name, sha256) for name, sha256 in some if name in named and name not in there]
        contents = view.intact([sha256 for _, sha256 in missing])
        found = [(name, jpeg) for (name, _), jpeg in zip(missing, contents, strict=True) if jpeg is not None]
        gallery.pictures.write(found)
        count += len(found) if alone else len(some) - (len(missing) - len(found))
    return count


def _check_collections(stores: Stores, lists: VectorLists) -> None:
    store = stores.vectors()
    live, names = store.alias_target(LIVE_ALIAS), {name for _, name in numbered(store)}
    if live not in (None, lists.collection) or names - {lists.collection}:
        raise UserError(
            f"{store.uri}: holds {', '.join(sorted(names)) or live}; no collections, or the one that an interrupted "
            "restore of this backup has begun, expected"
        )


def _put_vectors(stores: Stores, view: View, lists: VectorLists) -> int:
    """Fill the collection with the vectors of crops that there are, make it live, and let promoters compare it."""
    store, gallery = stores.vectors(), stores.gallery()
    properties = read_properties(lists.properties)
    if properties is None:
        raise UserError(f"{lists.collection}: its properties cannot be read: {lists.properties}")
    total = sum(part.items for part in lists.parts)
    if lists.collection not in store.names():
        store.create(lists.collection, properties, crops=total)
    index = store.open(lists.collection)
    for part in track(lists.parts, "restore: vectors, parts"):
        (content,) = view.intact([part.sha256])
        if content is None:
            continue
        crop_ids, vectors_ND = vectors_in(content)
        held = {crop.crop_id: crop for crop in gallery.crops(CropFilter(crop_ids=tuple(crop_ids)))}
        rows = [row for row, crop_id in enumerate(crop_ids) if crop_id in held]
        if rows:
            index.upsert([held[crop_ids[row]] for row in rows], vectors_ND[rows])
    index.flush()
    store.switch_alias(LIVE_ALIAS, lists.collection)
    database = open_database(stores.settings.database_address)
    # as if nothing had been followed yet: the promoter compares, and encodes what came after these vectors
    DatabasePromotions(database).went_live(Promotion(properties.model_version, lists.collection))
    return index.count()


def _check_mlflow(stores: Stores, archive: Archive, registry: Registry) -> Database | None:
    """MLflow's database, empty; None if this backup is in it already."""
    files = stores.mlflow_files()
    expected = {name for name, _, _ in _files(archive, registry)}
    if others := [file.name for file in files.all() if file.name not in expected]:
        raise UserError(f"{files.place}: holds {others[0]}, which is not in the backup; an empty place expected")
    database = prepare_mlflow_database(stores.mlflow_address(), files.root)
    if mlflow_revision(database) != registry.tables.revision:
        raise UserError(
            f"{database.place}: has other tables than the backup, which MLflow {registry.version} made; restore with "
            "that version of MLflow into a new database, then run `mlflow db upgrade` on it"
        )
    if not is_used(database):
        return database
    if not _has_runs_of(database, archive, registry):
        raise UserError(f"{database.place}: MLflow has runs or models there; a new database expected")
    return None


def _has_runs_of(database: Database, archive: Archive, registry: Registry) -> bool:
    """Whether its runs and versions are those of the backup, which come in one transaction."""
    with database.snapshot() as connection:
        for table, into in _into(database, registry.tables):
            if table.name in USED:
                keys = [table.columns.index(column.name) for column in into.primary_key.columns]
                held = [tuple(row) for row in connection.execute(sa.select(*into.primary_key.columns))]
                if sorted(held) != sorted(tuple(row[place] for place in keys) for row in rows_in(archive, table)):
                    return False
    return True


def _put_mlflow(stores: Stores, archive: Archive, registry: Registry, database: Database) -> int:
    """Files first, then all tables in one transaction; places of files are named anew where they have moved."""
    files, count = stores.mlflow_files(), 0
    total = sum(part.items for part in registry.parts)
    for name, _, hashes in track(_files(archive, registry), "restore: files of MLflow", total=total):
        files.put(name, (piece for sha256 in hashes for piece in archive.load([sha256])))
        count += 1
    tables = [each for each in _into(database, registry.tables) if each[0].name != VERSION_TABLE]
    with database.writing() as connection:
        for _, into in reversed(tables):
            connection.execute(sa.delete(into))
        for table, into in tables:
            for part in table.parts:
                rows = [_moved(row_of(line), registry.root, files.root) for line in archive.lines(part)]
                insert_rows(connection, into, table.columns, rows)
            continue_numbers(connection, into)
    return count


def _files(archive: Archive, registry: Registry) -> Iterator[tuple[str, int, list[str]]]:
    return (tuple(json.loads(line)) for part in registry.parts for line in archive.lines(part))


def _moved(row: Row, root: str, to: str) -> Row:
    """A row in which addresses at or below a folder are those of another."""
    return tuple(
        f"{to}{value.removeprefix(root)}" if isinstance(value, str) and f"{value}/".startswith(f"{root}/") else value
        for value in row
    )
