"""Shows the progress of long work: a bar on a terminal, otherwise a plain line now and then."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_INTERVAL_SECONDS = 10.0

T = TypeVar("T")

listener: Callable[[], None] | None = None
"""Called after each item in this process, where somebody else must know that the work progresses."""


def track(items: Iterable[T], description: str, *, total: int | None = None, one_of_many: bool = False) -> Iterator[T]:
    """Yield `items`, showing on standard error how many are done.

    With `one_of_many` nothing is left of it at the end, and nothing is shown if it is short.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    show = _track_on_terminal if sys.stderr.isatty() else _track_plainly
    for item in show(items, description, total, one_of_many):
        yield item
        if listener is not None:
            listener()


def announce(line: str) -> None:
    """Show on standard error what long work does next."""
    print(line, file=sys.stderr, flush=True)


def _track_on_terminal(items: Iterable[T], description: str, total: int | None, one_of_many: bool) -> Iterator[T]:
    from rich.console import Console

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=one_of_many) as progress:
        yield from progress.track(items, total=total, description=description)


def _track_plainly(items: Iterable[T], description: str, total: int | None, one_of_many: bool) -> Iterator[T]:
    of_total = f"/{total}" if total is not None else ""
    last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        if time.monotonic() - last >= PLAIN_INTERVAL_SECONDS:
            last = time.monotonic()
            print(f"{description}: {done}{of_total}", file=sys.stderr, flush=True)
    if not one_of_many:
        print(f"{description}: {done}{of_total} done", file=sys.stderr, flush=True)
