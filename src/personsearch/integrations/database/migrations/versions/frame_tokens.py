"""Addresses of frames without the tokens that an earlier version stored with them.

Each row that changes counts as a change of the gallery, so that the live collection follows.
"""

import sqlalchemy as sa
from alembic import op

from personsearch.addresses import hide_credentials

revision = "frame_tokens"
down_revision = "audit"

CROPS = sa.table("crops", sa.column("sequence"), sa.column("frame_uri"))
TOMBSTONES = sa.table("tombstones", sa.column("sequence"))
PAGE_ROWS = 1000


def upgrade() -> None:
    """Hide them."""
    connection = op.get_bind()
    until, last = _latest(connection), 0
    number = until
    page = sa.select(CROPS).where(CROPS.c.sequence > sa.bindparam("last"), CROPS.c.sequence <= until)
    page = page.order_by(CROPS.c.sequence).limit(PAGE_ROWS)
    while rows := connection.execute(page, {"last": last}).all():
        last = rows[-1].sequence
        for row in rows:
            if (hidden := hide_credentials(row.frame_uri)) != row.frame_uri:
                number += 1
                own = CROPS.c.sequence == row.sequence
                connection.execute(sa.update(CROPS).where(own).values(frame_uri=hidden, sequence=number))


def _latest(connection: sa.Connection) -> int:
    numbers = (connection.execute(sa.select(sa.func.max(table.c.sequence))).scalar() for table in (CROPS, TOMBSTONES))
    return max(number or 0 for number in numbers)
