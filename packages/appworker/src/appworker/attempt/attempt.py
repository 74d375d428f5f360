"""One attempt of one task, seen from the worker's loop: every write of it, in order, behind the fence."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from pydantic import JsonValue

from appdb import (
    AttemptWrite,
    Completed,
    ContentRepository,
    DatabaseUnavailableError,
    Failed,
    InvalidDataError,
    Lease,
    LeaseLostError,
    NewEvent,
    Outcome,
    Progress,
    RegistryRepository,
    Released,
    Suspended,
    Task,
    TaskEventType,
    TaskQueue,
)
from appdb.models import NewContent
from appworker.attempt.commit_batcher import CommitBatcher
from appworker.attempt.event_buffer import Chunk, EventBuffer
from appworker.attempt.flusher import Flusher
from appworker.errors import TaskStoppedError
from appworker.execution.stop import StopReason, StopSwitch
from appworker.health.metrics import Ending

logger = logging.getLogger(__name__)
T = TypeVar("T")

START_DELAY_SECONDS = 0.05
"""How long the start of an attempt may wait to be written: a task that ends sooner saves a write."""
CHUNK_DELAY_SECONDS = 0.015
PROGRESS_DELAY_SECONDS = 0.1
RETRY_PAUSE_SECONDS = (0.05, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptServices:
    """What every attempt of a worker writes with."""

    queue: TaskQueue
    contents: ContentRepository
    registry: RegistryRepository
    outbox: CommitBatcher
    flusher: Flusher


class Attempt:
    """
    Holds a lease, numbers the events, and writes.

    The actor's thread only adds to a buffer; all writing happens in the worker's loop, one write at a time, so the
    numbers are dense and a repeated write is recognised. A write that found no database is repeated until it is
    settled, or until the lease may have run out by this host's monotonic clock.

    Args:
        task: The task as it was claimed.

        desk: What it writes with.

        claimed_at: ``time.monotonic()`` when the claim was asked for: the lease cannot have begun earlier.
    """

    def __init__(self, task: Task, desk: AttemptServices, *, claimed_at: float) -> None:
        self.task = task
        self.lease = Lease.of(task)
        self.stop = StopSwitch()
        self.renewed_at = claimed_at
        self.ending = Ending.UNSETTLED
        self.refusal: Exception | None = None
        """Why the database does not take what the actor notes."""
        self._desk = desk
        self._loop = asyncio.get_running_loop()
        self._writing = asyncio.Lock()
        self._seq = task.event_count
        self._notes = EventBuffer()
        self._asked = False

    @property
    def names(self) -> dict[str, object]:
        """What a line of the log calls it by."""
        return {"task_id": self.task.id, "actor": self.task.actor, "attempt": self.task.attempt}

    @property
    def lease_lost(self) -> bool:
        """Whether the attempt was told that its lease is lost."""
        return self.stop.reason is StopReason.LEASE_LOST

    def lose_lease(self) -> None:
        """Stop the attempt, since its lease is or may be lost."""
        self.stop.throw(StopReason.LEASE_LOST)

    def begin(self) -> None:
        """Note that the actor starts."""
        data: dict[str, JsonValue] = {"attempt": self.task.attempt, "worker_id": self.lease.worker_id}
        self._notes.event(NewEvent(type=TaskEventType.STARTED, data=data))
        self._desk.flusher.soon(self, START_DELAY_SECONDS)

    def add_progress(self, progress: Progress) -> None:
        """Keep *progress* as the latest, from any thread."""
        self._notes.progress(progress)
        self._ask(PROGRESS_DELAY_SECONDS)

    def add_chunk(self, chunk: Chunk, size: int) -> int:
        """Keep *chunk*, of *size* bytes, to be written, from any thread, and return how many wait."""
        waiting = self._notes.chunk(chunk, size)
        self._ask(CHUNK_DELAY_SECONDS)
        return waiting

    def _ask(self, delay_seconds: float) -> None:
        if not self._asked:
            # Written again only by the loop, before it takes the notes: a note is never left behind.
            self._asked = delay_seconds == CHUNK_DELAY_SECONDS
            self._loop.call_soon_threadsafe(self._desk.flusher.soon, self, delay_seconds)

    async def write_behind(self) -> None:
        """Write what was noted so far; an error stops the attempt."""
        try:
            await self.flush()
        except TaskStoppedError:
            return  # the switch is thrown: whoever performs the attempt knows
        except Exception as exc:  # noqa: BLE001 - whatever keeps its notes from being written must end the attempt
            self.refusal = exc
            self._notes.clear()
            self.stop.throw(StopReason.REFUSED)

    async def flush(self) -> None:
        """Write everything that was noted so far.

        Raises:
            TaskStoppedError: The lease is lost.
        """
        async with self._writing:
            await self._flush()

    async def _flush(self) -> None:
        self._asked = False
        if rest := await self._write_full_batches():
            await self._write(rest)

    async def _write_full_batches(self) -> list[NewEvent]:
        """Write until less than a batch is left, and return that."""
        while True:
            events, more = self._notes.take()
            if not more:
                return events
            await self._write(events)

    async def _write(self, events: Sequence[NewEvent], outcome: Outcome | None = None) -> None:
        write = AttemptWrite(lease=self.lease, events=events, seq=self._seq, outcome=outcome)
        await self._persist(partial(self._desk.outbox.write, write))
        self._seq += len(events)

    async def store(self, item: NewContent) -> str:
        """Store a content item, after everything that was noted before it, and return its id."""
        async with self._writing:
            await self._flush()
            store = partial(self._desk.contents.store, self.lease, self.task, item, seq=self._seq)
            content = await self._persist(store)
            self._seq += 1
        return content.id

    async def describe(self, operation: str, provider: str, source_data: Mapping[str, JsonValue]) -> None:
        """Record the generation that this task makes."""
        async with self._writing:
            begin = partial(self._desk.contents.begin, operation=operation, provider=provider, source_data=source_data)
            await self._persist(partial(begin, self.lease, self.task))

    async def recall(self, key: str) -> tuple[bool, JsonValue]:
        """Return whether an attempt of the task finished the step *key*, and what it gave."""
        return await self._persist(partial(self._desk.queue.get_step, self.lease, key))

    async def remember(self, key: str, value: JsonValue) -> None:
        """Keep what the step *key* gave."""
        await self._persist(partial(self._desk.queue.save_step, self.lease, key, value))

    async def spawn(
        self, key: str, actor: str, payload: Mapping[str, JsonValue], queue: str | None, priority: int | None
    ) -> str:
        """Enqueue a child as its actor was announced, once over all attempts, and return its id."""
        announced = await self._persist(partial(self._desk.registry.actor, actor))
        priority = self.task.priority if priority is None else priority
        child = announced.new_task(payload, owner_id=self.task.owner_id, queue=queue, priority=priority)
        return await self._persist(partial(self._desk.queue.spawn, self.lease, key, child))

    async def children(self) -> list[Task]:
        """Return what the task has spawned, oldest first."""
        return await self._persist(partial(self._desk.queue.children, self.task.id, owner_id=self.task.owner_id))

    async def complete(self, result: Mapping[str, Any] | None) -> None:
        """End the task as completed, with everything that was noted."""
        await self._settle(Completed(result=result), Ending.COMPLETED)

    async def fail(self, kind: str, message: str, retry_in: timedelta | None) -> None:
        """End the attempt with an error, with everything that was noted."""
        ending = Ending.FAILED if retry_in is None else Ending.RETRYING
        await self._settle(Failed(kind=kind, message=message, retry_in=retry_in), ending)

    async def release(self) -> None:
        """Hand the task back; the attempt does not count."""
        await self._settle(Released(), Ending.RELEASED)

    async def suspend(self) -> None:
        """Let the task wait for its children; the attempt does not count."""
        await self._settle(Suspended(), Ending.SUSPENDED)

    async def _settle(self, outcome: Outcome, ending: Ending) -> None:
        self._desk.flusher.forget(self)
        async with self._writing:
            rest = await self._write_full_batches()
            try:
                await self._write(rest, outcome)
            except InvalidDataError:
                # Nothing was written; another outcome follows, and the log must not have lost what led to it.
                self._notes.put_back(rest)
                raise
        self.ending = ending

    async def _persist(self, write: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await write()
            except LeaseLostError as exc:
                self.stop.throw(StopReason.LEASE_LOST)
                raise TaskStoppedError(self.task.id, StopReason.LEASE_LOST) from exc
            except DatabaseUnavailableError as exc:
                if self.stop.reason is StopReason.LEASE_LOST:
                    raise TaskStoppedError(self.task.id, StopReason.LEASE_LOST) from exc
                logger.warning(
                    "a write found no database and is repeated",
                    extra={**self.names, "error": str(exc)},
                )
                await asyncio.sleep(random.uniform(*RETRY_PAUSE_SECONDS))
