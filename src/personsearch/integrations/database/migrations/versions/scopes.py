"""What an API key allows; keys made before could search and nothing else."""

import sqlalchemy as sa
from alembic import op

revision = "scopes"
down_revision = "promotions"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Let every key that exists search, as before."""
    op.add_column("api_keys", sa.Column("scopes", Text, nullable=False, server_default="search"))
