"""`personsearch` commands of the group "gallery"."""

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
