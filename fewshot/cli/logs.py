"""How log lines look."""

import logging

from fewshot.errors import printable, redacted


class PrintableFormatter(logging.Formatter):
    """Control characters stand as their escapes, so that they do nothing to a terminal; addresses have no passwords."""

    def format(self, record: logging.LogRecord) -> str:
        """A line, or several."""
        return printable(redacted(super().format(record)))
