"""Audit records, which were a file of their own before. The database itself refuses to change or remove one."""

import sqlalchemy as sa
from alembic import op

revision = "audit"
down_revision = "pending_pictures"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

REFUSAL = "audit records are never changed or removed"
SQLITE = [
    f"CREATE TRIGGER audit_records_keep_{verb.lower()} BEFORE {verb} ON audit_records "
    f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    for verb in ("UPDATE", "DELETE")
]
POSTGRESQL = [
    f"""CREATE FUNCTION audit_records_keep() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$""",
    """CREATE TRIGGER audit_records_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_records
    FOR EACH STATEMENT EXECUTE FUNCTION audit_records_keep()""",
]


def upgrade() -> None:
    """Create their table, to which records can only be added."""
    op.create_table(
        "audit_records",
        sa.Column("sequence", Integer, primary_key=True, autoincrement=False),
        sa.Column("event", Text, nullable=False),
        sa.Column("request_id", Text),
        sa.Column("search_request_id", Text),
        sa.Column("record", Text, nullable=False),
        sa.Column("torn", sa.LargeBinary),
        sqlite_strict=True,
    )
    op.create_index("audit_records_by_request", "audit_records", ["request_id", "event"])
    op.create_index("audit_records_by_event", "audit_records", ["event", "sequence"])
    op.create_index("audit_records_by_search", "audit_records", ["search_request_id"])
    for statement in SQLITE if op.get_context().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)
