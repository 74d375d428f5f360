"""Log handlers whose failures raise nowhere: neither a bad call, nor a closed standard error, ends an attempt."""

from __future__ import annotations

import logging
from contextlib import suppress


class Unfailing(logging.Handler):
    """A handler whose complaints about a record cannot raise either."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Complain about *record* on standard error, if there is one."""
        with suppress(Exception):
            super().handleError(record)
