"""The contexts of actors: what an actor may ask of its worker, if it is async and if it is plain."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue

from appdb.models import CallUsage, NewContent, Origin, TaskFile


class AttemptFacts(Protocol):
    """The part of a context that is callable from any thread."""

    task_id: str
    owner_id: str
    attempt: int
    """Counted from 1, over all workers."""
    idempotency_key: str
    """The same for every attempt of the task: give it to providers, so that a repeated call is not paid twice."""
    deadline: datetime
    """When the attempt is out of time, by this host's clock."""
    origin: Origin
    """The run, branch, step, module, sub-action and interaction that the task works for; of a plain task all ``None``.

    What the actor stores and records carries them by itself.
    """
    logger: logging.LoggerAdapter[logging.Logger]

    @property
    def cancelled(self) -> bool:
        """Whether the attempt must end; readable from any thread."""

    def check_cancelled(self) -> None:
        """Return while the attempt may go on; callable from any thread.

        Raises:
            TaskStoppedError: The attempt must end now.
        """

    def report(self, fraction: float, message: str = "") -> None:
        """Say how far the work is, from any thread; cheap, and only the latest report of a tenth of a second is kept.

        Args:
            fraction: 0 to 1.
            message: What is being done, for the owner.

        Raises:
            TaskStoppedError: The attempt must end now.
        """


class ActorContext(AttemptFacts, Protocol):
    """The context of an async actor. Its async methods are for the actor's own event loop."""

    async def progress(self, fraction: float, message: str = "") -> None:
        """Do the same as ``report``, and let the event loop breathe."""

    async def emit(self, data: Mapping[str, JsonValue]) -> None:
        """Send partial output to whoever watches: a chunk of at most 60 KiB.

        Chunks that come close together share a ``chunk`` event of the task's log, in their order. It waits only when
        the database is far behind.

        Raises:
            TaskStoppedError: The attempt must end now.
        """

    async def describe(self, *, operation: str, provider: str, source_data: Mapping[str, JsonValue]) -> None:
        """Record what is being made and by whom; call it before the first ``store``.

        Raises:
            TaskStoppedError: The attempt must end now.
        """

    async def store(self, item: NewContent) -> str:
        """Store a content item; when this returns, whoever watches can see it.

        Returns:
            The content's id.

        Raises:
            TaskStoppedError: The attempt must end now; nothing was stored.
        """

    async def read_content(self, content_id: str, target: Path) -> None:
        """Write the bytes of a content item to a file of this host: what an earlier task of the same owner made.

        Args:
            content_id: The item.
            target: The file, an absolute path; it is made or written over.

        Raises:
            NotFoundError: The task's owner has no such item, or it was replaced or deleted meanwhile.
            TaskStoppedError: The attempt must end now.
        """

    async def store_file(self, file: TaskFile) -> str:
        """Write a file of the run that the task works for; the same name again, or another attempt, replaces it.

        Files are texts and JSON; bytes are content.

        Returns:
            The file's id.

        Raises:
            InvalidDataError: The task works for no run, or something cannot be stored; nothing was stored.
            TaskStoppedError: The attempt must end now; nothing was stored.
        """

    async def record_usage(self, key: str, usage: CallUsage) -> str:
        """Record what a call to a model used and cost, for the task's owner and all that ``origin`` names.

        Record each call as soon as its cost is known. It is recorded also when the attempt must end, unless the task
        was cancelled or the lease is lost.

        Args:
            key: The call's name, unique within the task: another attempt that records it again replaces it, and
                another call needs another key.
            usage: What the call used, with its exact cost.

        Returns:
            The id of what was recorded, the same in every attempt.

        Raises:
            InvalidDataError: A number or a text cannot be stored; nothing was recorded.
            TaskStoppedError: The attempt must end now. After a cancel or a lost lease nothing was recorded.
        """

    async def step(self, key: str, work: Callable[[], Awaitable[JsonValue] | JsonValue]) -> JsonValue:
        """Run *work* once over all attempts of the task, and remember what it returned.

        An attempt that dies between the end of *work* and the write of its result runs it again: give the
        ``idempotency_key`` to what must not happen twice. A replay is another task: it runs every step again, under
        another ``idempotency_key``.

        Args:
            key: The step's name, unique within the task.
            work: What to do, async or not; it returns JSON.

        Returns:
            What *work* returned, now or in an earlier attempt.

        Raises:
            TaskStoppedError: The attempt must end now. After a cancel or a lost lease the step is not remembered.
        """

    async def spawn(
        self,
        key: str,
        actor: str,
        payload: Mapping[str, JsonValue],
        *,
        queue: str | None = None,
        priority: int | None = None,
    ) -> str:
        """Enqueue a child task once over all attempts of this one.

        Args:
            key: The child's name, unique within the task.
            actor: The actor that runs it.
            payload: Its input.
            queue: Where it waits; ``None`` for the parent's queue.
            priority: Higher runs first; ``None`` for the parent's priority.

        Returns:
            The child's id, the same in every attempt.

        Raises:
            TaskStoppedError: The attempt must end now; a later attempt spawns the child.
        """

    async def join(self) -> list[dict[str, JsonValue]]:
        """Return what became of all spawned children, once all of them are final.

        Until then the attempt ends at this call and its slot is free; the actor is run from its start when the
        children are done, and neither remembered steps nor spawned children are repeated. Let pass what this raises.
        """


class SyncContext(AttemptFacts, Protocol):
    """The context of a plain actor: the methods of ``ActorContext``, which block until they are done.

    They may be called from any thread but that of an event loop, and raise what those of ``ActorContext`` raise.
    """

    def progress(self, fraction: float, message: str = "") -> None:
        """Do the same as ``report``."""

    def emit(self, data: Mapping[str, JsonValue]) -> None:
        """Send partial output: a chunk of at most 60 KiB."""

    def describe(self, *, operation: str, provider: str, source_data: Mapping[str, JsonValue]) -> None:
        """Record what is being made and by whom; call it before the first ``store``."""

    def store(self, item: NewContent) -> str:
        """Store a content item, and return its id."""

    def read_content(self, content_id: str, target: Path) -> None:
        """Write the bytes of a content item of the task's owner to a file of this host."""

    def store_file(self, file: TaskFile) -> str:
        """Write a file of the run that the task works for, and return its id."""

    def record_usage(self, key: str, usage: CallUsage) -> str:
        """Record what a call to a model used and cost, and return the id of what was recorded."""

    def step(self, key: str, work: Callable[[], JsonValue]) -> JsonValue:
        """Run *work* once over all attempts, and return what it returned, now or earlier."""

    def spawn(
        self,
        key: str,
        actor: str,
        payload: Mapping[str, JsonValue],
        *,
        queue: str | None = None,
        priority: int | None = None,
    ) -> str:
        """Enqueue a child task once over all attempts, and return its id."""

    def join(self) -> list[dict[str, JsonValue]]:
        """Return what became of all spawned children, or end the attempt until all are final."""
