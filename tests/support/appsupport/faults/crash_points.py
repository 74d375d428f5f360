"""Kills the process that imports it at the n-th command it sends to MongoDB: a power cut at a place of our choice."""

from __future__ import annotations

import itertools
import os
import signal
from typing import Any

from pymongo import monitoring

VARIABLE = "APP_TEST_CRASHPOINT"
"""``before:N``: the N-th command is never sent; ``after:N``: it was applied, and its answer is never seen."""
PATH_COMMANDS = frozenset({"find", "findAndModify", "update", "insert", "delete", "bulkWrite", "commitTransaction"})
SIDE_COLLECTIONS = frozenset({"workers", "actors", "config", "migrations", "schedules"})


class CrashPoint(monitoring.CommandListener):
    """
    Counts the commands on the way of a task from its claim to its end, and kills the process at one of them.

    What a worker does beside that way (announcing itself, its change stream, promoting, recovering) is not counted,
    so the points of two runs are the same.

    Args:
        when: ``before`` or ``after``.

        number: Which command, from 1.
    """

    def __init__(self, when: str, number: int) -> None:
        self._when = when
        self._number = number
        self._count = itertools.count(1)
        self._chosen: int | None = None

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Count a command, just before it is sent."""
        if not on_path(event.command_name, event.command):
            return
        if next(self._count) == self._number:
            self._chosen = event.request_id
            if self._when == "before":
                die()

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Die when the chosen command was applied, before anybody hears of it."""
        if event.request_id == self._chosen:
            die()

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Die also when the chosen command was refused."""
        if event.request_id == self._chosen:
            die()


def on_path(name: str, command: Any) -> bool:
    """Return whether a command belongs to the way of a task from its claim to its end."""
    if name not in PATH_COMMANDS or command.get(name) in SIDE_COLLECTIONS:
        return False
    filters = [update["q"] for update in command.get("updates", [])]
    filters += [command[key] for key in ("filter", "query") if key in command]
    return not any("$expr" in found for found in filters)  # what is due, and what has expired: duties


def die() -> None:
    """End this process as a power cut does."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm() -> None:
    """Set the crash point that the environment names, if any; before a client is made."""
    if named := os.environ.get(VARIABLE):
        when, _, number = named.partition(":")
        monitoring.register(CrashPoint(when, int(number)))
