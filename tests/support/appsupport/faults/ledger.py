"""The ledger keeps the answers that a test was given, and checks them in the end against the facts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bson.timestamp import Timestamp

from appdb import ConflictError, Database, DatabaseUnavailableError, NewTask, Task, TaskQueue, TaskState
from appsupport.faults.ledger_checks import problems
from appsupport.faults.ledger_facts import Acknowledged, Facts, begin_history, read_facts

MOST_SHOWN = 20
POLL_SECONDS = 0.1
MOST_UNKNOWN_SECONDS = 30


@dataclass(slots=True, kw_only=True)
class Ledger:
    """
    What a fault test was told, and the means to check it.

    Args:
        database: An open database that is the test's own.

        notes: The file that the probe actors append to.

        since: The server's time from which on its writes are read.
    """

    database: Database
    notes: Path
    since: Timestamp
    acknowledged: Acknowledged = field(default_factory=Acknowledged)

    @classmethod
    async def open(cls, database: Database, notes: Path) -> Self:
        """Begin a ledger, before anything is written."""
        return cls(database=database, notes=notes, since=await begin_history(database))

    async def enqueue(self, task: NewTask) -> Task:
        """Enqueue *task*, and remember it once that is acknowledged."""
        stored = await TaskQueue(self.database).enqueue(task)
        self.acknowledged.enqueued.add(stored.id)
        return stored

    async def cancel(self, task: Task) -> bool:
        """Cancel *task*, again while the outcome is unknown, and return whether it is cancelled; the answer is kept."""
        async with asyncio.timeout(MOST_UNKNOWN_SECONDS):
            while True:
                try:
                    await TaskQueue(self.database).cancel(task.id, owner_id=task.owner_id)
                except ConflictError:
                    self.acknowledged.cancel_refused.add(task.id)
                    return False
                except DatabaseUnavailableError:
                    continue
                break
        self.acknowledged.cancelled.add(task.id)
        return True

    async def settle(self, seconds: float) -> None:
        """Return when every acknowledged task has ended.

        Raises:
            AssertionError: Some have not, after *seconds*; they are named.
        """
        try:
            async with asyncio.timeout(seconds):
                while await self._open():
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            unfinished = await self._open()
            raise AssertionError(f"{len(unfinished)} tasks did not end in {seconds} s: {unfinished[:5]}") from None

    async def _open(self) -> list[dict[str, object]]:
        live = {"state": {"$in": [state.value for state in TaskState if not state.final]}}
        shown = {"state": 1, "attempt": 1, "lease": 1, "run_at": 1, "queue": 1, "actor": 1, "error": 1}
        return [row async for row in self.database.collection("tasks").find(live, shown)]

    async def facts(self) -> Facts:
        """Return what really happened so far."""
        return await read_facts(self.database, self.since, self.notes, self.acknowledged)

    async def check(self) -> Facts:
        """Check every promise against what really happened, and return that.

        Raises:
            AssertionError: A promise was broken; each breach is told with its task.
        """
        facts = await self.facts()
        found = problems(facts)
        if found:
            shown = "\n".join(found[:MOST_SHOWN])
            raise AssertionError(f"the ledger does not hold, {len(found)} breaches:\n{shown}")
        return facts
