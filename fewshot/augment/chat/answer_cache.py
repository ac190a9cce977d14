"""Answers on disk, one immutable file per question, so that no question is paid for twice."""

import json
from pathlib import Path

from fewshot.storage import write_json

_ADVICE = "Free some space, set augment.sources.llm.cache to another folder, or to null to keep no answers."


class AnswerCache:
    """What language models have answered.

    A file is named by a hash of everything that determines the answer. A damaged one counts as absent.

    Args:
        folder: made when the first answer comes; None keeps nothing.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder

    def read(self, key: str) -> str | None:
        """The answer under a key, if there is one."""
        if self.folder is None:
            return None
        try:
            content = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            answer = content["answer"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return answer if isinstance(answer, str) else None

    def write(self, key: str, answer: str, model: str, host: str) -> None:
        """Keep an answer, with whose it is for a person who looks into the folder.

        Raises:
            StorageError: it could not be written.
        """
        if self.folder is not None:
            written = answer.encode("utf-8", "replace").decode("utf-8")
            write_json(self.folder / f"{key}.json", {"model": model, "host": host, "answer": written}, _ADVICE)
