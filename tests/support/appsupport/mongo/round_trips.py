"""Round trips: the commands that clients of this process send to MongoDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo import monitoring


class CommandLog(monitoring.CommandListener):
    """Notes the names of commands while somebody listens."""

    def __init__(self) -> None:
        self._listeners: list[list[str]] = []

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """Return a list that gets the name of each command that is sent within the block."""
        names: list[str] = []
        self._listeners.append(names)
        try:
            yield names
        finally:
            self._listeners.remove(names)

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Note a command that is sent."""
        for names in self._listeners:
            names.append(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Do nothing: it is noted already."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Do nothing: it is noted already."""


_LOG = CommandLog()
# Only clients that are made from now on are heard.
monitoring.register(_LOG)
commands_sent = _LOG.listening
