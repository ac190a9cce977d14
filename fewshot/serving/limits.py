"""The limits of a request and of the queue."""

from dataclasses import dataclass

from fewshot.errors import ConfigError

MAX_TEXTS = 256  # of one request
MAX_CHARACTERS = 20_000  # of one text
MAX_LABEL = 1_000  # of a label that is learnt
MAX_BODY = 4 * 1024 * 1024  # bytes of the body of a request


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Args:
        max_queue: texts that wait at once; a request beyond them gets status 429.
        timeout: seconds in which a request is read, and in which it is answered; later it gets status 503.
        batch_tokens: approximate number of tokens of a batch, which holds at least one text.
    """

    max_queue: int = 1024
    timeout: float = 10.0
    batch_tokens: int = 2048

    def __post_init__(self) -> None:
        if self.max_queue < MAX_TEXTS:
            raise ConfigError(
                f"Got --max-queue {self.max_queue}, expected {MAX_TEXTS} or more, the texts that one request may have. "
                f"Leave it out for {Limits.max_queue}."
            )
        if not 0 < self.timeout < float("inf"):
            raise ConfigError(
                f"Got --timeout {self.timeout:g}, expected seconds above 0. Leave it out for {Limits.timeout:g}."
            )
