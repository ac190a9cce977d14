"""The texts in a language model's answer, in whatever form it came."""

import json
import re
from typing import Any

_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_ITEM = re.compile(r"^\s*(?:\d+\s*[.):]|[-*•])\s+(.+)$", re.MULTILINE)
_QUOTES = {'"': '"', "'": "'", "“": "”", "«": "»", "„": "“"}


def texts_of(answer: str) -> list[str]:
    """Read the texts.

    Models that were asked for `{"texts": [...]}` also write a bare list, a fence of backquotes around either, a few
    words before it, objects with the text in a field, a numbered list, or stop in the middle.

    Args:
        answer: what the model wrote.

    Returns:
        Distinct texts on one line each, in the order of the answer; none for a refusal or anything unreadable.

    Example:
        >>> texts_of('Sure: {"texts": ["I lost it", "It is gone"]}')
        ['I lost it', 'It is gone']
        >>> texts_of("I cannot help with that.")
        []
    """
    answer = _THOUGHTS.sub("", answer)
    found = _of_json(answer)
    if found is None:
        found = _of_broken_json(answer) or _ITEM.findall(answer)
    cleaned = (_plain(text) for text in found)
    return list(dict.fromkeys(text for text in cleaned if text))


def _of_json(answer: str) -> list[str] | None:
    """The strings of the first JSON value in the answer; None where there is none that can be read."""
    for opening in re.finditer(r"[{\[]", answer):
        try:
            content, _ = json.JSONDecoder().raw_decode(answer, opening.start())
        except (ValueError, RecursionError):
            return None  # and what is inside is no answer by itself
        found = _strings(content)
        if found:
            return found
    return None


def _strings(content: Any) -> list[str]:
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        content = content.get("texts", lists[0] if lists else [])
    if not isinstance(content, list):
        return []
    return [text for item in content if (text := _string(item)) is not None]


def _string(item: Any) -> str | None:
    if isinstance(item, dict):
        item = next((value for value in item.values() if isinstance(value, str)), None)
    return item if isinstance(item, str) else None


def _of_broken_json(answer: str) -> list[str]:
    """The whole strings of a list that was cut off or is not quite JSON."""
    opening = re.search(r'"texts"\s*:\s*\[', answer)
    found = []
    for quoted in _STRING.findall(answer[opening.end() :]) if opening else []:
        try:
            found.append(json.loads(quoted, strict=False))
        except ValueError:  # an escape that JSON does not know
            continue
    return found


def _plain(text: str) -> str:
    text = " ".join(text.encode("utf-8", "ignore").decode("utf-8").split())
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    return text
