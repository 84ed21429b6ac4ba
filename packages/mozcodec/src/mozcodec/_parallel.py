"""One function over many things, in several threads: the codec works without the GIL."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ._options import integer

T = TypeVar("T")
R = TypeVar("R")


def num_threads(threads: int | None) -> int:
    """Return how many threads to use: *threads*, or one for each core that this process may run on."""
    return len(os.sched_getaffinity(0)) if threads is None else integer("threads", threads, 1, 1024)


def ordered_map(function: Callable[[T], R], items: Iterable[T], threads: int | None) -> Iterator[R]:
    """Yield ``function(item)`` for every item, in order.

    *items* are taken as they are needed, two for each thread ahead of what was yielded, so that a long series need
    not fit in memory. The first failure is raised where its result would stand, and nothing new is begun after it.
    """
    count = num_threads(threads)
    if count == 1:
        yield from map(function, items)
        return
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(count, thread_name_prefix="mozcodec") as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > 2 * count:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
