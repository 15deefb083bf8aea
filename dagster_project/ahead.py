"""Work that is begun before its result is asked for, so that both cores have some.

Belongs here: the order of the results, and how much may be under way. Does not belong here: the work.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], n_ahead: int
) -> Iterator[Future[Result]]:
    """What `function` makes of each item, in the order of the items; the first ones are begun at once.

    While the caller is busy with one result, no more than `n_ahead` others are under way or wait for it.
    """
    waiting = iter(items)
    begun = deque(pool.submit(function, item) for item in islice(waiting, n_ahead))

    def results() -> Iterator[Future[Result]]:
        while begun:
            begun.extend(pool.submit(function, item) for item in islice(waiting, 1))
            yield begun.popleft()  # without a name here: what the caller lets go is gone

    return results()
