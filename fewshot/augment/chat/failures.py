"""What can go wrong with an endpoint: which failures pass, and one sentence for each that does not."""

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any

from fewshot.augment.chat.endpoint import Endpoint
from fewshot.errors import FewshotError

LONGEST_WAIT = 60.0  # seconds between two tries
_GROUP = "augment.sources.llm"
_REFUSED = re.compile(r"content.{0,3}(filter|policy|exists risk|management)|safety", re.IGNORECASE)
_NO_CREDIT = re.compile(r"insufficient.{0,3}(quota|balance|credit)", re.IGNORECASE)


class EndpointError(FewshotError, RuntimeError):
    """An endpoint that cannot be asked, or that does not answer."""


def is_refusal(error: Exception) -> bool:
    """Whether the endpoint will not write about this one text."""
    return _status(error) == 400 and bool(_REFUSED.search(str(error)))


def seconds_to_wait(error: Exception, tries: int, reached: bool) -> float | None:
    """How long to leave the endpoint alone before the next try.

    Args:
        error: of the `openai` package.
        tries: how often this question has been asked; 1 after the first time.
        reached: whether the endpoint has answered before. One that never has is not waited for when it cannot be
            reached: its address is wrong, or it is not running.

    Returns:
        Seconds, what the endpoint asked for if it did; None where another try would fail as well.
    """
    from openai import APIConnectionError, APITimeoutError

    status = _status(error)
    passes = status in (408, 409, 429) or (status is not None and status >= 500)
    if isinstance(error, APIConnectionError):
        passes = reached or isinstance(error, APITimeoutError)
    if not passes or _NO_CREDIT.search(str(error)):
        return None
    asked = _retry_after(getattr(getattr(error, "response", None), "headers", {}))
    return min(LONGEST_WAIT, 2.0 ** (tries - 1) if asked is None else asked)


def as_sentence(error: Exception, endpoint: Endpoint, tries: int) -> EndpointError:
    """The error for the user, without the key.

    Args:
        error: of the `openai` package.
        endpoint: what was asked.
        tries: how often.
    """
    from openai import APIConnectionError, APITimeoutError

    asked = "was asked once" if tries == 1 else f"was asked {tries} times"
    if isinstance(error, APITimeoutError):
        message = (
            f"{asked} and did not answer within {endpoint.timeout:g} seconds. Expected an answer. Set "
            f"{_GROUP}.timeout higher, or {_GROUP}.per_request lower."
        )
    elif isinstance(error, APIConnectionError):
        message = (
            f"cannot be reached ({_reason(error)}). Expected an endpoint that answers. Check the network and "
            f"{_GROUP}.base_url."
        )
    else:
        message = _of_status(error, endpoint, asked)
    return EndpointError(f"{endpoint.model!r} at {endpoint.host} {message}")


def _of_status(error: Exception, endpoint: Endpoint, asked: str) -> str:
    """What stands behind the name of the model, for an endpoint that answered with an error."""
    status = _status(error)
    said = f"status {status}" if status is not None else type(error).__name__
    detailed = said + _detail(error, endpoint)
    if status in (401, 403):
        name = endpoint.key_variable
        key = f"the key in {name}" if name else f"requests without a key ({_GROUP}.key_variable is null)"
        cure = f"Put a valid key of that endpoint into {name}" if name else f"Set {_GROUP}.key_variable"
        return f"does not accept {key} ({said}). Expected a valid key. {cure}."
    if status == 402 or _NO_CREDIT.search(str(error)):
        return (
            f"answered that the account has no credit left ({said}). Expected an account with credit. Top it up, or "
            f"set {_GROUP}.base_url, model and key_variable to another endpoint."
        )
    if status == 404:
        return (
            f"was not found ({detailed}). Expected a model that the endpoint has. Set {_GROUP}.model, or correct "
            f"{_GROUP}.base_url."
        )
    if status == 429:
        return (
            f"{asked} and says that requests come too fast ({said}). Expected an answer. Set "
            f"{_GROUP}.requests_per_minute and {_GROUP}.concurrency lower, or wait."
        )
    if status is not None and status >= 500:
        return (
            f"{asked} and failed by itself ({detailed}). Expected an answer. Wait and run again, or choose another "
            f"endpoint."
        )
    return (
        f"did not accept the request ({detailed}). Expected an OpenAI-compatible endpoint. Check {_GROUP}.model, or "
        f"set {_GROUP}.thinking or temperature to null if it does not know them."
    )


def _status(error: Exception) -> int | None:
    return getattr(error, "status_code", None)


def _retry_after(headers: Mapping[str, Any]) -> float | None:
    """Seconds that a Retry-After header asks for, given as a number or as a date."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _reason(error: Exception) -> str:
    """The innermost cause, such as "Connection refused"."""
    cause: BaseException = error
    while cause.__cause__ is not None or cause.__context__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    return _short(str(cause)) or type(cause).__name__


def _detail(error: Exception, endpoint: Endpoint) -> str:
    body = getattr(error, "body", None)
    text = body.get("message") if isinstance(body, dict) else None
    text = _short(text if isinstance(text, str) else "")
    if endpoint.key_variable is not None and endpoint.key:
        text = text.replace(endpoint.key, "…")
    return f": {text}" if text else ""


def _short(text: str) -> str:
    return " ".join(text.split())[:200].rstrip(".")
