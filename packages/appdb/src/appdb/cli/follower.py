"""The follower of one task: its past events, then each new one, through lost connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

import click

from appdb.cli.selection import named_task
from appdb.database import Database
from appdb.errors import DatabaseUnavailableError
from appdb.feed import ChangeFeed, Subscription, task_topic
from appdb.models.task_events import TaskEvent
from appdb.models.tasks import Task
from appdb.queue.task_queue import TaskQueue

T = TypeVar("T")

POLL = timedelta(seconds=1)
"""What a lost hint can cost."""
RETRY_SECONDS = 60.0
"""An election takes 12 s at worst; a database that is silent for this long is not electing."""
PAUSE_SECONDS = 0.5


class Follower:
    """The reader of one task log, from its beginning to its end.

    Args:
        database: An open database.
        task_id: The task.
        owner: Whose task it has to be; ``None`` for anybody's.
        after: The number of the last event that is known already; -1 for none.
    """

    def __init__(self, database: Database, task_id: str, *, owner: str | None, after: int = -1) -> None:
        self._database = database
        self._queue = TaskQueue(database)
        self._task_id = task_id
        self._owner = owner
        self._seq = after

    async def follow(self, show: Callable[[TaskEvent], None]) -> Task:
        """Give every event to *show*, in order, those of the past first, and return the final task.

        Raises:
            NotFoundError: The owner has no such task, or it was pruned meanwhile.
            DatabaseUnavailableError: The database did not answer for a minute.
        """
        task = await patiently(self._get)
        async with hints_on(task_topic(self._task_id), ChangeFeed(self._database, events=True)) as hints:
            while not (task.state.final and task.last_seq <= self._seq):
                found = await patiently(self._read)
                for event in found:
                    self._seq = event.seq
                    show(event)
                # A page that ends before the terminal event may have a next one; asking for the task can wait.
                if found and not found[-1].type.terminal:
                    continue
                if not found and task.state.final:
                    # The last events cannot be read: waiting for them would never end.
                    break
                if not found:
                    await hints.wait(POLL)
                task = await patiently(self._get)
        return task

    async def _read(self) -> list[TaskEvent]:
        return await self._queue.events(self._task_id, after=self._seq)

    async def _get(self) -> Task:
        return await named_task(self._queue, self._task_id, self._owner)


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Return what *call* gives, and call again while the database does not answer, for a minute."""
    asked_at, told = time.monotonic(), False
    while True:
        try:
            return await call()
        except DatabaseUnavailableError:
            if time.monotonic() - asked_at > RETRY_SECONDS:
                raise
        if not told:
            click.echo("the database does not answer; trying again", err=True)
            told = True
        await asyncio.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def hints_on(topic: str, feed: ChangeFeed) -> AsyncIterator[Subscription]:
    """Run *feed* for the length of the block, and yield the hints on *topic*."""
    with feed.subscribe(topic) as hints:
        running = asyncio.create_task(feed.run())
        try:
            yield hints
        finally:
            running.cancel()
            await asyncio.wait({running})
    # A feed that ended by itself met an error that is no lost connection: it is told, not lost.
    if not running.cancelled():
        running.result()
