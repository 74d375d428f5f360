"""What plain actors get: the context's async methods, run in the worker's event loop while the caller waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any, TypeVar

from pydantic import JsonValue

from appdb.host import check_key
from appdb.models import NewContent
from appworker.execution.executor_context import ExecutorContext
from appworker.execution.steps import as_json, remember

T = TypeVar("T")


class BlockingContext:
    """The ``SyncContext`` that plain functions get.

    Args:
        surface: What does the work.
        home: The event loop that the work is done in; never that of the calling thread.
    """

    def __init__(self, surface: ExecutorContext, home: asyncio.AbstractEventLoop) -> None:
        self.task_id = surface.task_id
        self.owner_id = surface.owner_id
        self.attempt = surface.attempt
        self.idempotency_key = surface.idempotency_key
        self.deadline: datetime = surface.deadline
        self.logger = surface.logger
        self._surface = surface
        self._home = home

    @property
    def cancelled(self) -> bool:
        """Whether the attempt must end."""
        return self._surface.cancelled

    def check_cancelled(self) -> None:
        """Raise ``TaskStoppedError`` when the attempt must end."""
        self._surface.check_cancelled()

    def report(self, fraction: float, message: str = "") -> None:
        """Say how far the work is."""
        self._surface.report(fraction, message)

    def progress(self, fraction: float, message: str = "") -> None:
        """Say how far the work is."""
        self._surface.report(fraction, message)

    def emit(self, data: Mapping[str, JsonValue]) -> None:
        """Send partial output."""
        self._wait(self._surface.emit(data))

    def describe(self, *, operation: str, provider: str, source_data: Mapping[str, JsonValue]) -> None:
        """Record what is being made and by whom."""
        self._wait(self._surface.describe(operation=operation, provider=provider, source_data=source_data))

    def store(self, item: NewContent) -> str:
        """Store a content item."""
        return self._wait(self._surface.store(item))

    def step(self, key: str, work: Callable[[], JsonValue]) -> JsonValue:
        """Run *work* once over all attempts, in the calling thread."""
        check_key(key)
        known, value = self._wait(self._surface.recall(key))
        if not known:
            value = as_json(key, work())
            self._wait(remember(self._surface, key, value))
        return value

    def spawn(
        self,
        key: str,
        actor: str,
        payload: Mapping[str, JsonValue],
        *,
        queue: str | None = None,
        priority: int | None = None,
    ) -> str:
        """Enqueue a child task once over all attempts."""
        return self._wait(self._surface.spawn(key, actor, payload, queue=queue, priority=priority))

    def join(self) -> list[dict[str, JsonValue]]:
        """Return what became of all spawned children."""
        return self._wait(self._surface.join())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._home).result()
