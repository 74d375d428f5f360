"""Migrates, and dies after the N-th write: `killed_process.py N command WORDS...`, or `N trial URI DATABASE`.

With 0 it lives, and says at the end how many writes there were.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta

from pymongo import monitoring

from appdb import Database
from appdb.cli import main
from appdb.migrations.options import BackFillPace, RunOptions, Waiting
from appsupport.migrations.trial_migration import migrator

WRITES = frozenset({"createIndexes", "delete", "dropIndexes", "findAndModify", "insert", "update"})


class KilledAfter(monitoring.CommandListener):
    """Ends the process like a power cut once the *number*-th write was applied, before anybody hears of it."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.count = 0
        self._chosen: int | None = None

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Count a write. The lock is renewed by time, so that is not counted: every run is to have the same writes."""
        renewal = event.command_name == "update" and event.command["updates"][0]["q"].get("_id") == "migrations"
        if event.command_name not in WRITES or renewal:
            return
        self.count += 1
        if self.count == self._number:
            self._chosen = event.request_id

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Die when the chosen write was applied."""
        if event.request_id == self._chosen:
            os.kill(os.getpid(), signal.SIGKILL)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """It shows in the exit code."""


async def trial(uri: str, name: str) -> None:
    """Run all migrations and the trial in small batches."""
    waiting = Waiting(lease=timedelta(seconds=1), longest=timedelta(seconds=30))
    database = Database(uri, name, operation_timeout=None)
    await migrator(database, RunOptions(waiting=waiting, pace=BackFillPace(batch=10))).up()
    await database.close()


if __name__ == "__main__":
    _, point, kind, *words = sys.argv
    listener = KilledAfter(int(point))
    monitoring.register(listener)
    if kind == "command":
        main(words, standalone_mode=False)
    else:
        asyncio.run(trial(*words))
    sys.stdout.write(f"\n{listener.count}")
