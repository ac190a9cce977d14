"""Requests to a language model behind an OpenAI-compatible endpoint: several at a time, within a budget."""

import base64
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fewshot.errors import ConfigError, FewshotError

Request = dict[str, Any]

GROUP = "augment.sources.llm"
_FORMAT = 1  # part of every key: raise it when the same settings begin to make other requests
_REFUSED = re.compile(r"content.{0,3}(filter|policy|exists risk|management)|safety", re.IGNORECASE)
_NO_CREDIT = re.compile(r"insufficient.{0,3}(quota|balance|credit)", re.IGNORECASE)
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_PART = 5  # letters and digits in a row that give away a part of a key
_ITEM = re.compile(r"^\s*(?:\d+\s*[.):]|[-*•])\s+(.+)$", re.MULTILINE)


class EndpointError(FewshotError, RuntimeError):
    """An endpoint that cannot be asked, or that does not answer."""


@dataclass
class Budget:
    """A hard limit on requests, and on tokens: once one is reached, no request is sent; None is no limit."""

    requests: int | None = None
    tokens: int | None = None
    n_requests: int = 0
    n_tokens: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self) -> bool:
        """Count a request that is about to be sent; False if the budget is spent."""
        with self.lock:
            used = ((self.requests, self.n_requests), (self.tokens, self.n_tokens))
            may_ask = all(limit is None or number < limit for limit, number in used)
            self.n_requests += may_ask
            return may_ask


@dataclass(eq=False)
class Endpoint:
    """A model behind an OpenAI-compatible address; the arguments are those of `LanguageModel`."""

    model: str = "deepseek-flash"
    base_url: str = "https://api.deepseek.com"
    key_variable: str | None = "DEEPSEEK_API_KEY"
    temperature: float | None = 1.0
    thinking: str | None = "disabled"
    concurrency: int = 4
    retries: int = 4
    timeout: float = 60.0

    @property
    def host(self) -> str:
        """Host and port, without the parts of the address that could be secret; empty if it has none."""
        parts = urlsplit(self.base_url)
        known = parts.hostname if parts.scheme in ("http", "https") else None
        return f"{known or ''}{f':{parts.port}' if known and parts.port else ''}"

    def request(self, messages: Sequence[dict[str, str]], seed: int) -> Request:
        """The body of a request: the messages of a chat, and a seed for endpoints that sample with one."""
        body = None if self.thinking is None else {"thinking": {"type": self.thinking}}
        fields: Request = {"model": self.model, "messages": list(messages), "seed": seed}
        fields |= {"temperature": self.temperature, "extra_body": body, "response_format": {"type": "json_object"}}
        return {name: value for name, value in fields.items() if value is not None}

    def key_of(self, request: Request) -> str:
        """64 hex digits of all settings that determine the answer."""
        content = {"format": _FORMAT, "base_url": self.base_url.rstrip("/"), **request}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def ask_all(self, requests: Sequence[Request], budget: Budget) -> Iterator[tuple[int, str]]:
        """Index of each request with its answer, as answers come; "" if refused, and no answer beyond the budget.

        Raises:
            ConfigError: no key, or the openai package is missing.
            EndpointError: a request had no answer; all answers that came are yielded before.
        """
        client, failures, stopped = self._connect(), list[FewshotError](), threading.Event()

        def ask(request: Request) -> str | None:
            try:
                return None if stopped.is_set() or not budget.take() else self._answer(client, request, budget)
            except FewshotError as error:
                failures.append(error)
                stopped.set()  # no further request is sent; answers under way are still awaited
                return None

        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="chat") as pool:
            indices = {pool.submit(ask, request): index for index, request in enumerate(requests)}
            try:
                for future in as_completed(indices):
                    if (answer := future.result()) is not None:
                        yield indices[future], answer
            finally:
                stopped.set()
        if failures:
            raise failures[0]

    def _connect(self) -> Any:
        """A client of the `openai` package with the key, which is read from the environment and not stored."""
        name = self.key_variable
        key = "none" if name is None else os.environ.get(name, "").strip()
        if not key:
            need = f"{self.model!r} at {self.host} needs a key, and the environment variable {name} is not set."
            cure = f"Put the key there, or set {GROUP}.key_variable to another variable, or to null for no key."
            raise ConfigError(f"{need} {cure}")
        try:
            from openai import OpenAI
        except ImportError as error:
            need = f"{self.model!r} needs the openai package, which is not installed."
            raise ConfigError(f"{need} Install it with: pip install 'fewshot-text[llm]'") from error
        client = OpenAI(api_key=key, base_url=self.base_url, timeout=self.timeout, max_retries=self.retries)
        if not self.host.endswith("openai.com"):
            # The package reads these from the environment; other endpoints must not see an OpenAI account.
            client.organization = client.project = None
        return client

    def _answer(self, client: Any, request: Request, budget: Budget) -> str:
        from openai import OpenAIError

        who = f"{self.model!r} at {self.host}"
        try:
            completion = client.chat.completions.create(**request)
            with budget.lock:
                budget.n_tokens += getattr(getattr(completion, "usage", None), "total_tokens", None) or 0
            return str(completion.choices[0].message.content or "")
        except OpenAIError as error:
            if getattr(error, "status_code", None) == 400 and _REFUSED.search(str(error)):
                return ""
            raise EndpointError(f"{who} {without_key(self._failure(error), client.api_key)}") from error
        except (ValueError, AttributeError, IndexError, TypeError) as error:
            raise EndpointError(f"{who} gave no answer of a chat. Correct {GROUP}.base_url.") from error

    def _failure(self, error: Exception) -> str:
        """The cause of an error, and a cure."""
        from openai import APIConnectionError, APITimeoutError

        if isinstance(error, APITimeoutError):
            return f"did not answer within {self.timeout:g} seconds. Set {GROUP}.timeout higher, or per_request lower."
        if isinstance(error, APIConnectionError):
            cause: BaseException = error
            while (deeper := cause.__cause__ or cause.__context__) is not None:
                cause = deeper
            return f"cannot be reached ({cause}). Check the network and {GROUP}.base_url."
        status, body = getattr(error, "status_code", None) or 0, getattr(error, "body", None)
        detail = " ".join(str(body["message"]).split())[:200] if isinstance(body, dict) and "message" in body else ""
        reply = f"(status {status}{f': {detail}'.rstrip('.') if detail else ''})"
        if status in (401, 403):
            return f"does not accept the key in {self.key_variable} {reply}. Put a valid key of that endpoint there."
        if status == 402 or _NO_CREDIT.search(str(error)):
            return f"has no credit left {reply}. Top up the account, or set {GROUP}.base_url, model and key_variable."
        if status == 404:
            return f"was not found {reply}. Set {GROUP}.model to one that the endpoint has, or correct base_url."
        if status == 429:
            return f"says that requests come too fast {reply}. Set {GROUP}.concurrency lower, or retries higher."
        if status >= 500:
            return f"failed by itself {reply}. Wait and run again, or choose another endpoint."
        return f"did not accept the request {reply}. Check {GROUP}.model, or set thinking or temperature to null."


def without_key(text: str, key: str) -> str:
    """Text without the words that contain a part of a key, also if it is cut, reversed or encoded.

    Example:
        >>> without_key("Got sk-abc***defgh, which is wrong", "sk-abcxyzdefgh")
        'Got …, which is wrong'
    """
    forms = (key, key[::-1], base64.b64encode(key.encode()).decode(), key.encode().hex())
    parts = {form[i : i + _PART].casefold() for form in map(_letters, forms) for i in range(len(form) - _PART + 1)}

    def masked(word: str) -> str:
        letters = _letters(word).casefold()
        return "…" if any(letters[i : i + _PART] in parts for i in range(len(letters) - _PART + 1)) else word

    return re.sub(r"[^\s?!,;:'\"()]+", lambda word: masked(word[0]), text)


def _letters(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text)


def texts_of(answer: str) -> list[str]:
    """The distinct texts in an answer in any form; none for a refusal or an unreadable answer.

    Example:
        >>> texts_of('Sure: {"texts": ["I lost it", "It is gone"]}'), texts_of("I cannot help with that.")
        (['I lost it', 'It is gone'], [])
    """
    answer = _THOUGHTS.sub("", answer)
    opening = re.search(r"[{\[](?!\s*[\]}])", answer)
    try:
        content = json.JSONDecoder().raw_decode(answer, opening.start())[0] if opening else []
        if isinstance(content, dict):
            lists = [value for value in content.values() if isinstance(value, list)]
            content = content.get("texts", lists[0] if lists else [])
        items = content if isinstance(content, list) else []
        flat = [next(iter(item.values()), None) if isinstance(item, dict) else item for item in items]
        strings = [text for text in flat if isinstance(text, str)] or _ITEM.findall(answer)
    except (ValueError, RecursionError):  # cut off, or not quite JSON: take the complete strings in it
        listed = re.search(r'"texts"\s*:\s*\[(.*)', answer, re.DOTALL)
        strings = [quoted[1:-1].replace(r"\"", '"') for quoted in _STRING.findall(listed[1] if listed else "")]
    plain = (" ".join(text.encode("utf-8", "ignore").decode().split()) for text in strings)
    texts = (re.sub(r"^[\"'“«](.*)[\"'”»]$", r"\1", text).strip() for text in plain)
    return list(dict.fromkeys(text for text in texts if text))
