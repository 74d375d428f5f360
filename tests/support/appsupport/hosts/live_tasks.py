"""Tasks as a test sees them: added, and watched in the database until something holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from appdb import Database, NewTask, Task, TaskQueue
from appdemo.host import Host

OWNER = "usr_a"
LEASE_SECONDS = 2
StartWorker = Callable[..., Host]


class Tasks:
    """Tasks of one owner."""

    def __init__(self, database: Database) -> None:
        self.queue = TaskQueue(database)

    async def add(self, actor: str, **payload: Any) -> Task:
        return await self.queue.enqueue(NewTask(owner_id=OWNER, actor=actor, payload=payload, max_attempts=3))

    async def get(self, task: Task) -> Task:
        return await self.queue.get(task.id, owner_id=OWNER)

    async def until(self, task: Task, holds: Callable[[Task], bool], seconds: float = 30) -> Task:
        """Return the task once *holds* is true of it."""
        async with asyncio.timeout(seconds):
            while not holds(found := await self.get(task)):
                await asyncio.sleep(0.02)
        return found

    async def final(self, task: Task, seconds: float = 30) -> Task:
        return await self.until(task, lambda found: found.state.final, seconds)
