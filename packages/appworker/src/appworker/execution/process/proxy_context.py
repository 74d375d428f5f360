"""The context inside an actor's process: has the worker make its calls."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue

from appdb.models import CallUsage, NewContent, Origin, TaskFile
from appworker.execution.cancellable import CancellableContext, ContextFacts
from appworker.execution.notices import progress_of
from appworker.execution.process.messages import content_to_json, file_to_json, usage_to_json
from appworker.execution.process.worker_pipe import ActorOrder, WorkerPipe
from appworker.execution.steps import take_step


class ProxyContext(CancellableContext):
    """The ``ExecutorContext`` of a process.

    Args:
        order: The worker's order.
        actor: The actor's name.
        pipe: Reaches the worker.
    """

    def __init__(self, order: ActorOrder, actor: str, pipe: WorkerPipe) -> None:
        facts = order.facts
        told = ContextFacts(
            task_id=facts["task_id"],
            owner_id=facts["owner_id"],
            attempt=facts["attempt"],
            idempotency_key=facts["idempotency_key"],
            deadline=datetime.fromisoformat(facts["deadline"]),
            origin=Origin(**facts["origin"]),
            actor=actor,
        )
        super().__init__(told, order.stop)
        self._pipe = pipe

    def report(self, fraction: float, message: str = "") -> None:
        """Say how far the work is."""
        self.check_cancelled()
        progress = progress_of(fraction, message)
        self._pipe.report(progress.fraction, progress.message)

    async def progress(self, fraction: float, message: str = "") -> None:
        """Say how far the work is."""
        self.report(fraction, message)
        await asyncio.sleep(0)

    async def emit(self, data: Mapping[str, JsonValue]) -> None:
        """Send partial output."""
        await self._call("emit", data=dict(data))

    async def describe(self, *, operation: str, provider: str, source_data: Mapping[str, JsonValue]) -> None:
        """Record what is being made and by whom."""
        await self._call("describe", operation=operation, provider=provider, source_data=dict(source_data))

    async def store(self, item: NewContent) -> str:
        """Store a content item."""
        told, blob = content_to_json(item)
        return str(await self._call("store", blob, item=told))

    async def read_content(self, content_id: str, target: Path) -> None:
        """Write the bytes of a content item to a file; the worker does, which is on the same machine."""
        await self._call("read_content", content_id=content_id, target=os.fspath(target))

    async def store_file(self, file: TaskFile) -> str:
        """Write a run file."""
        told, blob = file_to_json(file)
        return str(await self._call("store_file", blob, file=told))

    async def record_usage(self, key: str, usage: CallUsage) -> str:
        """Record a call to a model, also when the attempt must end: the worker's side tells."""
        return str(await self._pipe.call("record_usage", {"key": key, "usage": usage_to_json(usage)}))

    async def get_step(self, key: str) -> tuple[bool, JsonValue]:
        """Return whether an attempt has finished the step *key*, and its value."""
        known, value = cast("list[JsonValue]", await self._call("get_step", key=key))
        return bool(known), value

    async def save_step(self, key: str, value: JsonValue) -> None:
        """Save the value of a step, also when the attempt must end: the fence tells whether it still may."""
        await self._pipe.call("save_step", {"key": key, "value": value})

    async def step(self, key: str, work: Callable[[], Awaitable[JsonValue] | JsonValue]) -> JsonValue:
        """Run *work* here, once over all attempts, and return what it returned, now or earlier."""
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
        """Enqueue a child task once over all attempts."""
        called = self._call("spawn", key=key, actor=actor, payload=dict(payload), queue=queue, priority=priority)
        return str(await called)

    async def join(self) -> list[dict[str, JsonValue]]:
        """Return what became of all spawned children."""
        return cast("list[dict[str, JsonValue]]", await self._call("join"))

    async def _call(self, method: str, blob: bytes = b"", **arguments: Any) -> JsonValue:
        self.check_cancelled()
        return await self._pipe.call(method, arguments, blob)
