"""`personsearch` commands of the group "data"."""

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""

    @app.callback()
    def root() -> None:
        """Find a person in surveillance imagery by describing them."""
