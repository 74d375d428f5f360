"""The context of an attempt: called by the actor in its own loop or thread, and works in the control loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import JsonValue

from appdb import Task
from appdb.host import MAX_CHUNK_BYTES, check_size
from appdb.models import NewContent
from appworker.attempt.attempt import Attempt
from appworker.errors import SuspendedError, TaskStoppedError
from appworker.execution.notices import progress_of
from appworker.execution.steps import take_step

T = TypeVar("T")
MAX_PENDING = 2_000
"""Chunks that an actor may be ahead of the database before ``emit`` waits."""


class AttemptContext:
    """The ``ActorContext`` that actors get.

    Args:
        attempt: The attempt.
        timeout: How long the attempt may run from now.
        control_loop: The worker's event loop, where all writing happens.
    """

    def __init__(self, attempt: Attempt, timeout: timedelta, control_loop: asyncio.AbstractEventLoop) -> None:
        self.task_id = attempt.task.id
        self.owner_id = attempt.task.owner_id
        self.attempt = attempt.task.attempt
        self.idempotency_key = attempt.task.id
        # By this host's clock, since the actor compares it with the same one.
        self.deadline: datetime = datetime.now(UTC) + timeout
        self.logger = logging.LoggerAdapter(
            logging.getLogger(f"appworker.actor.{attempt.task.actor}"),
            {"task_id": self.task_id, "attempt": self.attempt},
        )
        self._attempt = attempt
        self._control_loop = control_loop

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
        self._attempt.events.add_progress(progress_of(fraction, message))

    async def progress(self, fraction: float, message: str = "") -> None:
        """Say how far the work is."""
        self.report(fraction, message)
        # An actor that only reports would else never let its loop run.
        await asyncio.sleep(0)

    async def emit(self, data: Mapping[str, JsonValue]) -> None:
        """Send partial output."""
        self.check_cancelled()
        size = check_size("chunk", data, MAX_CHUNK_BYTES)
        # Backpressure: an actor that is faster than the database would fill the memory.
        if self._attempt.events.add_chunk(dict(data), size) > MAX_PENDING:
            await self._on_control_loop(self._attempt.events.flush())

    async def describe(self, *, operation: str, provider: str, source_data: Mapping[str, JsonValue]) -> None:
        """Record what is being made and by whom."""
        self.check_cancelled()
        await self._on_control_loop(self._attempt.operations.begin_generation(operation, provider, source_data))

    async def store(self, item: NewContent) -> str:
        """Store a content item."""
        self.check_cancelled()
        return await self._on_control_loop(self._attempt.operations.store_content(item))

    async def get_step(self, key: str) -> tuple[bool, JsonValue]:
        """Return whether a step is remembered, and what it returned."""
        self.check_cancelled()
        return await self._on_control_loop(self._attempt.operations.get_step(key))

    async def save_step(self, key: str, value: JsonValue) -> None:
        """Remember what a step returned, also when the attempt must end: the fence tells whether it still may."""
        await self._on_control_loop(self._attempt.operations.save_step(key, value))

    async def step(self, key: str, work: Callable[[], Awaitable[JsonValue] | JsonValue]) -> JsonValue:
        """Run *work* once, and save what it returned."""
        return await take_step(self, key, work)

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
        self.check_cancelled()
        return await self._on_control_loop(self._attempt.operations.spawn_child(key, actor, payload, queue, priority))

    async def join(self) -> list[dict[str, JsonValue]]:
        """Return what became of the children."""
        self.check_cancelled()
        children = await self._on_control_loop(self._attempt.operations.get_children())
        # The attempt ends, so that a parent that waits for its children holds no slot which they need.
        if not all(child.state.final for child in children):
            raise SuspendedError(self.task_id)
        return [_ended(child) for child in children]

    async def _on_control_loop(self, work: Coroutine[Any, Any, T]) -> T:
        # A write that has begun runs to its end, also when the actor is cancelled meanwhile: the numbers depend on it.
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_to_its_end(work), self._control_loop))


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    # The shield: the actor's cancellation reaches this coroutine, and must not reach the write.
    return await asyncio.shield(work)


def _ended(child: Task) -> dict[str, JsonValue]:
    error = None if child.error is None else child.error.model_dump(mode="json", include={"type", "message"})
    return {"task_id": child.id, "actor": child.actor, "state": child.state, "result": child.result, "error": error}
