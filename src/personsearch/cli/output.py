"""Results on standard output: a table for people, JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


def show(result: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a result, one row per key or as one JSON object."""
    if as_json:
        print(json.dumps(result, ensure_ascii=False, default=str))
        return
    table = Table(show_header=False, box=None)
    for key, value in result.items():
        table.add_row(key, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)


def show_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table for people, first column left, the others right."""
    table = Table(title=title, title_justify="left", box=None)
    for index, name in enumerate(head):
        table.add_column(name, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
