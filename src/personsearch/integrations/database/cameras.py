"""What people say of cameras, in a database."""

from collections.abc import Sequence

import sqlalchemy as sa

from personsearch.gallery.cameras import CameraDetails
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.tables import CAMERAS


class DatabaseCameras:
    """The details of a database's cameras. Every change is seen by the next request, on every machine."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[CameraDetails]:
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(CAMERAS).order_by(CAMERAS.c.camera_id)).all()
        return [CameraDetails(row.camera_id, row.name, row.group_name, row.zone) for row in rows]

    def put(self, cameras: Sequence[CameraDetails]) -> None:
        with self._database.writing() as connection:
            self._database.serialise(connection, "cameras")
            for each in cameras:
                connection.execute(sa.delete(CAMERAS).where(CAMERAS.c.camera_id == each.camera_id))
                if each.name or each.group or each.zone:
                    connection.execute(sa.insert(CAMERAS).values((each.camera_id, each.name, each.group, each.zone)))
