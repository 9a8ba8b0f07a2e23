"""The index builds that are under way, in a database (see `gallery/builds.py`). Ages are by the database's clock."""

from collections.abc import Sequence

import sqlalchemy as sa

from personsearch.gallery.builds import BuildProgress, Shard
from personsearch.integrations.database.clock import Clock, database_clock
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.tables import BUILD_SHARDS

COLUMNS = BUILD_SHARDS.c
COUNTED = ("done", "encoded", "removed", "finished")


class DatabaseBuilds:
    """The builds of a gallery."""

    def __init__(self, database: Database, *, clock: Clock = database_clock) -> None:
        self._database = database
        self._clock = clock

    def plan(self, shards: Sequence[Shard], *, apart: bool) -> None:
        with self._database.writing() as connection:
            now = self._clock(connection)
            same = COLUMNS.collection.in_({shard.collection for shard in shards})
            connection.execute(sa.delete(BUILD_SHARDS).where(same))
            begun = {**dict.fromkeys(COUNTED, 0), "apart": int(apart), "began_at": now, "changed_at": now}
            rows = [
                {"collection": shard.collection, "number": shard.number, "crops": shard.crops, **begun}
                for shard in shards
            ]
            connection.execute(sa.insert(BUILD_SHARDS), rows)

    def advance(self, shard: Shard, *, done: int, encoded: int, removed: int, finished: bool) -> None:
        own = sa.and_(COLUMNS.collection == shard.collection, COLUMNS.number == shard.number)
        with self._database.writing() as connection:
            totals = {"encoded": COLUMNS.encoded + encoded, "removed": COLUMNS.removed + removed}
            values = {"done": done, "finished": int(finished), "changed_at": self._clock(connection), **totals}
            connection.execute(sa.update(BUILD_SHARDS).where(own).values(values))

    def progress(self) -> list[BuildProgress]:
        sums = [sa.func.sum(COLUMNS[name]) for name in ("crops", *COUNTED)]
        times = (sa.func.min(COLUMNS.began_at), sa.func.max(COLUMNS.changed_at))
        query = sa.select(COLUMNS.collection, sa.func.count(), *sums, *times).group_by(COLUMNS.collection)
        with self._database.reading() as connection:
            now = self._clock(connection)
            rows = connection.execute(query.order_by(COLUMNS.collection)).all()
        return [
            BuildProgress(
                collection,
                shards,
                **dict(zip(("crops", *COUNTED), map(int, counts), strict=True)),
                seconds=(now - began_at) / 1000,
                idle=(now - changed_at) / 1000,
            )
            for collection, shards, *counts, began_at, changed_at in rows
        ]

    def apart(self, *, within: float) -> set[str]:
        with self._database.reading() as connection:
            recent = COLUMNS.changed_at >= self._clock(connection) - round(within * 1000)
            query = sa.select(COLUMNS.collection).distinct().where(COLUMNS.apart == 1, recent)
            return set(connection.scalars(query))

    def forget(self, collection: str) -> None:
        with self._database.writing() as connection:
            connection.execute(sa.delete(BUILD_SHARDS).where(COLUMNS.collection == collection))
