"""Results on standard output: lines for people, JSON for programs.

What is printed may be copied (a path, a hash, an address) and may come from outside (a file's name, a tag), so a line
is never wrapped, a cell never cut, and nothing in it is read as markup.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.cells import cell_len

JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]

GAP = "  "


def show(result: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a result, one row per key or as one JSON object."""
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False, default=str))
        return
    for line in _aligned(list(_rows(result)), numeric=False):
        typer.echo(line)


def show_table(
    head: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", numeric: bool = False
) -> None:
    """Print a table for people; in a `numeric` one every column but the first is aligned to the right."""
    if title:
        typer.secho(printable(title), italic=True)
    first, *others = _aligned([list(head), *(list(map(_text, row)) for row in rows)], numeric=numeric)
    typer.secho(first, bold=True)
    for line in others:
        typer.echo(line)


def printable(text: str) -> str:
    """`text` on one line: line breaks, control characters and undecodable bytes are shown as escapes."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def camera_label(camera_id: str, names: Mapping[str, str]) -> str:
    """What people call a camera, with its id; the id alone where it has no other name."""
    name = names.get(camera_id) or camera_id
    return camera_id if name == camera_id else f"{name} ({camera_id})"


def _rows(result: Mapping[str, Any]) -> Iterator[list[str]]:
    """A row for each value; for one of several values a row each, below the first key."""
    for key, value in result.items():
        if isinstance(value, Mapping):
            lines = [f"{name}: {_inline(each)}" for name, each in value.items()]
        elif isinstance(value, list | tuple):
            lines = [_inline(each) for each in value]
        else:
            lines = [_text(value)]
        yield from ([key if number == 0 else "", line] for number, line in enumerate(lines or ["none"]))


def _inline(value: object) -> str:
    """A value inside another one."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_inline(each)}" for key, each in value.items())
    return ", ".join(map(_inline, value)) if isinstance(value, list | tuple) else _text(value)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _aligned(rows: Sequence[Sequence[str]], *, numeric: bool) -> list[str]:
    """Rows as lines, each column as wide as its widest cell on a terminal."""
    cells = [list(map(printable, row)) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    return [
        GAP.join(
            _padded(cell, width, right=numeric and index > 0)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _padded(cell: str, width: int, *, right: bool) -> str:
    padding = " " * (width - cell_len(cell))
    return padding + cell if right else cell + padding
