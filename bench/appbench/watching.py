"""Watches tasks from outside without disturbing a measure: one document, by the small partial indexes."""

from __future__ import annotations

import asyncio
from typing import Any

from appdb import Database, TaskState

PAUSE_SECONDS = 0.2


async def until_none_is_live(database: Database) -> None:
    """Return when no task is queued or runs any more."""
    tasks = database.collection("tasks")
    queued: dict[str, Any] = {"state": TaskState.QUEUED}
    running: dict[str, Any] = {"state": TaskState.PROCESSING}
    while (
        await tasks.find_one(queued, {"_id": 1}, hint="tasks_group") is not None
        or await tasks.find_one(running, {"_id": 1}, hint="tasks_held") is not None
    ):
        await asyncio.sleep(PAUSE_SECONDS)


async def result_of(database: Database, task_id: str, *, collection: str = "tasks") -> dict[str, Any]:
    """Return the result of a task once it has completed."""
    done = {"_id": task_id, "state": TaskState.COMPLETED}
    while (found := await database.collection(collection).find_one(done, {"result": 1})) is None:
        await asyncio.sleep(PAUSE_SECONDS / 10)
    result: dict[str, Any] = found["result"]
    return result
