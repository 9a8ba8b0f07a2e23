"""Every command that the pages name exists, with its options."""

import re
import shlex
from collections.abc import Iterable
from typing import Any

import pytest

from personsearch.cli import app
from tests.docs.pages import PAGES, ROOT, inline_code, shell_lines

COMMAND = re.compile(r"\s*(?:\w+=\S+ )*(?:\.venv/bin/)?(personsearch|make|python)\s+(.*)")
OPTIONAL = re.compile(r"(?<=\s)\[(.*?)\]")


@pytest.fixture(scope="module")
def command_line() -> Any:
    return app.command_line()


def arguments(program: str, lines: Iterable[str]) -> list[list[str]]:
    """The words after `program` in each line that calls it; [--json] counts as --json, a … as nothing."""
    found = [match[2] for match in map(COMMAND.match, lines) if match and match[1] == program]
    return [shlex.split(OPTIONAL.sub(r"\1", words).removesuffix("…"), comments=True) for words in found]


def mistakes(command: Any, lines: Iterable[str]) -> list[str]:
    """What the command line's parser says of each line; nothing is run."""
    said = [(words, _said(command, words)) for words in arguments("personsearch", lines)]
    return [f"{shlex.join(words)}: {mistake}" for words, mistake in said if mistake]


def _said(command: Any, words: list[str]) -> str:
    while hasattr(command, "commands"):
        name, *words = words
        if name not in command.commands:
            return f"No such command: {name}"
        command = command.commands[name]
    try:
        command.make_context(command.name, list(words))
    except Exception as error:
        return str(error)
    return ""


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_parses(page: str, command_line: Any) -> None:
    assert mistakes(command_line, shell_lines(page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_a_sentence_exists(page: str, command_line: Any) -> None:
    """A sentence may leave out what a command needs."""
    assert [said for said in mistakes(command_line, inline_code(page)) if "Missing parameter" not in said] == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("serach x", "No such command: serach"),
        ("gallery empty", "No such command: empty"),
        ("register", "Missing parameter: bundle"),
        ("search x --cam gate", "No such option: --cam"),
        ("search x -k many", "valid integer"),
    ],
)
def test_a_wrong_command_line_is_seen(line: str, said: str, command_line: Any) -> None:
    assert said in "".join(mistakes(command_line, [f"personsearch {line}"]))


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target, *variables in arguments("make", [*shell_lines(page), *inline_code(page)]):
        names = [target + ":", *(variable.split("=")[0] + " ?=" for variable in variables if "=" in variable)]
        assert [name for name in names if not re.search(f"^{re.escape(name)}", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_script_takes_its_options(page: str) -> None:
    for script, *words in arguments("python", [*shell_lines(page), *inline_code(page)]):
        source = (ROOT / script).read_text(encoding="utf-8")
        options = [word.split("=")[0] for word in words if word.startswith("--")]
        assert [option for option in options if f'"{option}"' not in source] == [], f"{page}: {script}"
