"""Work in threads: results in order, a bounded number of them in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD_PER_WORKER = 4


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, ahead: int = AHEAD_PER_WORKER
) -> Iterator[Result]:
    """Yield `function(item)` in the order of `items`; at most `ahead` × `workers` results wait to be taken."""
    waiting: deque[Future[Result]] = deque()
    executor = ThreadPoolExecutor(workers)
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) >= ahead * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
