"""The context of plain actors: runs the async methods of another context in its event loop, and waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import JsonValue

from appdb.host import check_key
from appdb.models import CallUsage, NewContent, TaskFile
from appworker.execution.executor_context import ExecutorContext
from appworker.execution.steps import as_json, save_step

T = TypeVar("T")


class BlockingContext:
    """The ``SyncContext`` that plain functions get.

    Args:
        context: The context that does the work.
        context_loop: The event loop of *context*; never that of the calling thread, which would wait for itself.
    """

    def __init__(self, context: ExecutorContext, context_loop: asyncio.AbstractEventLoop) -> None:
        self.task_id = context.task_id
        self.owner_id = context.owner_id
        self.attempt = context.attempt
        self.idempotency_key = context.idempotency_key
        self.deadline: datetime = context.deadline
        self.origin = context.origin
        self.logger = context.logger
        self._context = context
        self._context_loop = context_loop

    @property
    def cancelled(self) -> bool:
        """Whether the attempt must end."""
        return self._context.cancelled

    def check_cancelled(self) -> None:
        """Raise ``TaskStoppedError`` when the attempt must end."""
        self._context.check_cancelled()

    def report(self, fraction: float, message: str = "") -> None:
        """Say how far the work is."""
        self._context.report(fraction, message)

    def progress(self, fraction: float, message: str = "") -> None:
        """Say how far the work is."""
        self._context.report(fraction, message)

    def emit(self, data: Mapping[str, JsonValue]) -> None:
        """Send partial output."""
        self._wait(self._context.emit(data))

    def describe(self, *, operation: str, provider: str, source_data: Mapping[str, JsonValue]) -> None:
        """Record what is being made and by whom."""
        self._wait(self._context.describe(operation=operation, provider=provider, source_data=source_data))

    def store(self, item: NewContent) -> str:
        """Store a content item."""
        return self._wait(self._context.store(item))

    def read_content(self, content_id: str, target: Path) -> None:
        """Write the bytes of a content item to a file."""
        self._wait(self._context.read_content(content_id, target))

    def store_file(self, file: TaskFile) -> str:
        """Write a run file."""
        return self._wait(self._context.store_file(file))

    def record_usage(self, key: str, usage: CallUsage) -> str:
        """Record a call to a model."""
        return self._wait(self._context.record_usage(key, usage))

    def step(self, key: str, work: Callable[[], JsonValue]) -> JsonValue:
        """Run *work* once over all attempts, in the calling thread."""
        # Before the work is done, which may be expensive.
        check_key(key)
        known, value = self._wait(self._context.get_step(key))
        if not known:
            value = as_json(key, work())
            self._wait(save_step(self._context, key, value))
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
        return self._wait(self._context.spawn(key, actor, payload, queue=queue, priority=priority))

    def join(self) -> list[dict[str, JsonValue]]:
        """Return what became of all spawned children."""
        return self._wait(self._context.join())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._context_loop).result()
