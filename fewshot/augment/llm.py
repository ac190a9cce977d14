"""New texts written by a language model behind any OpenAI-compatible endpoint.

It is asked for paraphrases of each text, or for new texts of its class, and told which classes a new text must not be
mistaken for: those whose names are nearest to its own (the idea of GPT3Mix, Yoo et al., 2021,
https://arxiv.org/abs/2104.08826, which prompts with the labels of a task). Every answer of the model is kept on disk
(`cache=null`: none), so that a second run asks nothing, needs neither key nor network, and gives the same texts.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch

from fewshot.augment.chat.answer_cache import AnswerCache
from fewshot.augment.chat.answers import texts_of
from fewshot.augment.chat.client import ChatClient, Question
from fewshot.augment.chat.endpoint import Endpoint
from fewshot.augment.chat.limits import Budget, Pace
from fewshot.augment.chat.prompts import Kind, Prompt
from fewshot.augment.source import AugmentRequest, Proposal, Source
from fewshot.encoders.cache import default_folder
from fewshot.errors import ConfigError
from fewshot.progress import track
from fewshot.randomness import child_seed
from fewshot.tasks.task import normalise

logger = logging.getLogger(__name__)

_GROUP = "augment.sources.llm"
_SEEDS = 2**31  # endpoints differ in how long a seed may be; all take this


@dataclass(eq=False)
class LanguageModel(Source):
    """Asks a language model for new texts, text by text, in rounds of `per_request`.

    Each round is told what the rounds before it gave. All texts have had a round before any has the next, so that a
    budget that ends is spent evenly.

    Args:
        model: as the endpoint names it.
        base_url: address of the endpoint, without `/chat/completions`.
        key_variable: environment variable that holds the key, which is kept nowhere; None for endpoints without one.
        kind: `"paraphrase"`: what means the same; `"examples"`: new texts of the class.
        per_request: texts to ask for at a time.
        confusable: most classes that a prompt names as not to be mistaken for; those with the nearest names.
        temperature: of sampling; None leaves it to the endpoint.
        thinking: `"disabled"` or `"enabled"`, DeepSeek's switch for reasoning before the answer; None is for endpoints
            that do not know it.
        cache: folder of answers; `"auto"` is `chat` in the folder of cached features, None keeps none.
        budget_requests: most requests of this source; None is no limit.
        budget_tokens: no request is begun after so many tokens of questions and answers; None is no limit.
        requests_per_minute: most requests begun in a minute; None is no limit.
        concurrency: most requests at a time.
        retries: further tries of a request after a failure that may pass.
        timeout: seconds to wait for an answer.

    Raises:
        ConfigError: a setting that cannot be used; all of them in one message.
    """

    name: ClassVar[str] = "llm"

    model: str = "deepseek-flash"
    base_url: str = "https://api.deepseek.com"
    key_variable: str | None = "DEEPSEEK_API_KEY"
    kind: Kind = "paraphrase"
    per_request: int = 10
    confusable: int = 3
    temperature: float | None = 1.0
    thinking: str | None = "disabled"
    cache: str | Path | None = "auto"
    budget_requests: int | None = 2000
    budget_tokens: int | None = None
    requests_per_minute: float | None = 300.0
    concurrency: int = 4
    retries: int = 4
    timeout: float = 60.0

    def __post_init__(self) -> None:
        options = (self.key_variable, self.temperature, self.thinking, self.timeout)
        self._endpoint = Endpoint(self.model, self.base_url, *options)
        problems = list(self._problems())
        if problems:
            raise ConfigError("\n".join(f"Got {_GROUP}.{problem}" for problem in problems))
        self._budget = Budget(self.budget_requests, self.budget_tokens)
        self._told = False

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        """See `Source.propose`.

        Raises:
            ConfigError: no key, or the openai package is missing, and not all answers are in the cache; or new
                examples of classes are wanted and the request does not know the classes.
            EndpointError: the endpoint cannot be asked; answers that came before are in the cache.
            StorageError: an answer cannot be kept.
        """
        if self.kind == "examples" and not (request.classes and request.class_names):
            raise ConfigError(
                f"Got {_GROUP}.kind=examples for texts whose classes have no names here. Expected named classes. Set "
                f"{_GROUP}.kind=paraphrase, or label_names=true."
            )
        nearest = self._nearest(request)
        texts = [_Text(text, request, index, nearest) for index, text in enumerate(request.texts)]
        n_unasked = 0
        for number in range(math.ceil(request.most / self.per_request)):
            waiting = [text for text in texts if text.more and len(text.written) < request.most]
            n_unasked += self._round(waiting, number) if waiting else 0
        self._warn(texts, n_unasked)
        how = "paraphrase" if self.kind == "paraphrase" else "new example of its class"
        return [[Proposal(new, f"{how} by {self.model}") for new in text.written[: request.most]] for text in texts]

    def notes(self, request: AugmentRequest) -> list[str]:
        """Whose words they are, and what the model was told."""
        told = "the texts and the names of their classes" if request.classes and request.class_names else "the texts"
        return [f"llm: texts were written by {self.model} at {self._endpoint.host}, which was told {told}."]

    @cached_property
    def _answers(self) -> AnswerCache:
        if self.cache is None:
            return AnswerCache(None)
        return AnswerCache(default_folder() / "chat" if self.cache == "auto" else Path(self.cache).expanduser())

    def _round(self, texts: Sequence["_Text"], number: int) -> int:
        """One question about each text, answered by the cache where it can.

        Returns:
            Questions that the budget did not allow.
        """
        questions = [text.question(self.kind, self.per_request, number) for text in texts]
        keys = [self._endpoint.key_of(question.messages, question.seed) for question in questions]
        missing = []
        for place, (text, key) in enumerate(zip(texts, keys, strict=True)):
            answer = self._answers.read(key)
            if answer is None:
                text.more = False  # until the answer is there
                missing.append(place)
            else:
                text.take(answer)
        if not missing:
            return 0
        n_answers = 0
        pace = Pace(self.requests_per_minute)
        client = ChatClient(self._endpoint, self._budget, pace, self.retries, self.concurrency)
        with track(f"Asking {self.model}", total=len(missing), unit="answers") as advance:
            for place, answer in client.ask_all([questions[place] for place in missing], _is_usable):
                if answer is not None:
                    self._answers.write(keys[missing[place]], answer, self.model, self._endpoint.host)
                texts[missing[place]].take(answer)
                n_answers += 1
                advance()
        return len(missing) - n_answers

    def _nearest(self, request: AugmentRequest) -> list[tuple[str, ...]]:
        """For each class the names of others that are nearest to its own, nearest first.

        Without an encoder in the request all others, where they are few enough.
        """
        names = request.class_names
        others = [tuple(name for name in names if name != own) for own in names]
        if not self.confusable or not request.classes:
            return [() for _ in names]
        if request.embed is None or len(names) <= self.confusable + 1:
            return [part if len(part) <= self.confusable else () for part in others]
        vectors = request.embed(names).double()
        nearness = vectors @ vectors.T - 4 * torch.eye(len(names), dtype=torch.double)
        order = nearness.sort(dim=1, descending=True, stable=True).indices[:, : self.confusable]
        return [tuple(names[other] for other in row) for row in order.tolist()]

    def _warn(self, texts: Sequence["_Text"], n_unasked: int) -> None:
        """Say what is missing, and why."""
        n_answers = sum(text.n_answers for text in texts)
        n_useless = sum(text.n_useless for text in texts)
        if n_useless:
            kept = 0 if self._answers.folder is None else sum(text.n_kept for text in texts)
            where = f" They are kept in {str(self._answers.folder)!r}." if kept else ""
            logger.warning(
                "%d of %d answers of %s held no texts and were skipped: refusals, or not in the form asked for.%s",
                *(n_useless, n_answers, self.model, where),
            )
        if n_unasked and not self._told:
            self._told = True
            logger.warning(
                "The budget for %s is spent (%d requests, %d tokens). Of %d texts %d have no proposals by it, and "
                "others may have fewer than asked for. Set %s.budget_requests or budget_tokens higher to go on; "
                "answers are kept.",
                *(self.model, self._budget.n_requests, self._budget.n_tokens),
                *(len(texts), sum(not text.written for text in texts), _GROUP),
            )

    def _problems(self) -> Iterator[str]:
        """What cannot be used, each as `name=value, expected ...`."""
        if not self.model.strip():
            yield f"model={self.model!r}, expected the name of a model."
        try:
            self._endpoint.host  # noqa: B018
        except ValueError:
            yield "base_url without a host, expected an address such as https://api.deepseek.com."
        for name, words in (("kind", ("paraphrase", "examples")), ("thinking", ("disabled", "enabled", None))):
            if getattr(self, name) not in words:
                known = ", ".join("null" if word is None else word for word in words)
                yield f"{name}={getattr(self, name)!r}, expected one of {known}."
        for name, low in (
            *(("per_request", 1), ("confusable", 0), ("concurrency", 1), ("retries", 0)),
            *(("budget_requests", 0), ("budget_tokens", 0), ("temperature", 0)),
        ):
            if (value := getattr(self, name)) is not None and not value >= low:
                yield f"{name}={value}, expected {low} or more."
        for name in ("requests_per_minute", "timeout"):
            if (value := getattr(self, name)) is not None and not value > 0:
                yield f"{name}={value}, expected a number above 0."


@dataclass
class _Text:
    """A text and what has been written from it."""

    text: str
    request: AugmentRequest
    index: int
    nearest: Sequence[tuple[str, ...]]  # of all classes
    written: list[str] = field(default_factory=list)
    more: bool = True  # whether another round is worth asking for
    n_answers: int = 0
    n_useless: int = 0
    n_kept: int = 0  # of the useless ones

    def question(self, kind: Kind, wanted: int, number: int) -> Question:
        """The question of a round."""
        name: str | None = None
        confusable: tuple[str, ...] = ()
        if self.request.classes and self.request.class_names:
            its_class = self.request.classes[self.index]
            name, confusable = self.request.class_names[its_class], self.nearest[its_class]
        prompt = Prompt(kind, self.text, wanted, name, confusable, tuple(self.written))
        seed = child_seed(self.request.text_seed(LanguageModel.name, self.index), f"round/{number}") % _SEEDS
        return Question(tuple(prompt.messages()), seed)

    def take(self, answer: str | None) -> None:
        """Add the new texts of an answer; None is none that is kept."""
        self.n_answers += 1
        found = texts_of(answer or "")
        self.n_useless += not found
        self.n_kept += not found and answer is not None
        known = {normalise(text) for text in (self.text, *self.written)}
        before = len(self.written)
        for text in found:
            if normalise(text) not in known:
                known.add(normalise(text))
                self.written.append(text)
        self.more = len(self.written) > before


def _is_usable(answer: str) -> bool:
    return bool(texts_of(answer))
