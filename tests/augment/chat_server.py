"""A real HTTP server on loopback that answers chat requests as a script says."""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    """What to answer once.

    `content` is what the model wrote; `raw` stands for the whole body instead; `delay` is in seconds.
    """

    content: str | None = ""
    status: int = 200
    headers: dict = field(default_factory=dict)
    raw: str | None = None
    message: str = "no"
    delay: float = 0.0

    def body(self):
        if self.raw is not None:
            return self.raw
        if self.status != 200:
            return json.dumps({"error": {"message": self.message}})
        message = {"role": "assistant", "content": self.content}
        usage = {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        head = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
        return json.dumps(head | {"choices": choices, "usage": usage})


def written(*texts):
    """A good answer."""
    return Reply(json.dumps({"texts": list(texts)}))


class ChatServer:
    """Answers with the replies of a list in turn, or with what a function of the request body returns."""

    def __init__(self):
        self._lock = threading.Lock()
        self.at_once = 0
        self.reset()

    def reset(self):
        """Forget all, once nobody waits for an answer."""
        while self.at_once:
            time.sleep(0.01)
        self.script, self.requests, self.headers = [], [], []
        self.most_at_once = 0

    @property
    def user_messages(self):
        return [request["messages"][1]["content"] for request in self.requests]

    def reply(self, request, headers):
        with self._lock:
            self.requests.append(request)
            self.headers.append(headers)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            reply = self.script(request) if callable(self.script) else self.script.pop(0)
        time.sleep(reply.delay)
        with self._lock:
            self.at_once -= 1
        return reply


@contextmanager
def chat_server():
    """A running server with its `base_url`; at most a few seconds pass before it has ended."""
    server = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = server.reply(request | {"path": self.path}, headers)
            body = reply.body().encode()
            try:
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # who asked has stopped waiting

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    server.base_url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    server.host = f"127.0.0.1:{http.server_address[1]}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join(timeout=5)
