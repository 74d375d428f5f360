"""A task queue and its time, for state machines that drive one: the real queue, or the one in memory."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from appdb import Database, TaskQueue, TaskQueueProtocol
from appdb.testing import InMemoryTaskQueue
from appsupport.mongo.shared_database import empty
from appsupport.mongo.stored_times import let_time_pass

T = TypeVar("T")

MOMENT = 0.002
LEASE = timedelta(seconds=150)


class World(ABC):
    """A queue and its time."""

    queue: TaskQueueProtocol

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(call)

    @abstractmethod
    def elsewhere(self) -> TaskQueueProtocol:
        """Return the same tasks' queue as a process has it that has just begun."""

    @abstractmethod
    def pass_a_moment(self) -> None:
        """Let so much time pass that what follows is later."""

    @abstractmethod
    def pass_time(self, seconds: float) -> None:
        """Let time pass."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing behind."""


class MemoryWorld(World):
    """The queue in memory, and its clock."""

    def __init__(self, runner: asyncio.Runner) -> None:
        super().__init__(runner)
        self._queue = InMemoryTaskQueue(lease=LEASE)
        self.queue = self._queue

    def elsewhere(self) -> TaskQueueProtocol:
        return self.queue

    def pass_a_moment(self) -> None:
        self.pass_time(MOMENT)

    def pass_time(self, seconds: float) -> None:
        self._queue.advance(timedelta(seconds=seconds))

    def close(self) -> None:
        del self._queue, self.queue


class MongoWorld(World):
    """The real queue in an empty database, whose stored times move."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        super().__init__(runner)
        self._database = database
        self.queue = self.elsewhere()

    def elsewhere(self) -> TaskQueueProtocol:
        return TaskQueue(self._database, lease=LEASE)

    def pass_a_moment(self) -> None:
        self.run(asyncio.sleep(MOMENT))

    def pass_time(self, seconds: float) -> None:
        self.run(let_time_pass(self._database, timedelta(seconds=seconds)))

    def close(self) -> None:
        self.run(empty(self._database))


@contextmanager
def opened(runner: asyncio.Runner, uri: str, name: str) -> Iterator[Database]:
    """Open the database *name* for calls by *runner*, until the block ends."""

    async def make() -> Database:
        return await Database(uri, name).__aenter__()

    database = runner.run(make())
    try:
        yield database
    finally:
        runner.run(database.close())
