"""Opens a gallery: its folder of pictures, and its rows in the database that an address names."""

from pathlib import Path

from personsearch.errors import UserError, explain
from personsearch.files import private_folder
from personsearch.gallery.store import DATABASE, Gallery
from personsearch.integrations.database.rows import DatabaseRows
from personsearch.integrations.database.schema import open_database


def gallery_in(folder: Path, address: str | None = None) -> Gallery:
    """The gallery of a folder and a database, by default the folder's own; an empty one is made if there is none.

    Raises:
        UserError: the folder cannot be used, or the database cannot (see `open_database`).
    """
    try:
        private_folder(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot hold a gallery: {explain(error)}") from error
    return Gallery(folder, DatabaseRows(open_database(address or f"sqlite:///{folder / DATABASE}")))
