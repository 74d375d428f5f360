"""The protocol of a task queue: the methods that code may call on any queue, whether it has a database or not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from pydantic import JsonValue

from appdb._driver import Session
from appdb.models.limits import Limit
from appdb.models.queues import QueueStats
from appdb.models.task_events import NewEvent, TaskEvent
from appdb.models.task_filters import CancelledTasks, TaskFilter
from appdb.models.tasks import NewTask, Task, TaskState
from appdb.queue.attempt_write import AttemptWrite
from appdb.queue.lease import Claimer, Lease
from appdb.queue.maintenance import MaintenanceDue


class TaskQueueProtocol(Protocol):
    """The methods that ``TaskQueue`` and ``appdb.testing.InMemoryTaskQueue`` share; ``TaskQueue`` documents them."""

    async def enqueue(self, task: NewTask, *, session: Session | None = None) -> Task:
        """Store a task, or return the first one with its id or unique key."""

    async def enqueue_many(self, tasks: Sequence[NewTask], *, session: Session | None = None) -> list[str]:
        """Store many tasks and return their ids in the same order."""

    async def get(self, task_id: str, *, owner_id: str, session: Session | None = None) -> Task:
        """Return the owner's task."""

    async def page(
        self, *, owner_id: str, states: Collection[TaskState] = (), before: str | None = None, limit: int = 50
    ) -> list[Task]:
        """Return the owner's tasks, newest first."""

    async def events(self, task_id: str, *, after: int = -1, limit: int = 500) -> list[TaskEvent]:
        """Return a page of a task's events with a number above *after*, in order; an empty one is the end."""

    async def children(self, task_id: str, *, owner_id: str) -> list[Task]:
        """Return the tasks that the owner's task spawned, oldest first."""

    async def find(self, match: TaskFilter, *, before: str | None = None, limit: int = 50) -> list[Task]:
        """Return the tasks that *match* means, newest first."""

    async def stats(self, *, window: timedelta = ...) -> list[QueueStats]:
        """Return every queue's figures, by name."""

    async def claim(self, claimer: Claimer, *, limit: int = 1) -> list[Task]:
        """Take up to *limit* due tasks for this claimer alone."""

    @property
    def limit_reached(self) -> bool:
        """Whether the last claim left due tasks where they are because of a limit."""

    def rely_on_change_feed(self) -> None:
        """Rely on the caller to call ``invalidate_snapshot`` when a queue is paused or resumed."""

    def invalidate_snapshot(self) -> None:
        """Look up who waits and what is paused at the next claim."""

    async def renew(self, leases: Collection[Lease]) -> set[Lease]:
        """Renew leases, and return the lost ones."""

    async def commit(self, writes: Sequence[AttemptWrite]) -> set[Lease]:
        """Write events and outcomes of many attempts at once, and return the leases that were lost."""

    async def append_events(self, lease: Lease, events: Sequence[NewEvent], *, seq: int) -> None:
        """Append events to the log of the attempt's task."""

    async def complete(
        self,
        lease: Lease,
        result: Mapping[str, Any] | None = None,
        *,
        events: Sequence[NewEvent] = (),
        session: Session | None = None,
    ) -> None:
        """End the task as completed."""

    async def fail(
        self,
        lease: Lease,
        kind: str,
        message: str,
        *,
        retry_in: timedelta | None,
        events: Sequence[NewEvent] = (),
        session: Session | None = None,
    ) -> None:
        """End the attempt with an error."""

    async def release(self, lease: Lease, *, events: Sequence[NewEvent] = ()) -> None:
        """Hand the task back; the attempt does not count."""

    async def suspend(self, lease: Lease, *, events: Sequence[NewEvent] = ()) -> None:
        """Let the task wait for its children; the attempt does not count."""

    async def get_step(self, lease: Lease, key: str) -> tuple[bool, JsonValue]:
        """Return whether a step is remembered, and its value."""

    async def save_step(self, lease: Lease, key: str, value: JsonValue) -> None:
        """Remember a finished step's value over attempts."""

    async def spawn(self, lease: Lease, key: str, task: NewTask) -> str:
        """Enqueue a child once over all attempts, and return its id."""

    async def cancel(self, task_id: str, *, owner_id: str, session: Session | None = None) -> Task:
        """Cancel the owner's task and its live children for good."""

    async def cancel_many(
        self, match: TaskFilter, *, limit: int = 1000, session: Session | None = None
    ) -> CancelledTasks:
        """Cancel live tasks that *match* means with all below them, and return how many and whether more fit."""

    async def complete_queued(
        self,
        match: TaskFilter,
        result: Mapping[str, Any] | None = None,
        *,
        limit: int = 1000,
        session: Session | None = None,
    ) -> int:
        """Complete queued tasks that *match* means, since their work is done otherwise, and return how many."""

    async def retry(self, task_id: str, *, owner_id: str) -> Task:
        """Run a scheduled task now, or a failed or cancelled one again as a new task."""

    async def replay(
        self, task_id: str, *, owner_id: str, payload: Mapping[str, JsonValue] | None = None, key: str | None = None
    ) -> Task:
        """Enqueue a new task that repeats a final one."""

    async def replay_many(self, match: TaskFilter, *, key: str, limit: int = 1000) -> list[str]:
        """Enqueue new tasks that repeat the final ones that *match* means, and return their ids."""

    async def pause(self, queue: str) -> None:
        """Let a queue hand out nothing."""

    async def resume(self, queue: str) -> None:
        """Let a paused queue hand out tasks again."""

    async def paused(self) -> set[str]:
        """Return the paused queues."""

    async def set_limit(self, limit: Limit) -> None:
        """Put *limit* in the place of what tasks carry under its key."""

    async def clear_limit(self, key: str) -> None:
        """Let what tasks carry under *key* hold again."""

    async def limits(self) -> list[Limit]:
        """Return the limits that were set, by key."""

    async def maintenance_due(self, *, horizon: timedelta) -> MaintenanceDue:
        """Return which maintenance has something to do, and when the next scheduled task is due within *horizon*."""

    async def promote(self) -> int:
        """Make scheduled tasks whose time has come claimable."""

    async def recover(self, *, limit: int = 100) -> list[Task]:
        """Take tasks from holders that stopped renewing."""

    async def fill_claim_keys(self) -> int:
        """Let tasks be claimed that a host of an older release enqueued."""

    async def expire(self, *, limit: int = 100) -> list[Task]:
        """Fail tasks that no worker claimed in time."""

    async def prune(self, *, older_than: timedelta, limit: int = 1000) -> int:
        """Delete tasks that have been final for long, with their events and steps."""
