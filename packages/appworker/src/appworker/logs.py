"""Structured logs: one JSON object per line on standard error, from all loggers alike."""

from __future__ import annotations

import logging
import os

import structlog

from appworker.unfailing import Unfailing

STANDARD_ERROR = 2
MAX_CHARACTERS = 20_000
"""Of a text, such as a traceback, in one line."""


def configure_logs(level: str) -> None:
    """Send every log record to standard error as one JSON line; extras of a record become fields of the line."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _clipped,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = _Lines()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    # In place of all others: a library that configured the root would write each line twice.
    root.handlers = [handler]
    root.setLevel(level)


def _clipped(
    _logger: structlog.typing.WrappedLogger, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Cut texts that are too long for a line, such as an error that holds all of an answer."""
    for name, value in line.items():
        if isinstance(value, str) and len(value) > MAX_CHARACTERS:
            line[name] = f"{value[:MAX_CHARACTERS]} [cut: it has {len(value):,} characters]"
    return line


class _Lines(Unfailing):
    """Writes lines to a copy of standard error, since an actor may close the one that everybody has.

    Nothing is buffered: a lock of a buffer that another thread holds would stay locked in a process that is forked.
    """

    def __init__(self) -> None:
        super().__init__()
        self._descriptor = os.dup(STANDARD_ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
            while line:
                line = line[os.write(self._descriptor, line) :]
        except Exception:  # noqa: BLE001 - what is logged, and who reads it, must not matter to who logs
            self.handleError(record)
