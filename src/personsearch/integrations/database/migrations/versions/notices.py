"""Notices of what happened elsewhere, such as an alias that MLflow says has moved."""

import sqlalchemy as sa
from alembic import op

revision = "notices"
down_revision = "frame_tokens"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create their table."""
    op.create_table(
        "notices",
        sa.Column("name", Text, primary_key=True),
        sa.Column("number", Integer, nullable=False),
        sqlite_strict=True,
    )
