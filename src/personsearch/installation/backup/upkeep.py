"""Keeps backups right and lawful: compares them with their hashes, removes old ones, and erases in all of them what the
installation has erased.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from personsearch.config import Config
from personsearch.errors import UserError
from personsearch.gallery.store import Gallery
from personsearch.installation.backup.archive import (
    Archive,
    Damaged,
    Manifest,
    Part,
    PictureLists,
    Table,
    Tables,
    VectorLists,
    Writer,
)
from personsearch.installation.backup.contents import (
    CROP_ID,
    at_once,
    key_of,
    packed,
    picture_crop_id,
    rows_in,
    table_of,
    vectors_content,
    vectors_in,
)
from personsearch.installation.backup.create import dump_tables
from personsearch.installation.backup.opening import Stores
from personsearch.installation.backup.owner import claim, installation_database
from personsearch.integrations.database.schema import open_database
from personsearch.integrations.database.tables import TOMBSTONES
from personsearch.progress import track


class Verified(Config):
    """What a comparison of backups with their hashes found."""

    backups: int
    """Backups that were read."""

    contents: int
    """Contents that they name."""

    damaged: tuple[str, ...] = ()
    """What is missing or differs."""


class Removed(Config):
    """What was removed from backups."""

    backups: int
    """Backups that were removed, or changed."""

    contents: int
    """Contents that no backup names any more."""


def verify(archive: Archive, manifests: Iterable[Manifest] | None = None) -> Verified:
    """Read everything that backups name, those of one place if none are given, and compare it with its hash."""
    seen: set[str] = set()
    unreadable: list[str] = []
    manifests = archive.manifests(damaged=unreadable) if manifests is None else manifests
    damaged: dict[str, None] = dict.fromkeys(unreadable)
    count = 0
    for manifest in manifests:
        count += 1
        lists = {part.sha256 for part in manifest.lists()}
        for _, part in track(list(manifest.parts()), f"verify: {manifest.name}, parts"):
            if part.sha256 not in seen:
                damaged.update(dict.fromkeys(_faults(archive, part, seen, is_list=part.sha256 in lists)))
    return Verified(backups=count, contents=len(seen), damaged=tuple(damaged))


def _faults(archive: Archive, part: Part, seen: set[str], *, is_list: bool) -> Iterator[str]:
    seen.add(part.sha256)
    try:
        named = [sha256 for sha256 in archive.named_by(part) if sha256 not in seen] if is_list else []
        if not is_list:
            archive.load([part.sha256])
    except Damaged as error:
        yield str(error)
        return
    seen.update(named)
    for some in at_once(named):
        try:
            archive.load(some)
        except Damaged:
            yield from _one_by_one(archive, some)


def _one_by_one(archive: Archive, hashes: list[str]) -> Iterator[str]:
    for sha256 in hashes:
        try:
            archive.load([sha256])
        except Damaged as error:
            yield str(error)


def expire(stores: Stores, archive: Archive, *, days: float) -> Removed:
    """Remove the backups that are older than some days, but never the newest.

    Raises:
        UserError: the place cannot be used, keeps another installation's backups, or one of them is damaged.
    """
    with _turn(stores, archive):
        limit = datetime.now(UTC) - timedelta(days=days)
        old = [manifest for manifest in _all_whole(archive)[:-1] if manifest.began_at < limit]
        for manifest in old:
            archive.forget(manifest)
        return Removed(backups=len(old), contents=archive.sweep())


def erase(stores: Stores, archive: Archive) -> Removed:
    """Remove from every backup the rows, pictures and vectors of crops that the installation has erased.

    A backup is replaced by one without them; then the contents are removed that no backup names any more.

    Raises:
        UserError: as `expire`.
    """
    with _turn(stores, archive):
        gallery, changed = stores.gallery(), 0
        for manifest in _all_whole(archive):
            if (without := _without_erased(stores, archive, gallery, manifest)) != manifest:
                archive.write(without)
                changed += 1
        return Removed(backups=changed, contents=archive.sweep())


@contextmanager
def _turn(stores: Stores, archive: Archive) -> Iterator[None]:
    """Nobody else changes the backups of this installation meanwhile."""
    database = installation_database(stores)
    with database.held("backup"):
        claim(archive, database)
        yield


def _all_whole(archive: Archive) -> list[Manifest]:
    """Every backup. What a damaged one names is not known, so nothing may be removed while there is one."""
    damaged: list[str] = []
    found = archive.manifests(damaged=damaged)
    if damaged:
        raise UserError(f"{'; '.join(damaged)}. Nothing was removed; remove each such file first")
    return found


def _without_erased(stores: Stores, archive: Archive, gallery: Gallery, manifest: Manifest) -> Manifest:
    writer = Writer(archive)
    found = {
        "database": manifest.database and _without_rows(stores, writer, gallery, manifest.database),
        "crops": manifest.crops and _without_pictures(writer, gallery, manifest.crops),
        "milvus": manifest.milvus and _without_vectors(writer, gallery, manifest.milvus),
    }
    return manifest.model_copy(update=found)


def _without_rows(stores: Stores, writer: Writer, gallery: Gallery, tables: Tables) -> Tables:
    changed = {table.name: _without(writer, gallery, table) for table in tables.tables if table.name != TOMBSTONES.name}
    if all(changed[table.name] == table for table in tables.tables if table.name in changed):
        return tables
    _check_is_ours(writer.archive, gallery, tables)
    database = open_database(stores.settings.database_address)
    (changed[TOMBSTONES.name],) = dump_tables(writer, database, [TOMBSTONES], revision=tables.revision).tables
    return tables.model_copy(update={"tables": tuple(changed[table.name] for table in tables.tables)})


def _without(writer: Writer, gallery: Gallery, table: Table) -> Table:
    """A table without what it says of erased crops."""
    if CROP_ID not in table.columns:
        return table
    place, archive = table.columns.index(CROP_ID), writer.archive
    if not any(gallery.erased_among([row[place] for row in some]) for some in at_once(rows_in(archive, table))):
        return table
    left = (
        row
        for some in at_once(rows_in(archive, table))
        for erased in [set(gallery.erased_among([row[place] for row in some]))]
        for row in some
        if row[place] not in erased
    )
    return table_of(writer, table.name, table.columns, left, key=[0])  # a number, by which they are in order


def _check_is_ours(archive: Archive, gallery: Gallery, tables: Tables) -> None:
    """What was erased by then must still count as erased, or this backup is not of this installation."""
    (tombstones,) = (table for table in tables.tables if table.name == TOMBSTONES.name)
    place = tombstones.columns.index(CROP_ID)
    for some in at_once(rows_in(archive, tombstones)):
        crop_ids = [row[place] for row in some]
        if others := set(crop_ids) - set(gallery.erased_among(crop_ids)):
            raise UserError(
                f"{archive.place.place}: a backup there says that {min(others)} was erased, {gallery.rows.place} does "
                "not: they are not of one installation"
            )


def _without_pictures(writer: Writer, gallery: Gallery, lists: PictureLists) -> PictureLists:
    parts = []
    for part in lists.parts:
        entries = [(line, *json.loads(line)) for line in writer.archive.lines(part)]
        ids = {name: picture_crop_id(name) for _, name, _, _ in entries}
        erased = set(gallery.erased_among(list(ids.values())))
        if not erased:
            parts.append(part)
            continue
        left = [entry for entry in entries if ids[entry[1]] not in erased]
        missing = sum(not hashes for *_, hashes in left)
        key = "" if missing else key_of("pictures", *(name for _, name, _, _ in left))
        named = sum(size for _, _, size, _ in left)
        content = packed(line for line, *_ in left)
        parts.append(writer.write(key, content, items=len(left), named=named, missing=missing))
    return PictureLists(parts=tuple(parts))


def _without_vectors(writer: Writer, gallery: Gallery, lists: VectorLists) -> VectorLists:
    parts = []
    for part in lists.parts:
        crop_ids, vectors_ND = vectors_in(*writer.archive.load([part.sha256]))
        erased = set(gallery.erased_among(crop_ids))
        if not erased:
            parts.append(part)
            continue
        rows = [row for row, crop_id in enumerate(crop_ids) if crop_id not in erased]
        content = vectors_content([crop_ids[row] for row in rows], vectors_ND[rows])
        parts.append(writer.write("", content, items=len(rows)))
    return lists.model_copy(update={"parts": tuple(parts)})
