"""The checks of every request: key, host, size and time; and its id and the security headers of its answer."""

import asyncio
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping, Sequence
from typing import Any

from fewshot.serving.limits import MAX_BODY

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = ("/", "/docs", "/openapi.json", "/health")  # need no key
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Refusal(Exception):
    """A request that is answered at once.

    Args:
        status: of the answer.
        detail: the cause and a cure.
        headers: of the answer.
    """

    def __init__(self, status: int, detail: str, headers: Sequence[tuple[bytes, bytes]] = ()):
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


class Guard:
    """An ASGI application around another one.

    Args:
        app: answers the requests that pass.
        key: of requests; None lets all pass.
        hosts: allowed names in the header `Host`, against DNS rebinding; empty allows all.
        timeout: seconds in which a body must have arrived.
        on_response: called with path, status and seconds of each request.
    """

    def __init__(
        self,
        app: App,
        *,
        key: str | None,
        hosts: Collection[str],
        timeout: float,
        on_response: Callable[[str, int, float], None],
    ):
        self._app, self._hosts, self._timeout = app, frozenset(hosts), timeout
        self._key = None if key is None else os.fsencode(key)
        self._on_response = on_response
        self.draining = False  # True closes each connection after its answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, headers = time.perf_counter(), dict(scope["headers"])
        sent_id = headers.get(b"x-request-id", b"")
        request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else secrets.token_hex(8).encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        status = 500

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS, (b"x-request-id", request_id)]
                if self.draining:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            self._check(scope, headers)
            if scope["method"] == "POST":
                receive = _replayed(await self._body(headers, receive), receive)
            await self._app(scope, receive, send_with_headers)
        except Refusal as refusal:
            await refuse(refusal, send_with_headers)
        finally:
            self._on_response(scope["path"], status, time.perf_counter() - began)

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self._hosts and _without_port(host) not in self._hosts:
            raise Refusal(
                421,
                f"Got a request for the host {host[:100]!r}, expected {' or '.join(sorted(self._hosts))}. A server "
                f"without a key answers to these names alone; set FEWSHOT_API_KEY to allow others.",
            )
        if self._key is not None and scope["path"] not in OPEN:
            scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(key.strip(), self._key):
                raise Refusal(
                    401,
                    "The request bears no key, or a wrong one. Send the header `Authorization: Bearer KEY` with the "
                    "key that the server was started with.",
                    ((b"www-authenticate", b"Bearer"),),
                )

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise Refusal(
                415, f"Got a body of the type {kind.decode('latin-1')[:100]!r}, expected application/json. Send JSON."
            )
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > MAX_BODY:
            raise _too_large()
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "The body ended early. Send it again.")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > MAX_BODY:
                        raise _too_large()
                    if not message.get("more_body"):
                        return _utf8(b"".join(parts))
        except TimeoutError as error:
            raise Refusal(
                408, f"The body did not come within {self._timeout:g} seconds. Send it faster.", _CLOSE
            ) from error


_CLOSE = ((b"connection", b"close"),)


async def refuse(refusal: Refusal, send: Send) -> None:
    """Answer with the reason."""
    body = json.dumps({"detail": refusal.detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": [*headers, *refusal.headers]})
    await send({"type": "http.response.body", "body": body})


def _too_large() -> Refusal:
    return Refusal(
        413,
        f"The body has more than {MAX_BODY:,} bytes, which is the limit. Send the texts in several requests.",
        _CLOSE,
    )


def _utf8(body: bytes) -> bytes:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise Refusal(400, f"The body is no UTF-8 at byte {error.start}. Send JSON in UTF-8.") from error
    return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read already, and then the further messages."""
    is_given = False

    async def replayed() -> MutableMapping[str, Any]:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _without_port(host: str) -> str:
    """The name or address in a `Host` header."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host
