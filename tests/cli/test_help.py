"""Every --help says all of its text."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from personsearch.cli.app import command_line


def commands(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A command and all below it, each with the words that call it."""
    yield path, command
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, *path, name)


def test_no_help_is_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    root = command_line()
    every = list(commands(root))
    assert len(every) > 25
    for path, command in every:
        root(args=[*path, "--help"], prog_name="personsearch", standalone_mode=False)
        printed = capsys.readouterr().out
        assert re.findall(r"\S*[\w\]]…|[a-z]\.\.\.$", printed, re.MULTILINE) == [], path  # GROUP CAMERA... is whole
        for parameter in command.params:
            assert all(option in printed for option in parameter.opts if option.startswith("-")), path
            assert "".join((getattr(parameter, "help", None) or "").split()) in "".join(printed.split()), path


def test_arguments_and_values_are_named_in_capitals(capsys: pytest.CaptureFixture[str]) -> None:
    root = command_line()
    for path, _ in commands(root):
        root(args=[*path, "--help"], prog_name="personsearch", standalone_mode=False)
        usage, *_ = printed = capsys.readouterr().out.splitlines()
        assert re.findall(r"[{<]\w*|\[[a-z]\w*", usage) == [], path
        assert re.findall(r"<(?:path|str|int|float|list)\b", "\n".join(printed)) == [], path
