"""Values and bytes that parsers stumble over, put into good ones."""

import copy
import random
from typing import Any

STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 1e308, float("nan"), float("inf"), 10**400, "", "x", "\x1b[31m[/red]", "\ud800"),
    *("a" * 100_000, [], {}, [[]], [None], {"a": {}}, "../../x", "NaN", "9" * 4301),
)


def replaced(content: Any, generator: random.Random) -> Any:
    """A copy of a JSON value in which one value, at any depth, is a strange one, or is gone."""
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        keys = list(value) if isinstance(value, dict) else range(min(len(value), 5)) if isinstance(value, list) else ()
        for key in keys:
            places.append((value, key))
            walk(value[key])

    content = copy.deepcopy(content)
    walk(content)
    if not places:
        return generator.choice(STRANGE)
    parent, key = generator.choice(places)
    if isinstance(parent, dict) and generator.random() < 0.2:
        del parent[key]
    else:
        parent[key] = generator.choice(STRANGE)
    return content


def damaged(content: bytes, generator: random.Random) -> bytes:
    """Bytes with a part cut off, repeated, or replaced by bytes that parsers stumble over."""
    start = generator.randrange(len(content) + 1)
    end = min(len(content), start + generator.choice((0, 1, 3, 50)))
    odd = (b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"\n\n", b"[" * 5000, b"9" * 4301, b"\xed\xa0\x80", b",", b"")
    put = generator.choice((*odd, content[start:end] * 2))
    return content[:start] + put + (b"" if generator.random() < 0.2 else content[end:])
