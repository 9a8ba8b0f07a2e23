"""A few of many things."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def spread_evenly(items: Iterable[T], total: int, count: int) -> Iterator[T]:
    """`count` of `total` items, spread evenly over them, in their order; all where there are fewer."""
    wanted = {number * total // count for number in range(count)}
    return (item for place, item in enumerate(items) if place in wanted)
