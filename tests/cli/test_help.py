"""Every --help says all of its text."""

import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import typer

from personsearch.cli.app import GROUPS


def commands(command: Any) -> Iterator[Any]:
    yield command
    for one in getattr(command, "commands", {}).values():
        yield from commands(one)


def test_no_help_has_what_looks_like_a_tag() -> None:
    """Help is Markdown: <number> would not be shown."""
    app = typer.Typer()
    for group in GROUPS:
        import_module(f"personsearch.cli.{group}").register(app)
    every = list(commands(typer.main.get_command(app)))
    assert len(every) > 25
    for command in every:
        texts = [command.help or "", *(getattr(parameter, "help", None) or "" for parameter in command.params)]
        assert [text for text in texts if re.search(r"<\w", text)] == [], command.name
