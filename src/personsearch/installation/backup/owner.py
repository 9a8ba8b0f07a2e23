"""Whose backups a place keeps: those of one installation, because two would remove what the other's backups name.

An installation is known by a number in its database. A backup does not hold it, so a copy that was restored somewhere
else cannot take the place from the installation that was backed up, unless somebody says so.
"""

import secrets

from personsearch.errors import UserError
from personsearch.installation.backup.archive import Archive
from personsearch.installation.backup.opening import Stores
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.notices import IDENTITY, DatabaseNotices
from personsearch.integrations.database.schema import open_database


def installation_database(stores: Stores) -> Database:
    """The database of an installation that exists.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    from personsearch.installation.platforms import database_exists

    if not database_exists(stores.settings):
        raise UserError(
            f"{stores.settings.home}: no installation is there; run this with the settings of the one that is backed up"
        )
    return open_database(stores.settings.database_address)


def claim(archive: Archive, database: Database) -> None:
    """Refuse a place that keeps the backups of another installation; one that nobody has claimed becomes this one's.

    Raises:
        UserError: it keeps another's.
    """
    own = _identity(database)
    owners = archive.owners()
    if owners == [own]:
        return
    if not owners:
        archive.claim(own)
        owners = archive.owners()
        if owners == [own]:
            return
        archive.unclaim([own])  # two at the same time: neither has it
    raise UserError(
        f"{archive.place.place}: keeps the backups of another installation. Name a place of its own, such as "
        f"{archive.place.place}-2; or, if this installation replaces the other, as after a restore, run "
        "`personsearch backup adopt` first"
    )


def adopt(stores: Stores, archive: Archive) -> str:
    """Give a place to this installation; whichever had it is refused from then on. Returns the installation's id.

    Raises:
        UserError: there is no installation, or the place cannot be used.
    """
    database = installation_database(stores)
    with database.held("backup"):
        own = _identity(database)
        archive.claim(own)
        archive.unclaim(set(archive.owners()) - {own})
    return own


def _identity(database: Database) -> str:
    return f"{DatabaseNotices(database).note_once(IDENTITY, 1 + secrets.randbits(62)):016x}"
