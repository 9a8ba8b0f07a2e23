"""What people say of cameras: a name to show, a group, and the zone of its clock."""

import sqlalchemy as sa
from alembic import op

revision = "cameras"
down_revision = "alerts"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create their table."""
    op.create_table(
        "cameras",
        sa.Column("camera_id", Text, primary_key=True),
        *(sa.Column(name, Text, nullable=False) for name in ("name", "group_name", "zone")),
        sqlite_strict=True,
    )
