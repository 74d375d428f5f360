"""The actor's side of an attempt: lives in the actor's thread, and reaches the worker's loop only through here."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import JsonValue

from appdb import NewEvent, Progress, TaskEventType
from appdb.models.content import NewContent
from appdb.queue.journal import check_events
from appdb.queue.task_queue import storable_text
from appdb.utils import utc_now
from appworker.attempt import MAX_PENDING, Attempt
from appworker.errors import AppWorkerError, TaskStoppedError

T = TypeVar("T")
MAX_MESSAGE_CHARACTERS = 500


class AttemptContext:
    """The ``ActorContext`` that actors get.

    Args:
        attempt: What it speaks for.
        timeout: How long the attempt may run from now.
        home: The worker's event loop, where all writing happens.
    """

    def __init__(self, attempt: Attempt, timeout: timedelta, home: asyncio.AbstractEventLoop) -> None:
        self.task_id = attempt.task.id
        self.owner_id = attempt.task.owner_id
        self.attempt = attempt.task.attempt
        self.idempotency_key = attempt.task.id
        self.deadline: datetime = utc_now() + timeout
        self.logger = logging.LoggerAdapter(
            logging.getLogger(f"appworker.actor.{attempt.task.actor}"),
            {"task_id": self.task_id, "attempt": self.attempt},
        )
        self._attempt = attempt
        self._home = home
        self._remembered: dict[str, JsonValue] = {}

    @property
    def cancelled(self) -> bool:
        """Whether the attempt must end."""
        return self._attempt.stop.reason is not None

    def check_cancelled(self) -> None:
        """Raise ``TaskStoppedError`` when the attempt must end."""
        reason = self._attempt.stop.reason
        if reason is not None:
            raise TaskStoppedError(self.task_id, reason)

    def report(self, fraction: float, message: str = "") -> None:
        """Say how far the work is."""
        self.check_cancelled()
        text = storable_text(message)[:MAX_MESSAGE_CHARACTERS]
        self._attempt.note_progress(Progress(fraction=round(min(max(fraction, 0.0), 1.0), 4), message=text))

    async def progress(self, fraction: float, message: str = "") -> None:
        """Say how far the work is."""
        self.report(fraction, message)
        await asyncio.sleep(0)

    async def emit(self, data: Mapping[str, JsonValue]) -> None:
        """Send partial output."""
        self.check_cancelled()
        event = NewEvent(type=TaskEventType.CHUNK, data=dict(data))
        check_events([event])
        if self._attempt.note_event(event) > MAX_PENDING:
            await self._at_home(self._attempt.flush())

    async def describe(self, *, operation: str, provider: str, source_data: Mapping[str, JsonValue]) -> None:
        """Record what is being made and by whom."""
        self.check_cancelled()
        await self._at_home(self._attempt.describe(operation, provider, source_data))

    async def store(self, item: NewContent) -> str:
        """Store a content item."""
        self.check_cancelled()
        return await self._at_home(self._attempt.store(item))

    async def recall(self, key: str) -> tuple[bool, JsonValue]:
        """Return whether a step is remembered, and what it returned."""
        self.check_cancelled()
        return key in self._remembered, self._remembered.get(key)

    async def remember(self, key: str, value: JsonValue) -> None:
        """Remember what a step returned."""
        self.check_cancelled()
        self._remembered[key] = value

    async def step(self, key: str, work: Callable[[], Awaitable[JsonValue] | JsonValue]) -> JsonValue:
        """Run *work* once, and remember what it returned."""
        known, value = await self.recall(key)
        if not known:
            made = work()
            value = await made if inspect.isawaitable(made) else made
            await self.remember(key, value)
        return value

    async def spawn(
        self,
        key: str,
        actor: str,
        payload: Mapping[str, JsonValue],
        *,
        queue: str | None = None,
        priority: int | None = None,
    ) -> str:
        """Enqueue a child task."""
        raise AppWorkerError(f"{self.task_id}: no child {key!r} of {actor} ({len(payload)}, {queue}, {priority})")

    async def join(self) -> list[dict[str, JsonValue]]:
        """Return what became of the children."""
        return []

    async def _at_home(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_to_its_end(work), self._home))


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Await *work*, which goes on when nobody waits any more: of a write that is cut off, nobody knows the number."""
    return await asyncio.shield(work)
