"""The root command and the handling of a user's mistakes."""

import sys
from importlib import import_module

import typer

from personsearch.errors import UserError

GROUPS = ("data", "generation", "model", "probe", "study", "gallery", "registry", "search", "platform", "pipeline")

app = typer.Typer(
    name="personsearch",
    help="Find a person in surveillance imagery by describing them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def main() -> None:
    """Run the command line; a user's mistake is one readable line and exit code 2."""
    for group in GROUPS:
        import_module(f"personsearch.cli.{group}").register(app)
    try:
        app()
    except UserError as error:
        print(f"personsearch: {error}", file=sys.stderr)
        sys.exit(2)
