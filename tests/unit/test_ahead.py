"""Work begun ahead: the order of its results, and how much of it is begun."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from dagster_project.ahead import ahead

WAIT_S = 30  # a bound on a test that has failed, not a measurement


def test_results_come_in_the_order_of_the_items_even_where_the_first_takes_longest():
    second_is_done = Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(WAIT_S)
        if item == 1:
            second_is_done.set()
        return item * 10

    with ThreadPoolExecutor(2) as pool:
        assert [each.result() for each in ahead(pool, work, range(5), 2)] == [0, 10, 20, 30, 40]


def test_work_begins_before_anything_is_asked_for():
    begun = Event()
    with ThreadPoolExecutor(1) as pool:
        ahead(pool, lambda _: begun.set(), ["item"], 1)
        assert begun.wait(WAIT_S)


@pytest.mark.parametrize("n_ahead", [1, 2, 3])
def test_no_more_is_begun_than_it_may(n_ahead: int):
    taken = 0

    def items():
        nonlocal taken
        for item in range(10):
            taken = item + 1
            yield item

    with ThreadPoolExecutor(2) as pool:
        results = ahead(pool, lambda item: item, items(), n_ahead)
        assert taken == n_ahead
        for number, _ in enumerate(results, start=1):
            assert taken == min(number + n_ahead, 10)


def test_a_failure_is_that_of_its_item_and_the_next_ones_follow():
    with ThreadPoolExecutor(2) as pool:
        inverse = ahead(pool, lambda item: 12 // item, [3, 0, 4], 2)
        assert next(inverse).result() == 4
        with pytest.raises(ZeroDivisionError):
            next(inverse).result()
        assert next(inverse).result() == 3
