"""Watched searches, the alerts that they raised, and numbers that are never given twice."""

import sqlalchemy as sa
from alembic import op

revision = "alerts"
down_revision = "builds"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Real: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    """Create their tables."""
    op.create_table(
        "watched_searches",
        sa.Column("watch_id", Text, primary_key=True),
        *(sa.Column(name, Text, nullable=False) for name in ("owner", "name", "text", "filter")),
        sa.Column("threshold", Real, nullable=False),
        *(sa.Column(name, Text, nullable=False) for name in ("webhook", "quiet_from", "quiet_until", "time_zone")),
        *(sa.Column(name, Integer, nullable=False) for name in ("most_per_hour", "enabled", "sequence")),
        sa.Column("ended", Text, nullable=False),
        *(sa.Column(name, Integer, nullable=False) for name in ("created_at", "changed_at")),
        sqlite_strict=True,
    )
    op.create_index("watched_searches_by_owner", "watched_searches", ["owner"])
    op.create_table(
        "alerts",
        sa.Column("number", Integer, primary_key=True, autoincrement=False),
        sa.Column("alert_id", Text, nullable=False, unique=True),
        *(sa.Column(name, Text, nullable=False) for name in ("watch_id", "camera_id", "track_id", "crop_id")),
        sa.Column("captured_at", Integer, nullable=False),
        *(sa.Column(name, Real, nullable=False) for name in ("confidence", "score", "threshold")),
        sa.Column("raised_at", Integer, nullable=False),
        sa.Column("released_at", Integer),
        sa.Column("change", Integer, nullable=False),
        sa.Column("delivery", Text, nullable=False),
        *(sa.Column(name, Integer, nullable=False) for name in ("attempts", "next_at")),
        sa.Column("failure", Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("alerts_by_watch", "alerts", ["watch_id", "released_at"])
    op.create_index("alerts_by_change", "alerts", ["change"])
    op.create_index("alerts_by_crop", "alerts", ["crop_id"])
    op.create_index("alerts_by_delivery", "alerts", ["delivery", "next_at"])
    op.create_table(
        "counters",
        sa.Column("name", Text, primary_key=True),
        sa.Column("number", Integer, nullable=False),
        sqlite_strict=True,
    )
