"""Maintenance of tasks: what is due by time alone. It is idempotent, and every host runs it without a leader."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from pydantic import JsonValue

from appdb._driver import RawDocument
from appdb._queries import limits as limit_queries
from appdb._queries import maintenance as maintenance_queries
from appdb._queries import task_claims as claims
from appdb._queries import task_events as event_queries
from appdb._queries import task_steps as step_queries
from appdb._queries import tasks as queries
from appdb._queries.filters import by_ids
from appdb._queries.types import Filter
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import UnreadableError
from appdb.models.bounds import at_most
from appdb.models.task_events import NewEvent
from appdb.models.tasks import Task, TaskState
from appdb.queue.finalize import TaskFinalizer
from appdb.queue.lease import Lease
from appdb.queue.outcome_events import failed_event, retrying_event
from appdb.queue.parallel import concurrently, in_batches
from appdb.queue.unreadable_tasks import UnreadableTasks
from appdb.reading import readable

logger = logging.getLogger(__name__)

Move: TypeAlias = Callable[[RawDocument], Awaitable[Task | None]]
"""Moves the task of a document on, and returns it as it is then."""

AT_ONCE = timedelta(0)
IDLE_LIMIT = timedelta(days=1)
"""The time after which the state of an unused limit is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceDue:
    """The maintenance that is due, and when more will be.

    Args:
        expire: Whether tasks were not claimed in time.
        recover_in: How long until the next lease runs out, when that is soon and it is not renewed before.
        promote_in: How long until the next scheduled task is due, when that is soon.
        tick_in: How long until the first tick of a schedule that was not passed yet, when that is soon.
        next_tick_in: How long until the first tick that is still to come, when that is soon.
        fill_claim_keys: Whether a host of an older release has enqueued something.
    """

    expire: bool
    recover_in: timedelta | None
    promote_in: timedelta | None
    tick_in: timedelta | None
    next_tick_in: timedelta | None = None
    fill_claim_keys: bool = False

    @property
    def recover(self) -> bool:
        """Whether leases have run out."""
        return self.recover_in == AT_ONCE


class TaskMaintenance:
    """Promotes, recovers, expires and prunes tasks whose time has come."""

    def __init__(self, connection: Connection, lease: timedelta) -> None:
        self._connection = connection
        self._tasks = connection.collection(collections.TASKS)
        self._finalizer = TaskFinalizer(connection)
        self._unreadable = UnreadableTasks(connection)
        self._lease = lease

    async def maintenance_due(self, horizon: timedelta) -> MaintenanceDue:
        """Return what there is to do now, and what comes next within *horizon*; one round trip."""
        rows = {row["about"]: row async for row in self._tasks.aggregate(maintenance_queries.maintenance_due(horizon))}
        waits = {about: timedelta(milliseconds=float(row["in_ms"])) for about, row in rows.items()}
        return MaintenanceDue(
            expire="expire" in rows,
            recover_in=waits.get("recover"),
            promote_in=waits.get("promote"),
            tick_in=waits.get("tick"),
            next_tick_in=waits.get("next_tick"),
            fill_claim_keys="fill_claim_keys" in rows,
        )

    async def promote(self) -> int:
        """Make scheduled tasks whose time has come claimable; one round trip."""
        promoted = await self._tasks.update_many(queries.promotable(), queries.promote())
        return int(promoted.modified_count)

    async def recover(self, limit: int) -> list[Task]:
        """Take tasks from holders that stopped renewing; four round trips, and one or a transaction for each."""
        at_most(limit)
        if await self._tasks.find_one(queries.lease_expired(), {"_id": 1}) is None:
            return []
        # A dead host's transaction would keep its tasks locked for longer than a lease (decision 0005).
        await self._connection.orphans.end(self._lease / 2)
        return await self._move_all(self._recover, queries.lease_expired(), queries.WITHOUT_LOG, limit)

    async def _move_all(self, move: Move, match: Filter, fields: dict[str, int], limit: int) -> list[Task]:
        """Move what *match* finds until *limit* are moved or none is left, and return those that were.

        What cannot be moved holds up no task behind it; the next maintenance tries it again.

        Raises:
            AppDbError: Of all that was found at once nothing could be moved.
        """
        moved: list[Task] = []
        passed: list[Any] = []
        while room := limit - len(moved):
            found = self._tasks.find(match, fields).limit(room + len(passed))
            rows = [row async for row in found if row["_id"] not in passed]
            outcomes = await concurrently(move, rows)
            failures = [(row, one) for row, one in zip(rows, outcomes, strict=True) if isinstance(one, Exception)]
            moved += [one for one in outcomes if isinstance(one, Task)]
            passed += [row["_id"] for row, one in zip(rows, outcomes, strict=True) if not isinstance(one, Task)]
            _tell(failures)
            if rows and len(failures) == len(rows):
                raise failures[0][1]
            if len(rows) < room:
                break
        return moved

    async def _recover(self, row: RawDocument) -> Task | None:
        match = queries.lease_expired() | {"_id": row["_id"]}
        try:
            task, lease = _held_task(row)
        except UnreadableError as exc:
            if not await self._unreadable.set_aside(match, exc):
                raise
            return None
        error: dict[str, JsonValue] = {
            "type": "LeaseExpired",
            "message": f"worker {lease.worker_id} stopped renewing the lease: it died, hung or lost the database",
            "attempt": task.attempt,
        }
        match["lease.token"] = lease.token
        if lease.is_last_attempt:
            return await self._end(match, error)
        return await self._move(match, [retrying_event(error, AT_ONCE)], queries.reschedule(AT_ONCE, error))

    async def fill_claim_keys(self) -> int:
        """Let tasks be claimed that a host of an older release enqueued; one round trip."""
        match, update = claims.fill_claim_keys()
        adopted = await self._tasks.update_many(match | {"state": TaskState.QUEUED}, update)
        return int(adopted.modified_count)

    async def expire(self, limit: int) -> list[Task]:
        """Fail tasks that no worker claimed in time; one round trip, and one more for each, or a transaction."""
        return await self._move_all(self._expire, queries.expired(), {"_id": 1}, at_most(limit))

    async def _expire(self, row: RawDocument) -> Task | None:
        error: dict[str, JsonValue] = {
            "type": "Expired",
            "message": "no worker claimed the task in time; start more workers, or give it longer and replay it",
            "attempt": 0,
        }
        return await self._end(queries.expired() | {"_id": row["_id"]}, error)

    async def _end(self, match: dict[str, Any], error: dict[str, JsonValue]) -> Task | None:
        return await self._move(match, [failed_event(error)], queries.settle(TaskState.FAILED, None, error))

    async def _move(self, match: dict[str, Any], events: Sequence[NewEvent], changes: dict[str, Any]) -> Task | None:
        taken = await self._finalizer.end_task(match, events, changes)
        return None if taken is None else next(iter(readable(Task.from_document, [taken])), None)

    async def prune(self, older_than: timedelta, limit: int) -> int:
        """Delete final tasks with their events and steps: events first, so that a kill leaves no orphans.

        Children of a task that still lives stay, since its next attempt asks for them again. Generations, content and
        its bytes stay: they are the user's work, and only a user deletes them. A generation outlives its task and knows
        all that is shown of it.
        """
        # Events and steps before their tasks: a host that is killed in between leaves none without a task.
        ids = await self._prunable(older_than, at_most(limit))
        if ids:
            await self._connection.collection(collections.TASK_EVENTS).delete_many(event_queries.of_tasks(ids))
            await self._connection.collection(collections.TASK_STEPS).delete_many(step_queries.of_tasks(ids))
            await self._tasks.delete_many(by_ids(ids) | queries.finished_before(older_than))
        await self._connection.collection(collections.LIMITS).delete_many(limit_queries.unused(IDLE_LIMIT))
        return len(ids)

    async def _prunable(self, older_than: timedelta, limit: int) -> list[Any]:
        """Return the ids of the *limit* oldest tasks that nothing needs any more; two round trips for a thousand."""
        ids: list[Any] = []
        oldest = self._tasks.find(queries.finished_before(older_than), {"parent_id": 1}).sort(queries.FINISHED_FIRST)
        async for rows in in_batches(oldest.batch_size(limit), limit):
            parents = [row["parent_id"] for row in rows if _is_child(row)]
            needed = await self._alive(parents) if parents else set()
            ids += [row["_id"] for row in rows if not (_is_child(row) and row["parent_id"] in needed)]
            if len(ids) >= limit:
                break
        return ids[:limit]

    async def _alive(self, task_ids: Sequence[str]) -> set[str]:
        found = self._tasks.find(queries.live_among(task_ids), {"_id": 1})
        return {row["_id"] async for row in found}


def _is_child(row: RawDocument) -> bool:
    return isinstance(row.get("parent_id"), str)


def _held_task(row: RawDocument) -> tuple[Task, Lease]:
    task = Task.from_document(row)
    if task.lease is None:
        raise UnreadableError("Task", task.id, "it is processing, and nobody holds it")
    return task, Lease.of(task)


def _tell(failures: Iterable[tuple[RawDocument, Exception]]) -> None:
    for row, failure in failures:
        told = {"task_id": str(row["_id"]), "error": str(failure)}
        logger.warning("a task could not be moved on yet", extra=told)
