"""A context that records all calls of an actor, for tests of executors without a database."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue

from appdb import NotFoundError
from appdb.models import CallUsage, NewContent, Origin, TaskFile
from appworker import Actor
from appworker.errors import SuspendedError, TaskStoppedError
from appworker.execution.job import Job
from appworker.execution.stop import StopSwitch


@dataclass(kw_only=True)
class RecordingContext:
    """Keeps what it is told; ``children`` are the results that ``join`` returns, or ``None`` while they run."""

    stop: StopSwitch = field(default_factory=StopSwitch)
    task_id: str = "task-1"
    owner_id: str = "user-1"
    attempt: int = 2
    idempotency_key: str = "key-1"
    deadline: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(hours=1))
    origin: Origin = field(default_factory=Origin)
    logger: logging.LoggerAdapter[logging.Logger] = field(
        default_factory=lambda: logging.LoggerAdapter(logging.getLogger("test"), {})
    )
    said: list[Any] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    steps: dict[str, JsonValue] = field(default_factory=dict)
    children: list[dict[str, JsonValue]] | None = None

    @property
    def cancelled(self) -> bool:
        return self.stop.reason is not None

    def check_cancelled(self) -> None:
        if self.stop.reason is not None:
            raise TaskStoppedError(self.task_id, self.stop.reason)

    def report(self, fraction: float, message: str = "") -> None:
        self.check_cancelled()
        self.said.append((fraction, message))

    async def progress(self, fraction: float, message: str = "") -> None:
        self.report(fraction, message)

    async def emit(self, data: Mapping[str, JsonValue]) -> None:
        self.check_cancelled()
        self.said.append(dict(data))

    async def describe(self, *, operation: str, provider: str, source_data: Mapping[str, JsonValue]) -> None:
        self.check_cancelled()
        self.said.append((operation, provider, dict(source_data)))

    async def store(self, item: NewContent) -> str:
        self.check_cancelled()
        self.said.append((item.key, item.kind, item.seed))
        self.stored[item.key] = item.data if isinstance(item.data, bytes) else item.data.read_bytes()
        return f"content-{item.key}"

    async def read_content(self, content_id: str, target: Path) -> None:
        self.check_cancelled()
        if content_id not in self.contents:
            raise NotFoundError("content", content_id)
        target.write_bytes(self.contents[content_id])  # noqa: ASYNC240 - in tests alone

    async def store_file(self, file: TaskFile) -> str:
        self.check_cancelled()
        self.said.append(file)
        return f"file-{file.name}"

    async def record_usage(self, key: str, usage: CallUsage) -> str:
        self.said.append((key, usage))
        self.check_cancelled()
        return f"usage-{key}"

    async def get_step(self, key: str) -> tuple[bool, JsonValue]:
        return key in self.steps, self.steps.get(key)

    async def save_step(self, key: str, value: JsonValue) -> None:
        self.check_cancelled()
        self.steps[key] = value

    async def step(self, key: str, work: Callable[[], Awaitable[JsonValue] | JsonValue]) -> JsonValue:
        known, value = await self.get_step(key)
        if not known:
            made = work()
            value = await made if inspect.isawaitable(made) else made
            await self.save_step(key, value)
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
        self.said.append((key, actor, dict(payload), queue, priority))
        return f"child-{key}"

    async def join(self) -> list[dict[str, JsonValue]]:
        if self.children is None:
            raise SuspendedError(self.task_id)
        return self.children


def job_of(actor: Actor[Any], context: RecordingContext, **payload: JsonValue) -> Job:
    """Return a job of *actor* that *context* belongs to."""
    found: Actor[BaseModel] = actor
    return Job(actor=found, context=context, payload=payload, stop=context.stop)
