"""Questions in, answers out: several at a time, at a pace, within a budget, again where that helps."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fewshot.augment.chat.endpoint import Endpoint
from fewshot.augment.chat.failures import as_sentence, is_refusal, seconds_to_wait
from fewshot.augment.chat.limits import Budget, BudgetSpent, Pace
from fewshot.errors import FewshotError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """What is sent.

    Args:
        messages: of the chat.
        seed: for endpoints that sample with one.
    """

    messages: tuple[dict[str, str], ...]
    seed: int


class Stopped(Exception):
    """Another question has failed, and this one was not asked any more."""


class ChatClient:
    """Asks one endpoint; used for one batch of questions.

    Args:
        endpoint: where, and with which settings.
        budget: counts every request, also those that fail.
        pace: when a request may begin.
        retries: further tries of a question after failures that may pass.
        concurrency: most requests at a time.
    """

    def __init__(self, endpoint: Endpoint, budget: Budget, pace: Pace, retries: int, concurrency: int):
        self.endpoint = endpoint
        self.budget = budget
        self.pace = pace
        self.retries = retries
        self.concurrency = concurrency
        self._reached = False

    @cached_property
    def _connection(self) -> Any:
        return self.endpoint.connect()

    def ask_all(
        self, questions: Sequence[Question], is_usable: Callable[[str], bool] = bool
    ) -> Iterator[tuple[int, str | None]]:
        """Ask questions, in their order as far as several at a time have one.

        Args:
            questions: what to ask.
            is_usable: whether an answer can be used; one that cannot is asked for once more.

        Yields:
            Index of the question with its answer, see `ask`, as answers come; nothing for questions beyond the budget.

        Raises:
            ConfigError: no key, or the openai package is missing.
            EndpointError: a question had no answer; all answers that came are yielded before.
        """
        self._connection  # noqa: B018  a missing key shows before threads are started
        failure = None
        pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="chat")
        try:
            futures = {pool.submit(self.ask, question, is_usable): index for index, question in enumerate(questions)}
            for future in as_completed(futures):
                try:
                    answer = future.result()
                except (BudgetSpent, Stopped):
                    continue
                except FewshotError as error:
                    failure = failure or error
                    self.pace.end()  # questions that wait are not asked; answers under way are still waited for
                    continue
                yield futures[future], answer
        finally:
            self.pace.end()
            pool.shutdown()
        if failure is not None:
            raise failure

    def ask(self, question: Question, is_usable: Callable[[str], bool] = bool) -> str | None:
        """Ask one question.

        Args:
            question: what to ask.
            is_usable: whether an answer can be used; one that cannot is asked for once more.

        Returns:
            The answer, usable or not; empty where the endpoint refused this question. None where what came twice is no
            answer of a chat, such as the page of a proxy.

        Raises:
            BudgetSpent: the budget does not allow it.
            Stopped: the pace has ended.
            EndpointError: no answer.
        """
        answer = self._answer(question)
        if answer is not None and is_usable(answer):
            return answer
        try:
            return self._answer(question)
        except BudgetSpent:
            return answer

    def _answer(self, question: Question) -> str | None:
        from openai import OpenAIError

        request = self.endpoint.request(question.messages, question.seed)
        for tries in range(1, self.retries + 2):
            self.pace.wait()
            if self.pace.ended:
                raise Stopped
            self.budget.take()
            try:
                completion = self._connection.chat.completions.create(**request)
            except OpenAIError as error:
                if is_refusal(error):
                    return ""
                seconds = seconds_to_wait(error, tries, self._reached)
                if seconds is None or tries > self.retries:
                    raise as_sentence(error, self.endpoint, tries) from error
                logger.debug("%s: %s, again in %.1f s", self.endpoint.host, type(error).__name__, seconds)
                self.pace.hold(seconds)
            except ValueError:  # a body that is no JSON
                return None
            else:
                self._reached = True
                usage = getattr(completion, "usage", None)
                self.budget.add(getattr(usage, "total_tokens", None) or 0)
                return _content(completion)
        raise AssertionError("the last try returns or raises")


def _content(completion: Any) -> str | None:
    """What was written, empty for nothing; None where this is no chat's answer."""
    try:
        content = completion.choices[0].message.content
    except (AttributeError, IndexError, TypeError):
        return None
    return content if isinstance(content, str) else ""
