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


def track(items: Iterable[T], description: str, *, total: int | None = None) -> Iterator[T]:
    """Yield `items`, showing on standard error how many are done."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    show = _track_on_terminal if sys.stderr.isatty() else _track_plainly
    for item in show(items, description, total):
        yield item
        if listener is not None:
            listener()


def announce(line: str) -> None:
    """Show on standard error what long work does next."""
    print(line, file=sys.stderr, flush=True)


def _track_on_terminal(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    from rich.console import Console

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(items, total=total, description=description)


def _track_plainly(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    of_total = f"/{total}" if total is not None else ""
    last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        if time.monotonic() - last >= PLAIN_INTERVAL_SECONDS:
            last = time.monotonic()
            print(f"{description}: {done}{of_total}", file=sys.stderr, flush=True)
    print(f"{description}: {done}{of_total} done", file=sys.stderr, flush=True)
