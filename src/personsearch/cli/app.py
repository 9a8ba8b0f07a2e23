"""The root command and the handling of a user's mistakes."""

import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import typer

from personsearch.errors import FULL, UserError, place_and_reason, without_long_words
from personsearch.processes import ensure_home_folder

VALUES = {int: "INTEGER", float: "NUMBER", Path: "PATH", str: "TEXT"}
GROUPS = (
    *("data", "generation", "model", "importing", "probe", "study", "gallery", "watch", "registry", "search", "embed"),
    *(
        "calibration",
        "feedback",
        "platform",
        "backup",
        "doctor",
        "keys",
        "cameras",
        "alerts",
        "audit",
        "pipeline",
        "runs",
    ),
)


def main() -> None:
    """Run the command line; a user's mistake is one readable line and exit code 2."""
    ensure_home_folder()
    try:
        sys.exit(command_line()(standalone_mode=False))
    except UserError as error:
        print(f"personsearch: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a folder that is a file, a disk that is full, a permission that is missing
        if error.filename is None and error.errno not in FULL:
            raise
        print(without_long_words(f"personsearch: {place_and_reason(error)}"), file=sys.stderr)
        sys.exit(2)
    except typer.Abort:
        print("personsearch: aborted", file=sys.stderr)
        sys.exit(1)
    except typer.TyperException as error:
        sys.exit(_explain(error))


def command_line() -> Any:
    """The root command with all groups below it.

    Help and errors are plain text: typer's panels would cut the names of options and break paths into pieces.
    """
    app = typer.Typer(
        name="personsearch",
        help="Find a person in surveillance imagery by describing them.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for group in GROUPS:
        import_module(f"personsearch.cli.{group}").register(app)
    command = typer.main.get_command(app)
    _complete_help(command)
    return command


def _complete_help(command: Any) -> None:
    """Let a list of commands show the whole first paragraph of each help, which typer would cut, and name arguments
    and the values of options in capitals, where typer mixes {name}, <path> and <list[str]>.
    """
    for parameter in command.params:
        _in_capitals(parameter)
    for one in getattr(command, "commands", {}).values():
        one.short_help = " ".join(inspect.cleandoc(one.help or "").partition("\n\n")[0].split())
        _complete_help(one)


def _in_capitals(parameter: Any) -> None:
    if parameter.param_type_name == "argument":
        name = parameter.metavar = parameter.metavar or parameter.name.upper()
        parameter.get_usage_pieces = lambda ctx: [name if parameter.required else f"[{name}]"]
        parameter.display_type_rich = lambda ctx: None
    elif parameter.metavar is None and not parameter.is_flag:
        given = parameter.type_descriptor
        kind = get_args(given.annotation)[0] if given.is_list else given.annotation
        parameter.metavar = "|".join(map(str, given.choices)) if given.is_choice else VALUES[kind]


def _explain(error: Any) -> int:
    """Say in one line what was wrong with the command as typed, or print the help of a group without a command."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "personsearch"
    own_words = error.format_message().replace("Value error, ", "")  # pydantic puts this before them
    message = without_long_words(own_words)
    if context and message == context.get_help():
        print(message, file=sys.stderr)
    else:
        line = " ".join(map(str.strip, message.splitlines()))  # choices come one a line
        print(f"{command}: {line.rstrip('.')}; see `{command} --help`", file=sys.stderr)
    return int(error.exit_code)
