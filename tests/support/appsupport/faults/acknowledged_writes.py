"""Writes that the database acknowledged, and the check that all of them are still there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from appdb import Database, Lease, Task, TaskEvent, TaskEventType, TaskQueue, TaskState

OWNER = "usr_faults"
MOST_EVENTS = 10_000


class Acknowledged:
    """A writers' record; it holds only what an answer has confirmed."""

    def __init__(self) -> None:
        self.enqueued: set[str] = set()
        self.completed: dict[str, tuple[Lease, Mapping[str, Any]]] = {}

    def note_enqueued(self, task: Task) -> None:
        self.enqueued.add(task.id)

    def note_completed(self, lease: Lease, result: Mapping[str, Any]) -> None:
        assert lease.task_id not in self.completed, f"{lease.task_id} was acknowledged as completed twice"
        self.completed[lease.task_id] = lease, result

    async def check(self, database: Database) -> None:
        """Hold the record against the database, by queries of its own; to be called when everything has recovered."""
        queue = TaskQueue(database)
        tasks = await _tasks(database, queue)
        known = set(await database.collection("task_events").distinct("task_id"))
        now = await database.server_time()

        assert self.enqueued <= tasks.keys(), f"acknowledged tasks are lost: {sorted(self.enqueued - tasks.keys())}"
        for lease, result in self.completed.values():
            _check_completed(tasks[lease.task_id], lease, result)
        assert known <= tasks.keys()
        for task in tasks.values():
            _check_log(task, await queue.events(task.id, limit=MOST_EVENTS))
            _check_lease(task, now)


def _check_completed(task: Task, lease: Lease, result: Mapping[str, Any]) -> None:
    assert (task.state, task.attempt) == (TaskState.COMPLETED, lease.attempt), f"{lease} was acknowledged; now {task}"
    assert task.result == result, f"{lease} was acknowledged with {result}; now {task.result}"


def _check_log(task: Task, log: list[TaskEvent]) -> None:
    types = [event.type for event in log]
    started = Counter(event.attempt for event in log if event.type is TaskEventType.STARTED)

    assert [event.seq for event in log] == list(range(task.event_count)), f"{task.id}: the log has gaps: {log}"
    assert [event.attempt for event in log] == sorted(event.attempt for event in log), f"{task.id}: {log}"
    assert not [attempt for attempt, times in started.items() if times > 1], f"{task.id}: an attempt had two holders"
    assert task.attempt <= task.max_attempts
    terminal = [kind for kind in types if kind.terminal]
    assert terminal == ([task.state.value] if task.state.final else []), f"{task.id} is {task.state}: {types}"
    assert not terminal or types[-1].terminal, f"{task.id}: something follows the end: {types}"


def _check_lease(task: Task, now: datetime) -> None:
    if task.state is TaskState.PROCESSING:
        assert task.lease is not None
        assert task.lease.expires_at > now, f"{task.id} is held past its lease"


async def _tasks(database: Database, queue: TaskQueue) -> dict[str, Task]:
    """Return every task that the database knows, as its owner sees it."""
    rows = [row async for row in database.collection("tasks").find({}, {"owner_id": 1})]
    return {row["_id"]: await queue.get(row["_id"], owner_id=row["owner_id"]) for row in rows}
