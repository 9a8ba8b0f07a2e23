"""Builds in shards, and parts of a gallery that several followers share: both say how far they are."""

import sqlalchemy as sa
from alembic import op

revision = "builds"
down_revision = "notices"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create their tables."""
    op.create_table(
        "build_shards",
        sa.Column("collection", Text, primary_key=True),
        sa.Column("number", Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, Integer, nullable=False) for name in ("crops", "done", "encoded", "removed")),
        *(sa.Column(name, Integer, nullable=False) for name in ("finished", "apart")),
        sa.Column("began_at", Integer, nullable=False),
        sa.Column("changed_at", Integer, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "followed_parts",
        sa.Column("number", Integer, primary_key=True, autoincrement=False),
        sa.Column("of", Integer, nullable=False),
        sa.Column("collection", Text, nullable=False),
        *(sa.Column(name, Integer, nullable=False) for name in ("sequence", "encoded", "removed")),
        sqlite_strict=True,
    )
