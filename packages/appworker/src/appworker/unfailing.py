"""Logging that changes nothing of what logs: a bad call, or a reader of the log who is gone, raises nowhere."""

from __future__ import annotations

import logging
from contextlib import suppress


class Unfailing(logging.Handler):
    """A handler whose complaints about a record cannot raise either, such as to a standard error that was closed."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Say on standard error what is wrong with *record*, as far as that can be said."""
        with suppress(Exception):
            super().handleError(record)
