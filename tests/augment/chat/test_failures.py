import email.utils
import time
from types import SimpleNamespace

import openai
import pytest

from fewshot.augment.chat.failures import seconds_to_wait


class Answered(Exception):
    """Stands for an error of the package with a status and headers."""

    def __init__(self, status, message="", **headers):
        super().__init__(message)
        self.status_code = status
        self.response = SimpleNamespace(headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_each_try_waits_twice_as_long_as_the_last_up_to_a_minute():
    waits = [seconds_to_wait(Answered(503), tries, reached=True) for tries in (1, 2, 3, 4, 9)]

    assert waits == [1.0, 2.0, 4.0, 8.0, 60.0]


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("9999", 60.0), ("soon", 2.0), ("", 2.0)]
)
def test_what_the_endpoint_asks_for_counts_within_reason(header, seconds):
    assert seconds_to_wait(Answered(429, retry_after=header), 2, reached=True) == seconds


def test_a_date_is_understood():
    date = email.utils.formatdate(time.time() + 20, usegmt=True)

    assert 15 < seconds_to_wait(Answered(429, retry_after=date), 1, reached=True) <= 20


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422])
def test_what_is_wrong_stays_wrong(status):
    assert seconds_to_wait(Answered(status), 1, reached=True) is None


def test_an_empty_account_does_not_fill_up_by_waiting():
    assert seconds_to_wait(Answered(429, "insufficient_quota"), 1, reached=True) is None


def test_an_endpoint_that_has_answered_before_may_come_back():
    lost, slow = openai.APIConnectionError(request=None), openai.APITimeoutError(request=None)

    assert [seconds_to_wait(lost, 1, reached=reached) for reached in (True, False)] == [1.0, None]
    assert [seconds_to_wait(slow, 1, reached=reached) for reached in (True, False)] == [1.0, 1.0]
