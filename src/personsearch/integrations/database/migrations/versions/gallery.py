"""The gallery as the first release of SQLite files had it: crops, tombstones, videos."""

import sqlalchemy as sa
from alembic import op

revision = "gallery"
down_revision = None

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Real: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "crops",
        sa.Column("sequence", Integer, primary_key=True, autoincrement=False),
        sa.Column("crop_id", Text, nullable=False, unique=True),
        sa.Column("camera_id", Text, nullable=False),
        sa.Column("captured_at", Integer, nullable=False),
        sa.Column("track_id", Text, nullable=False),
        sa.Column("image_uri", Text, nullable=False, unique=True),
        *(sa.Column(name, Integer, nullable=False) for name in ("x", "y", "width", "height")),
        sa.Column("frame_uri", Text, nullable=False),
        sa.Column("quality", Real, sa.CheckConstraint("quality BETWEEN 0 AND 1"), nullable=False),
        sa.Column("ingested_at", Integer, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("crops_by_camera_and_time", "crops", ["camera_id", "captured_at"])
    op.create_index("crops_by_time", "crops", ["captured_at"])
    op.create_index("crops_by_track", "crops", ["track_id"])
    op.create_table(
        "tombstones",
        sa.Column("sequence", Integer, primary_key=True, autoincrement=False),
        sa.Column("crop_id", Text, nullable=False, unique=True),
        sa.Column("erased_at", Integer, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "videos",
        sa.Column("camera_id", Text, primary_key=True),
        sa.Column("start", Integer, primary_key=True, autoincrement=False),
        sa.Column("content_hash", Text, nullable=False),
        sa.Column("settings", Text, nullable=False),
        sa.Column("result", Text),
        sqlite_strict=True,
    )
