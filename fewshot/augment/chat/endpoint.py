"""Where a language model answers, and with which settings."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fewshot.errors import ConfigError

FORMAT = 1  # part of every key: raise it when the same settings begin to make other requests


@dataclass(frozen=True)
class Endpoint:
    """A model behind an OpenAI-compatible address.

    Args:
        model: as the endpoint names it.
        base_url: address without `/chat/completions`.
        key_variable: environment variable that holds the key; None sends none.
        temperature: of sampling; None leaves it to the endpoint.
        thinking: DeepSeek's switch for reasoning before the answer, `"enabled"` or `"disabled"`; None sends none.
        timeout: seconds to wait for an answer.
    """

    model: str
    base_url: str
    key_variable: str | None
    temperature: float | None
    thinking: str | None
    timeout: float

    @property
    def host(self) -> str:
        """Host and port, and nothing of the address that could be secret.

        Raises:
            ValueError: the address has none.
        """
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"no host in {self.base_url!r}")
        return parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"

    @property
    def key(self) -> str:
        """The key, read from the environment each time and kept nowhere.

        Raises:
            ConfigError: the variable is not set.
        """
        if self.key_variable is None:
            return ""
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise ConfigError(
                f"Asking {self.model!r} at {self.host} needs a key, and the environment variable {self.key_variable} "
                f"is not set. Put the key there, name another variable with augment.sources.llm.key_variable=NAME, or "
                f"set that to null for an endpoint that asks for none."
            )
        return key

    def connect(self) -> Any:
        """A client of the `openai` package, which asks once and leaves retries to the caller.

        Raises:
            ConfigError: the package is not installed, or there is no key.
        """
        try:
            from openai import OpenAI
        except ImportError as error:
            raise ConfigError(
                f"Asking {self.model!r} needs the openai package, which is not installed. Install it with: "
                f"pip install 'fewshot-text[llm]'"
            ) from error
        client = OpenAI(api_key=self.key or "none", base_url=self.base_url, timeout=self.timeout, max_retries=0)
        if not self.host.endswith("openai.com"):
            # Read from the environment by the package; an account at OpenAI is no other endpoint's business.
            client.organization = client.project = None
        return client

    def request(self, messages: Sequence[dict[str, str]], seed: int) -> dict[str, Any]:
        """Arguments of `chat.completions.create`."""
        fields = {
            "model": self.model,
            "messages": list(messages),
            "response_format": {"type": "json_object"},
            "seed": seed,
        }
        if self.temperature is not None:
            fields["temperature"] = self.temperature
        if self.thinking is not None:
            fields["extra_body"] = {"thinking": {"type": self.thinking}}
        return fields

    def key_of(self, messages: Sequence[dict[str, str]], seed: int) -> str:
        """64 hex digits that stand for everything that determines the answer."""
        content = {"format": FORMAT, "base_url": self.base_url.rstrip("/"), **self.request(messages, seed)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
