"""Subjects of the queue contract: the real queue and the one in memory, behind one handle."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import Any

from appdb import (
    Claimer,
    Database,
    Lease,
    NewEvent,
    NewTask,
    Task,
    TaskEventType,
    TaskQueue,
    TaskQueueProtocol,
    TaskState,
)
from appdb.testing import InMemoryTaskQueue
from appsupport.mongo.stored_times import let_time_pass
from appsupport.runs.run_repositories import open_run

OWNER = "usr_a"
OTHER = "usr_b"
LEASE = timedelta(seconds=30)
# Bounds that `docs/guarantees.md` promises: written out, so that a change of one is seen here.
MAX_NAME_CHARACTERS = 200
MAX_DEPTH = 64
MAX_CONTINUATIONS = 100
MAX_CONTINUATION_DEPTH = 20
LARGEST = 2**31 - 1
MAX_DURATION = timedelta(days=36_525)
LIMIT_IS_ASKED_AGAIN = 0.3
"""Seconds after which a claimer no longer leaves alone a limit that it found reached."""
LET_OTHERS_HEAR = 1.1
"""Seconds after which every process heeds a pause."""
STARTED = NewEvent(type=TaskEventType.STARTED)
CHUNK = NewEvent(type=TaskEventType.CHUNK, data={"chunks": ["a"]})


def new_task(**changes: Any) -> NewTask:
    return NewTask(**({"owner_id": OWNER, "actor": "echo", "payload": {"text": "hello"}} | changes))


def numbered(number: int, **changes: Any) -> NewTask:
    return new_task(payload={"n": number}, **changes)


def claimer(name: str = "w1", *handlers: str, queues: tuple[str, ...] = ("default",)) -> Claimer:
    return Claimer(worker_id=name, queues=queues, handlers=handlers or ("echo@1",))


def progress(fraction: float, message: str = "") -> NewEvent:
    return NewEvent(type=TaskEventType.PROGRESS, data={"fraction": fraction, "message": message})


class Subject(ABC):
    """A queue under test; every test gets one that is empty."""

    queue: TaskQueueProtocol

    @abstractmethod
    async def pass_time(self, seconds: float) -> None:
        """Let the queue's time pass."""

    @abstractmethod
    async def let_others_hear(self) -> None:
        """Wait until what is not part of a task, such as a pause, has reached other processes."""

    @abstractmethod
    async def let_limits_be_asked_again(self) -> None:
        """Wait until a claimer no longer leaves alone what it found reached a moment ago."""

    @abstractmethod
    async def now(self) -> datetime:
        """Return the time by the queue's clock."""

    @abstractmethod
    def elsewhere(self) -> TaskQueueProtocol:
        """Return the same tasks' queue as another process has it."""

    @abstractmethod
    async def open_run(self, run_id: str, owner_id: str) -> None:
        """Open a run that tasks may work for."""

    async def lose_lease(self) -> None:
        await self.pass_time(LEASE.total_seconds() + 1)

    async def claim(self, limit: int = 1, *, by: str = "w1", queues: tuple[str, ...] = ("default",)) -> list[Task]:
        return await self.queue.claim(claimer(by, queues=queues), limit=limit)

    async def drain(self, limit: int = 1) -> list[Task]:
        """Claim *limit* at a time until nothing is left."""
        taken: list[Task] = []
        while found := await self.claim(limit):
            taken += found
        return taken

    async def drain_completing(self) -> None:
        """Complete what can be claimed, and what that enqueues, until nothing is left."""
        while found := await self.claim():
            for task in found:
                await self.queue.complete(Lease.of(task))

    async def claimed(self, **changes: Any) -> tuple[Task, Lease]:
        """Return a new task that is held."""
        added = await self.queue.enqueue(new_task(**changes))
        (task,) = await self.claim(queues=(added.queue,))
        assert task.id == added.id
        return task, Lease.of(task)

    async def failed(self, **changes: Any) -> Task:
        """Return a new task that has failed for good."""
        task, lease = await self.claimed(**changes)
        await self.queue.fail(lease, "Broken", "no", retry_in=None)
        return await self.get(task)

    async def get(self, task: Task | str) -> Task:
        task_id = task if isinstance(task, str) else task.id
        return await self.queue.get(task_id, owner_id=OWNER)

    async def state(self, task: Task | str) -> TaskState:
        return (await self.get(task)).state

    async def log(self, task: Task | str) -> list[TaskEventType]:
        """Return the types of a task's events, whose numbers have no gap."""
        task_id = task if isinstance(task, str) else task.id
        events = await self.queue.events(task_id)
        assert [event.seq for event in events] == list(range(len(events)))
        assert not any(event.type.terminal for event in events[:-1])
        return [event.type for event in events]


class MemorySubject(Subject):
    def __init__(self) -> None:
        self._queue = InMemoryTaskQueue(lease=LEASE)
        self.queue = self._queue

    async def pass_time(self, seconds: float) -> None:
        self._queue.advance(timedelta(seconds=seconds))

    async def let_others_hear(self) -> None:
        await self.pass_time(LET_OTHERS_HEAR)

    async def let_limits_be_asked_again(self) -> None:
        await self.pass_time(LIMIT_IS_ASKED_AGAIN)

    async def open_run(self, run_id: str, owner_id: str) -> None:
        """Do nothing: the queue in memory knows no runs, and takes tasks of any."""

    async def now(self) -> datetime:
        return self._queue.clock.now()

    def elsewhere(self) -> TaskQueueProtocol:
        return self.queue


class MongoSubject(Subject):
    def __init__(self, database: Database) -> None:
        self._database = database
        self.queue = self.elsewhere()

    async def pass_time(self, seconds: float) -> None:
        await let_time_pass(self._database, timedelta(seconds=seconds))

    async def let_others_hear(self) -> None:
        await asyncio.sleep(LET_OTHERS_HEAR)

    async def open_run(self, run_id: str, owner_id: str) -> None:
        await open_run(self._database, run_id, owner_id=owner_id)

    async def let_limits_be_asked_again(self) -> None:
        await asyncio.sleep(LIMIT_IS_ASKED_AGAIN)

    async def now(self) -> datetime:
        return await self._database.server_time()

    def elsewhere(self) -> TaskQueueProtocol:
        return TaskQueue(self._database, lease=LEASE)
