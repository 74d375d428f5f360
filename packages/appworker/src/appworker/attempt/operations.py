"""Operations of one attempt beside its events: content, files, usage, steps and children."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from appdb import Lease, Task
from appdb.models import CallUsage, NewContent, TaskFile
from appworker.attempt.event_writer import EventWriter
from appworker.attempt.fenced_calls import FencedCalls
from appworker.attempt.services import AttemptServices


class AttemptOperations:
    """
    Stores and enqueues for an attempt, behind its lease; for the control loop.

    Args:
        task: The task as it was claimed.

        services: The worker's own.

        calls: Repeats what found no database.

        events: The attempt's events, in whose order content is stored.
    """

    def __init__(self, task: Task, services: AttemptServices, calls: FencedCalls, events: EventWriter) -> None:
        self._task = task
        self._lease = Lease.of(task)
        self._services = services
        self._calls = calls
        self._events = events

    async def store_content(self, item: NewContent) -> str:
        """Store a content item after all events that were added before it, and return its id."""
        store = partial(self._services.contents.store, self._lease, self._task, item)
        # Its event is numbered: content and the events around it are in one order for every reader.
        return (await self._events.write_numbered(store)).id

    async def begin_generation(self, operation: str, provider: str, source_data: Mapping[str, JsonValue]) -> None:
        """Record the generation that this task makes."""
        begin = partial(self._services.contents.begin, self._lease, self._task)
        await self._events.in_turn(
            partial(begin, operation=operation, provider=provider, source_data=source_data),
        )

    async def read_content(self, content_id: str, target: Path) -> None:
        """Write the bytes of a content item of the task's owner to *target*."""
        await self._calls.make(partial(self._write_content, content_id, target))

    async def _write_content(self, content_id: str, target: Path) -> None:
        contents = self._services.contents
        # By the owner of the task: an id in a payload opens nobody else's content.
        content = await contents.get(content_id, owner_id=self._task.owner_id)
        file = await asyncio.to_thread(target.open, "wb")
        try:
            async for part in contents.read(content):
                await asyncio.to_thread(file.write, part)
        finally:
            await asyncio.to_thread(file.close)

    async def store_file(self, file: TaskFile) -> str:
        """Write a file of the run that the task works for, and return its id."""
        return (await self._calls.make(partial(self._services.files.store, self._lease, self._task, file))).id

    async def record_usage(self, key: str, usage: CallUsage) -> str:
        """Record a call to a model under *key*, and return the id of what was recorded."""
        record = partial(self._services.tokens.record_for_task, self._lease, self._task, key, usage)
        return await self._calls.make(record)

    async def get_step(self, key: str) -> tuple[bool, JsonValue]:
        """Return whether an attempt of the task has finished the step *key*, and its value."""
        return await self._calls.make(partial(self._services.queue.get_step, self._lease, key))

    async def save_step(self, key: str, value: JsonValue) -> None:
        """Save the value of the step *key*."""
        await self._calls.make(partial(self._services.queue.save_step, self._lease, key, value))

    async def spawn_child(
        self, key: str, actor: str, payload: Mapping[str, JsonValue], queue: str | None, priority: int | None
    ) -> str:
        """Enqueue a child as its actor was announced, once over all attempts, and return its id."""
        # As it was announced, and not as this worker knows it: another version of the actor may run the child.
        announced = await self._calls.make(partial(self._services.registry.actor, actor))
        priority = self._task.priority if priority is None else priority
        child = announced.new_task(payload, owner_id=self._task.owner_id, queue=queue, priority=priority)
        return await self._calls.make(partial(self._services.queue.spawn, self._lease, key, child))

    async def get_children(self) -> list[Task]:
        """Return the task's children, oldest first."""
        children = partial(self._services.queue.children, self._task.id, owner_id=self._task.owner_id)
        return await self._calls.make(children)
