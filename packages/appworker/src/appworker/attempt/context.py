"""The context of an attempt: called by the actor in its own loop or thread, and works in the control loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import JsonValue

from appdb import Task
from appdb.host import MAX_CHUNK_BYTES, check_size
from appdb.models import CallUsage, NewContent, Origin, TaskFile
from appworker.attempt.attempt import Attempt
from appworker.errors import SuspendedError
from appworker.execution.cancellable import CancellableContext, ContextFacts
from appworker.execution.notices import progress_of
from appworker.execution.steps import take_step

T = TypeVar("T")
MAX_PENDING = 2_000
"""Chunks that an actor may be ahead of the database before ``emit`` waits."""


class AttemptContext(CancellableContext):
    """The ``ActorContext`` that actors get.

    Args:
        attempt: The attempt.
        timeout: How long the attempt may run from now.
        control_loop: The worker's event loop, where all writing happens.
    """

    def __init__(self, attempt: Attempt, timeout: timedelta, control_loop: asyncio.AbstractEventLoop) -> None:
        task = attempt.task
        told = ContextFacts(
            task_id=task.id,
            owner_id=task.owner_id,
            attempt=task.attempt,
            idempotency_key=task.id,
            # By this host's clock, since the actor compares it with the same one.
            deadline=datetime.now(UTC) + timeout,
            origin=Origin.of(task),
            actor=task.actor,
        )
        super().__init__(told, attempt.stop)
        self._attempt = attempt
        self._control_loop = control_loop

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

    async def read_content(self, content_id: str, target: Path) -> None:
        """Write the bytes of a content item to a file."""
        self.check_cancelled()
        await self._on_control_loop(self._attempt.operations.read_content(content_id, target))

    async def store_file(self, file: TaskFile) -> str:
        """Write a run file."""
        self.check_cancelled()
        return await self._on_control_loop(self._attempt.operations.store_file(file))

    async def record_usage(self, key: str, usage: CallUsage) -> str:
        """Record a call, also when the attempt must end: it was made, and the fence tells whether it still counts."""
        recorded = await self._on_control_loop(self._attempt.operations.record_usage(key, usage))
        self.check_cancelled()
        return recorded

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
