"""Results on standard output: lines for people, JSON for programs.

What is printed may be copied (a path, a hash, an address) and may come from outside (a file's name, a tag), so a line
is never wrapped, a cell never cut, and nothing in it is read as markup.
"""

import json
from collections.abc import Mapping, Sequence
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
    for line in _aligned([[key, _text(value)] for key, value in result.items()], numeric=False):
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


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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
