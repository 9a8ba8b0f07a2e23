"""Pieces of the report's HTML that several of its sections use."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are already HTML."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def bar(percentage: float) -> str:
    """A horizontal bar of a percentage."""
    return f'<span class="bar"><i style="width:{percentage:.1f}%"></i></span>'
