"""One attempt of one task, seen from the worker's loop: every write of it, in order, behind the fence."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from pydantic import JsonValue

from appdb import (
    ContentRepository,
    DatabaseUnavailableError,
    InvalidDataError,
    Lease,
    LeaseLostError,
    NewEvent,
    Progress,
    Task,
    TaskEventType,
    TaskQueue,
)
from appdb.models.content import NewContent
from appworker.errors import TaskStoppedError
from appworker.stop import StopReason, StopSwitch

logger = logging.getLogger(__name__)
T = TypeVar("T")

FLUSH_DELAY = timedelta(milliseconds=50)
"""How long what an actor notes may wait for more of it, so that both go in one write."""
MAX_BATCH = 200
MAX_PENDING = 2_000
"""Events that an actor may be ahead of the database before ``emit`` waits."""
RETRY_PAUSE_SECONDS = (0.05, 0.5)


class Attempt:
    """
    Holds a lease, numbers the events, and writes.

    The actor's thread only adds to a buffer; all writing happens in the worker's loop, one write at a time, so the
    numbers are dense and a repeated write is recognised. A write that found no database is repeated until it is
    settled, or until the lease may have run out by this host's monotonic clock.

    Args:
        task: The task as it was claimed.

        queue: Where it is written to.

        contents: Where its content is written to.

        claimed_at: ``time.monotonic()`` when the claim was asked for: the lease cannot have begun earlier.
    """

    def __init__(self, task: Task, queue: TaskQueue, contents: ContentRepository, *, claimed_at: float) -> None:
        self.task = task
        self.lease = Lease.of(task)
        self.stop = StopSwitch()
        self.renewed_at = claimed_at
        self._queue = queue
        self._contents = contents
        self._loop = asyncio.get_running_loop()
        self._writing = asyncio.Lock()
        self._seq = task.event_count
        self._buffer_lock = threading.Lock()
        data: dict[str, JsonValue] = {"attempt": task.attempt, "worker_id": self.lease.worker_id}
        self._pending: list[NewEvent] = [NewEvent(type=TaskEventType.STARTED, data=data)]
        self._progress: Progress | None = None
        self._closing = asyncio.Event()
        self._dirty = asyncio.Event()
        self._dirty.set()

    def note_progress(self, progress: Progress) -> None:
        """Keep *progress* as the latest, from any thread."""
        with self._buffer_lock:
            self._progress = progress
        self._loop.call_soon_threadsafe(self._dirty.set)

    def note_event(self, event: NewEvent) -> int:
        """Keep *event* to be written, from any thread, and return how many wait."""
        with self._buffer_lock:
            self._pending.append(event)
            waiting = len(self._pending)
        self._loop.call_soon_threadsafe(self._dirty.set)
        return waiting

    async def write_behind(self) -> None:
        """Write what the actor noted, a moment later and in batches, until ``close``; an error stops the attempt."""
        try:
            while not self._closing.is_set():
                await self._dirty.wait()
                with suppress(TimeoutError):
                    async with asyncio.timeout(FLUSH_DELAY.total_seconds()):
                        await self._closing.wait()
                        return
                await self.flush()
        except BaseException:
            self.stop.throw(StopReason.REFUSED)
            raise

    def close(self) -> None:
        """End ``write_behind``; what is left is written together with the outcome, which saves short tasks a write."""
        self._closing.set()
        self._dirty.set()

    async def flush(self) -> None:
        """Write everything that was noted so far.

        Raises:
            TaskStoppedError: The lease is lost.
        """
        async with self._writing:
            await self._flush()

    async def _flush(self) -> None:
        if rest := await self._write_full_batches():
            await self._write(rest)

    async def _write_full_batches(self) -> list[NewEvent]:
        """Write until less than a batch is left, and return that."""
        while True:
            events, more = self._take_batch()
            if not more:
                return events
            await self._write(events)

    async def _write(self, events: list[NewEvent]) -> None:
        await self._persist(partial(self._queue.record, self.lease, events, seq=self._seq))
        self._seq += len(events)

    def _take_batch(self) -> tuple[list[NewEvent], bool]:
        """Return what was noted, at most a batch, the latest progress last; and whether more events wait."""
        self._dirty.clear()
        with self._buffer_lock:
            events, self._pending = self._pending[:MAX_BATCH], self._pending[MAX_BATCH:]
            progress, self._progress = self._progress, None
            more = bool(self._pending)
        if progress is not None:
            events.append(NewEvent(type=TaskEventType.PROGRESS, data=progress.model_dump()))
        return events, more

    async def store(self, item: NewContent) -> str:
        """Store a content item, after everything that was noted before it, and return its id."""
        async with self._writing:
            await self._flush()
            content = await self._persist(partial(self._contents.store, self.lease, self.task, item, seq=self._seq))
            self._seq += 1
        return content.id

    async def describe(self, operation: str, provider: str, source_data: Mapping[str, JsonValue]) -> None:
        """Record the generation that this task makes."""
        async with self._writing:
            begin = partial(self._contents.begin, operation=operation, provider=provider, source_data=source_data)
            await self._persist(partial(begin, self.lease, self.task))

    async def complete(self, result: Mapping[str, Any] | None) -> None:
        """End the task as completed, with everything that was noted."""
        await self._settle(partial(self._queue.complete, self.lease, result))

    async def fail(self, kind: str, message: str, retry_in: timedelta | None) -> None:
        """End the attempt with an error, with everything that was noted."""
        await self._settle(partial(self._queue.fail, self.lease, kind, message, retry_in=retry_in))

    async def release(self) -> None:
        """Hand the task back; the attempt does not count."""
        await self._settle(partial(self._queue.release, self.lease))

    async def suspend(self) -> None:
        """Hand the task back until its children are final; the attempt does not count."""
        await self._settle(partial(self._queue.release, self.lease))

    async def _settle(self, settle: Callable[..., Awaitable[None]]) -> None:
        async with self._writing:
            rest = await self._write_full_batches()
            try:
                await self._persist(partial(settle, events=rest))
            except InvalidDataError:
                # Nothing was written; another outcome follows, and the log must not have lost what led to it.
                with self._buffer_lock:
                    self._pending = [*rest, *self._pending]
                raise

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
                    extra={"task_id": self.task.id, "attempt": self.task.attempt, "error": str(exc)},
                )
                await asyncio.sleep(random.uniform(*RETRY_PAUSE_SECONDS))
