"""Backups of an installation: rows, pictures, vectors and MLflow, in a place of their own."""
