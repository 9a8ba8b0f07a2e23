"""Opens a gallery: its pictures and its rows, each where an address names, by default in the gallery's folder."""

from pathlib import Path

from personsearch.gallery.store import DATABASE, Gallery
from personsearch.integrations.database.rows import DatabaseRows
from personsearch.integrations.database.schema import open_database
from personsearch.integrations.objects.open import open_pictures


def gallery_in(folder: Path, database: str | None = None, crops: str | None = None) -> Gallery:
    """The gallery of a folder, a database and a store of pictures; an empty one is made if there is none.

    Raises:
        UserError: the pictures cannot be used (see `open_pictures`), or the database cannot (see `open_database`).
    """
    pictures = open_pictures(crops or str(folder))
    return Gallery(folder, DatabaseRows(open_database(database or f"sqlite:///{folder / DATABASE}")), pictures)
