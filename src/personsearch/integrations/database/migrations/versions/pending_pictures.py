"""The pictures that are being written or have to be removed: nothing listed them before."""

import sqlalchemy as sa
from alembic import op

revision = "pending_pictures"
down_revision = "scopes"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create their table."""
    op.create_table("pending_pictures", sa.Column("image_uri", Text, primary_key=True), sqlite_strict=True)
