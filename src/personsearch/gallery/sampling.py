"""Evenly spaced samples."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def spread_evenly(items: Iterable[T], total: int, count: int) -> Iterator[T]:
    """`count` of `total` items, evenly spaced and in order; all of them if there are fewer."""
    wanted = {number * total // count for number in range(count)}
    return (item for place, item in enumerate(items) if place in wanted)
