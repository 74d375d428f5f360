"""Kills the process that imports it right behind the commit of the n-th transaction that appends to a run's log."""

from __future__ import annotations

import os
from typing import Any

from pymongo import monitoring

from appsupport.faults.crash_points import die

VARIABLE = "APP_TEST_APPEND_CRASH"
"""The number of the transaction, from 1; whoever waits for its answer hears nothing."""
LOG = "events"


class AppendCrash(monitoring.CommandListener):
    """
    Counts committed transactions that have appended events of runs, and kills the process at one of them.

    Args:
        number: Which one, from 1.
    """

    def __init__(self, number: int) -> None:
        self._left = number
        self._appending: set[tuple[bytes, int]] = set()
        self._committing: dict[int, tuple[bytes, int]] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Note a transaction that appends, and the commit of one."""
        command = event.command
        if "txnNumber" not in command:
            return
        transaction = _transaction(command)
        if event.command_name == "insert" and command["insert"] == LOG:
            self._appending.add(transaction)
        elif event.command_name == "commitTransaction" and transaction in self._appending:
            self._committing[event.request_id] = transaction

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Die behind the chosen commit, before anybody hears of it."""
        transaction = self._committing.pop(event.request_id, None)
        if transaction is None or transaction not in self._appending:
            return
        self._appending.discard(transaction)
        self._left -= 1
        if self._left == 0:
            die()

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Forget a commit that was refused; repeated, it is seen again."""
        self._committing.pop(event.request_id, None)


def _transaction(command: Any) -> tuple[bytes, int]:
    return bytes(command["lsid"]["id"]), int(command["txnNumber"])


def arm() -> None:
    """Set the crash that the environment names, if any; before a client is made."""
    if number := os.environ.get(VARIABLE):
        monitoring.register(AppendCrash(int(number)))
