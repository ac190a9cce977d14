"""How log lines look."""

import logging

from fewshot.errors import printable


class PrintableFormatter(logging.Formatter):
    """Control characters in names and texts stand as their escapes, so that they do nothing to a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """A line, or several."""
        return printable(super().format(record))
