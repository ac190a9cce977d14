import threading

import pytest

from fewshot.augment.chat.limits import Budget, BudgetSpent, Pace


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def test_requests_begin_at_even_distances():
    clock = Clock()
    pace = Pace(30.0, clock, clock.sleep)
    begun = []

    for _ in range(4):
        pace.wait()
        begun.append(clock.now)

    assert begun == [100.0, 102.0, 104.0, 106.0]


def test_time_that_has_passed_is_not_waited_for_and_not_saved_up():
    clock = Clock()
    pace = Pace(60.0, clock, clock.sleep)
    pace.wait()
    clock.now += 10

    pace.wait()
    pace.wait()

    assert clock.slept == [1.0]


def test_a_hold_puts_off_all_that_come():
    clock = Clock()
    pace = Pace(None, clock, clock.sleep)
    pace.wait()

    pace.hold(7.0)
    pace.hold(3.0)
    pace.wait()
    pace.wait()

    assert clock.slept == [7.0]


def test_the_end_wakes_who_waits():
    pace = Pace()
    pace.hold(60.0)
    waiting = threading.Thread(target=pace.wait)
    waiting.start()

    pace.end()
    waiting.join(timeout=5)

    assert not waiting.is_alive()
    assert pace.ended


def test_a_budget_of_requests_counts_them():
    budget = Budget(requests=2)
    budget.take()
    budget.take()

    with pytest.raises(BudgetSpent):
        budget.take()
    assert budget.n_requests == 2


def test_a_budget_of_tokens_ends_when_it_is_used_up():
    budget = Budget(tokens=100)
    budget.take()
    budget.add(99)
    budget.take()
    budget.add(50)

    assert budget.is_spent
    with pytest.raises(BudgetSpent):
        budget.take()


def test_no_limit_is_no_limit_and_nothing_is_nothing():
    assert not Budget().is_spent
    assert Budget(requests=0).is_spent
    assert Budget(tokens=0).is_spent
