"""The audit log: one line of JSON for each text that was answered, and for each model that began to answer.

Lines are appended whole, each request's with one call. A process that is killed, or a full disk, can leave an
unfinished line at the end; the next writer ends it, and the reader skips it.

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
    """The digest of a text: its SHA-256, or with a key its HMAC, which nobody can look up in a list of likely texts.

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
        digest: of texts.
        with_texts: True writes the texts too.

    Raises:
        StorageError: the file cannot be written.
    """

    def __init__(self, path: Path, digest: TextDigest, with_texts: bool = False):
        self._path, self._digest, self._with_texts = path, digest, with_texts
        self._handle: int | None = None
        self.n_lost = 0  # records that could not be written
        self.reopen()

    def reopen(self) -> None:
        """Open the file again, which is a new one after logrotate has moved the old one away."""
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
        """The fields of a record for a text."""
        fields = {self._digest.field: self._digest(text)}
        return {**fields, "text": text} if self._with_texts else fields

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Append some records; those that cannot be written are counted, and a warning is logged for the first."""
        assert self._handle is not None
        lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
        problem, n_written = "the disk is full", 0
        try:
            line_end = b"\n" if self._has_unfinished_line(self._handle) else b""
            n_bytes = os.write(self._handle, line_end + lines)
            n_written = lines[: max(0, n_bytes - len(line_end))].count(b"\n")
        except OSError as error:
            problem = error.strerror or str(error)
        if n_written < len(records):
            if not self.n_lost:
                log.warning(f"Could not write to the audit log {str(self._path)!r}: {problem}. Free some space.")
            self.n_lost += len(records) - n_written

    def close(self) -> None:
        """Flush to disk, and close the file."""
        if self._handle is not None:
            os.fsync(self._handle)
            os.close(self._handle)
            self._handle = None

    @staticmethod
    def _has_unfinished_line(handle: int) -> bool:
        """True if a full disk or a kill cut off the last line, of this process or another one."""
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
    """The records of a log, in order; None for a line that is no record, such as an unfinished one.

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
