"""Leases, and what the promoter remembers, which was a file of its own before."""

import sqlalchemy as sa
from alembic import op

revision = "promotions"
down_revision = "keys"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create their tables."""
    op.create_table(
        "leases",
        sa.Column("name", Text, primary_key=True),
        sa.Column("holder", Text, nullable=False),
        sa.Column("token", Integer, nullable=False),
        sa.Column("expires_at", Integer, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "promotions",
        sa.Column("number", Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, Text, nullable=False) for name in ("version", "collection")),
        *(sa.Column(name, Integer, nullable=False) for name in ("sequence", "encoded", "unpurged")),
        sa.Column("failure", Text, nullable=False),
        *(sa.Column(name, Integer, nullable=False) for name in ("attempts", "again_at", "began_at", "changed_at")),
        sqlite_strict=True,
    )
    op.create_table(
        "heartbeats",
        sa.Column("holder", Text, primary_key=True),
        sa.Column("leads", Integer, nullable=False),
        sa.Column("state", Text, nullable=False),
        sa.Column("failed", Integer, nullable=False),
        sa.Column("looked_at", Integer, nullable=False),
        sqlite_strict=True,
    )
