"""API keys, which were a file of their own before."""

import sqlalchemy as sa
from alembic import op

revision = "keys"
down_revision = "gallery"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create their table."""
    op.create_table(
        "api_keys",
        sa.Column("sha256", Text, primary_key=True),
        sa.Column("name", Text, nullable=False),
        sa.Column("created_at", Integer, nullable=False),
        sa.Column("expires_at", Integer),
        sa.Column("revoked_at", Integer),
        sqlite_strict=True,
    )
    op.create_index("api_keys_by_name", "api_keys", ["name"])
