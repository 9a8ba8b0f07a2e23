"""SQLAlchemy and alembic: rows in SQLite or PostgreSQL, chosen by address alone."""
