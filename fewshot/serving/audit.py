"""The audit log: one line of JSON for each text that was answered, and for each model that began to answer.

Lines are appended whole, each request's with one call. A process that is killed, or a full disk, can leave a half line
at the end; the next writer ends it, and the reader passes over it.

    {"kind": "prediction", "time": ..., "request_id": ..., "model": ..., "digest": ..., "variant": null,
     "text_sha256": ..., "label": ..., "probability": ..., "rejected": false, "ms": 4.1}
"""

import hashlib
import hmac
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fewshot.errors import StorageError

log = logging.getLogger(__name__)

KEY = "FEWSHOT_AUDIT_KEY"  # environment variable
PLAIN, KEYED = "text_sha256", "text_hmac_sha256"


class TextDigest:
    """What stands for a text: its SHA-256, or with a key its HMAC, which nobody can look up in a list of likely texts.

    Args:
        key: None gives the plain SHA-256.
    """

    def __init__(self, key: str | None):
        self._key = None if key is None else os.fsencode(key)
        self.field = PLAIN if key is None else KEYED

    @classmethod
    def from_environment(cls) -> "TextDigest":
        """With the key of `FEWSHOT_AUDIT_KEY`, if it is set."""
        return cls(os.environ.get(KEY) or None)

    def __call__(self, text: str) -> str:
        """64 hex digits."""
        content = text.encode("utf-8", "surrogatepass")
        if self._key is None:
            return hashlib.sha256(content).hexdigest()
        return hmac.new(self._key, content, "sha256").hexdigest()


class AuditLog:
    """A file that records are appended to; for its owner alone if it is new.

    Args:
        path: of the file.
        digest: stands for a text.
        with_texts: whether the text itself is written too.

    Raises:
        StorageError: the file cannot be written.
    """

    def __init__(self, path: Path, digest: TextDigest, with_texts: bool = False):
        self._path, self._digest, self._with_texts = path, digest, with_texts
        self._handle: int | None = None
        self.n_lost = 0  # records that could not be written
        self.reopen()

    def reopen(self) -> None:
        """Open the file of this name, which is another one once logrotate has moved the old one away."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(
                f"Could not open the audit log {str(self._path)!r}: {error.strerror or error}. Choose another file."
            ) from error
        if self._handle is not None:
            os.close(self._handle)
        self._handle = handle

    def of_text(self, text: str) -> dict[str, str]:
        """What a record says of a text."""
        own = {self._digest.field: self._digest(text)}
        return {**own, "text": text} if self._with_texts else own

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Append some records; those that cannot be written are counted, and a warning is logged for the first."""
        assert self._handle is not None
        lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
        problem, n_written = "the disk is full", 0
        try:
            before = b"\n" if self._ends_in_half_a_line(self._handle) else b""
            written = os.write(self._handle, before + lines)
            n_written = lines[: max(0, written - len(before))].count(b"\n")
        except OSError as error:
            problem = error.strerror or str(error)
        if n_written < len(records):
            if not self.n_lost:
                log.warning(f"Could not write to the audit log {str(self._path)!r}: {problem}. Free some space.")
            self.n_lost += len(records) - n_written

    def close(self) -> None:
        """Put what was written on disk, and close the file."""
        if self._handle is not None:
            os.fsync(self._handle)
            os.close(self._handle)
            self._handle = None

    @staticmethod
    def _ends_in_half_a_line(handle: int) -> bool:
        """Whether a full disk or a kill cut the last line off: of this process or another one."""
        size = os.fstat(handle).st_size
        return size > 0 and os.pread(handle, 1, size - 1) != b"\n"


def now() -> str:
    """The time in UTC, as ISO 8601 with milliseconds.

    Example:
        >>> len(now())
        24
    """
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_audit(path: Path) -> Iterator[dict[str, Any] | None]:
    """The records of a log, in order; None for a line that is none, such as one that was not finished.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        for line in file:
            if line.strip():
                yield _record(line)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("kind"), str) else None
