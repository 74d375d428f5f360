"""The task queue, in the order of a task's life: enqueue, claim, extend, record, complete, fail, release, cancel."""

from __future__ import annotations

import random
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import JsonValue

from appdb._driver import (
    AFTER,
    DuplicateKeyError,
    PyMongoError,
    RawDocument,
    Session,
    translates_errors,
    with_local_reads,
)
from appdb._queries import tasks as queries
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.database import Database
from appdb.errors import ConflictError, LeaseLostError, NotFoundError
from appdb.events import TaskEventType
from appdb.models.task import NewEvent, NewTask, Task, TaskEvent, TaskState
from appdb.queue.abandoned import end_abandoned_transactions
from appdb.queue.journal import Journal, check_events
from appdb.queue.lease import Claimer, Lease, handler
from appdb.queue.limits import MAX_ERROR_CHARACTERS, MAX_PAYLOAD_BYTES, MAX_RESULT_BYTES, check_size
from appdb.utils import uuid7_str

DEFAULT_LEASE = timedelta(seconds=30)
CONTENDED_WINDOW = 4
"""How many candidates a claim looks at for each free slot, once it has lost some to another claimer."""


class TaskQueue(BaseRepository):
    """
    Durable tasks, each run by one worker at a time under a lease.

    Every time is the database's. Every write is safe to repeat: after ``DatabaseUnavailableError`` the outcome is
    unknown, and the same call settles it.

    Args:
        database: An open database.

        lease: How long a claim holds without being renewed. It must exceed the worst election (12 s) and the
            operation timeout.
    """

    def __init__(self, database: Database, *, lease: timedelta = DEFAULT_LEASE) -> None:
        super().__init__(database)
        self.lease = lease
        self._tasks = self._collection(collections.TASKS)
        self._events = self._collection(collections.TASK_EVENTS)
        self._journal = Journal(database)
        self._contended = False

    @translates_errors
    async def enqueue(self, task: NewTask, *, session: Session | None = None) -> Task:
        """Store a task so that it survives any single failure, and return it.

        One round trip. With *session* it joins the caller's transaction. Calling it again with the same ``task_id``,
        or the same owner and ``unique_key``, returns the first task.

        Raises:
            TooLargeError: The payload is over 256 KiB as BSON.
            InvalidDataError: The payload holds a value that cannot be stored.
            ConflictError: The unique key stands for a task with another actor or payload.
        """
        check_size("payload", task.payload, MAX_PAYLOAD_BYTES)
        fields = _fields(task)
        match, update = queries.insert(fields, task.delay)
        try:
            stored = await self._tasks.find_one_and_update(
                match, update, upsert=True, return_document=AFTER, session=session
            )
        except DuplicateKeyError:
            if task.unique_key is None or session is not None:
                raise
            return await self._first_with_key(task, task.unique_key)
        return Task.from_document(stored)

    async def _first_with_key(self, task: NewTask, unique_key: str) -> Task:
        found = await self._tasks.find_one(queries.by_unique_key(task.owner_id, unique_key))
        if found is None:
            raise ConflictError("unique key", unique_key, "its task was deleted just now; enqueue again")
        first = Task.from_document(found)
        if (first.actor, first.payload) != (task.actor, task.payload):
            problem = f"it stands for task {first.id}, which has another payload; use a new key for a new request"
            raise ConflictError("unique key", unique_key, problem)
        return first

    @translates_errors
    async def get(self, task_id: str, *, owner_id: str) -> Task:
        """Return the owner's task.

        Raises:
            NotFoundError: The owner has no such task.
        """
        return Task.from_document(await self._get(task_id, owner_id))

    async def _get(self, task_id: str, owner_id: str) -> RawDocument:
        found = await self._tasks.find_one(queries.owned(task_id, owner_id))
        if found is None:
            raise NotFoundError("task", task_id)
        return found

    @translates_errors
    async def page(
        self, *, owner_id: str, states: Collection[TaskState] = (), before: str | None = None, limit: int = 50
    ) -> list[Task]:
        """Return the owner's tasks, newest first.

        Args:
            owner_id: Whose tasks.
            states: Only these states; empty for all.
            before: The id of the last task of the page before.
            limit: The most tasks to return.
        """
        found = self._tasks.find(queries.page(owner_id, states, before)).sort(queries.NEWEST_FIRST).limit(limit)
        return [Task.from_document(row) async for row in found]

    @translates_errors
    async def events(self, task_id: str, *, after: int = -1, limit: int = 500) -> list[TaskEvent]:
        """Return a task's events with a number above *after*, in order, at most *limit*.

        The log has no owner of its own: look the task up by its owner first.
        """
        match = {"task_id": task_id, "seq": {"$gt": after}}
        found = self._events.find(match).sort("seq", 1).limit(limit)
        return [TaskEvent.from_document(row) async for row in found]

    @translates_errors
    async def claim(self, claimer: Claimer, *, limit: int = 1) -> list[Task]:
        """Take up to *limit* due tasks, each for this claimer alone, and hold them for the lease.

        One task is one atomic ``findAndModify``. Several are three round trips: read candidates, mark those that are
        still free with a token that is new at each claim, read back what the token holds. A claimer that lost
        candidates to another looks at a wider, shuffled window the next time, so that they stop meeting.

        Returns:
            The tasks with this attempt already counted; empty when nothing is due.

        Raises:
            DatabaseUnavailableError: The claim may have been written; if so, the lease frees the tasks.
        """
        token = secrets.token_hex(16)
        if limit == 1:
            return await self._claim_one(claimer, token)
        window = limit * CONTENDED_WINDOW if self._contended else limit
        match = queries.claimable(claimer.queues, claimer.handlers)
        candidates = self._tasks.find(match, {"_id": 1}).sort(queries.CLAIM_ORDER).limit(window)
        ids = [row["_id"] async for row in candidates]
        if self._contended:
            random.shuffle(ids)
        return await self._take(ids[:limit], claimer, token) if ids else []

    async def _claim_one(self, claimer: Claimer, token: str) -> list[Task]:
        taken: RawDocument | None = await self._tasks.find_one_and_update(
            queries.claimable(claimer.queues, claimer.handlers),
            queries.take(claimer.worker_id, token, self.lease),
            sort=queries.CLAIM_ORDER,
            return_document=AFTER,
        )
        return [] if taken is None else [Task.from_document(taken)]

    async def _take(self, ids: Sequence[str], claimer: Claimer, token: str) -> list[Task]:
        match = queries.claimable(claimer.queues, claimer.handlers) | queries.ids(ids)
        failure: PyMongoError | None = None
        try:
            await self._tasks.update_many(match, queries.take(claimer.worker_id, token, self.lease))
        except PyMongoError as exc:
            failure = exc  # drivers do not repeat a many-document update; what the token holds settles its outcome
        # A claim whose majority was not waited for is still ours: the fence of every later write decides.
        mine = with_local_reads(self._tasks).find(queries.all_held(dict.fromkeys(ids, token)))
        taken = {row["_id"]: Task.from_document(row) async for row in mine}
        if failure is not None and not taken:
            raise failure
        self._contended = len(taken) < len(ids)
        return [taken[task_id] for task_id in ids if task_id in taken]

    @translates_errors
    async def extend(self, leases: Collection[Lease]) -> set[Lease]:
        """Renew *leases* for another lease time, and return those that are lost.

        One round trip while none is lost, two otherwise. A lost lease means: stop that attempt.
        """
        tokens = {lease.task_id: lease.token for lease in leases}
        if not tokens:
            return set()
        match = queries.all_held(tokens)
        renewed = await self._tasks.update_many(match, queries.extend(self.lease))
        if renewed.matched_count == len(leases):
            return set()
        alive = {(row["_id"], row["lease"]["token"]) async for row in self._tasks.find(match, {"lease.token": 1})}
        return {lease for lease in leases if (lease.task_id, lease.token) not in alive}

    @translates_errors
    async def record(self, lease: Lease, events: Sequence[NewEvent], *, seq: int) -> None:
        """Append *events* to the task's log, in one transaction behind the fence.

        The last ``progress`` event among them is also what the task itself shows.

        Args:
            lease: The fence.
            events: What to append, in order.
            seq: The number of the first event, counted by the holder. It makes a repeated call harmless.

        Raises:
            LeaseLostError: Another worker may hold the task; nothing was written.
            TooLargeError: An event is over 64 KiB.
        """
        check_events(events)

        async def body(session: Session) -> None:
            match = queries.held(lease.task_id, lease.token) | {"event_count": seq}
            if await self._journal.append(match, events, session=session) is None:
                await self._check_recorded(lease, seq + len(events), session)

        await self._database.transaction(body)

    async def _check_recorded(self, lease: Lease, event_count: int, session: Session) -> None:
        # The fence holds and the count is already what it would become: an earlier try of this call was applied.
        match = queries.held(lease.task_id, lease.token) | {"event_count": event_count}
        if await self._tasks.find_one(match, {"_id": 1}, session=session) is None:
            raise LeaseLostError(lease.task_id, lease.attempt)

    async def complete(
        self, lease: Lease, result: Mapping[str, Any] | None = None, *, events: Sequence[NewEvent] = ()
    ) -> None:
        """End the task as completed: result, last events and terminal event become visible together.

        Raises:
            LeaseLostError: The task was cancelled, or another worker may hold it; nothing was written.
            TooLargeError: The result is over 256 KiB, or an event over 64 KiB.
            InvalidDataError: The result holds a value that cannot be stored.
        """
        check_size("result", result or {}, MAX_RESULT_BYTES)
        terminal = NewEvent(type=TaskEventType.COMPLETED, data={"attempt": lease.attempt})
        await self._settle(lease, queries.settle(TaskState.COMPLETED, result, None), [*events, terminal])

    async def fail(
        self,
        lease: Lease,
        kind: str,
        message: str,
        *,
        retry_in: timedelta | None,
        events: Sequence[NewEvent] = (),
    ) -> None:
        """End the attempt with an error: the task runs again after *retry_in*, or fails for good when that is ``None``.

        Args:
            lease: The fence.
            kind: The error's type, such as ``ProviderError``.
            message: What went wrong, for the owner; at most 4,000 characters are kept.
            retry_in: The pause before the next attempt, or ``None``.
            events: What to append before.

        Raises:
            LeaseLostError: The task was cancelled, or another worker may hold it; nothing was written.
        """
        error: dict[str, JsonValue] = {"type": kind, "message": storable_text(message), "attempt": lease.attempt}
        if retry_in is None:
            terminal = NewEvent(type=TaskEventType.FAILED, data={"attempt": lease.attempt, "error": error})
            changes = queries.settle(TaskState.FAILED, None, error)
        else:
            terminal = _retrying(lease.attempt, error, retry_in)
            changes = queries.reschedule(retry_in, error)
        await self._settle(lease, changes, [*events, terminal])

    async def release(self, lease: Lease, *, events: Sequence[NewEvent] = ()) -> None:
        """Hand the task back at once, as if it had not been claimed: the attempt does not count.

        Raises:
            LeaseLostError: The task was cancelled, or another worker may hold it; nothing was written.
        """
        handed = NewEvent(type=TaskEventType.RELEASED, data={"worker_id": lease.worker_id})
        await self._settle(lease, queries.hand_back(), [*events, handed])

    @translates_errors
    async def _settle(self, lease: Lease, changes: dict[str, Any], events: Sequence[NewEvent]) -> None:
        check_events(events)
        kind = events[-1].type.value
        signed = changes | queries.settled_by(lease.token, kind)

        async def body(session: Session) -> None:
            match = queries.held(lease.task_id, lease.token)
            task = await self._journal.append(match, events, session=session, changes=signed)
            if task is None:
                await self._check_settled(lease, kind, session)
            elif TaskState(task["state"]).final:
                await self._journal.close_generations(task, session=session)

        await self._database.transaction(body)

    async def _check_settled(self, lease: Lease, kind: str, session: Session) -> None:
        # Settled by this very token in this very way: the answer to an earlier try was lost, not the lease.
        match = {"_id": lease.task_id} | queries.settled(lease.token, kind)
        if await self._tasks.find_one(match, {"_id": 1}, session=session) is None:
            raise LeaseLostError(lease.task_id, lease.attempt)

    @translates_errors
    async def cancel(self, task_id: str, *, owner_id: str) -> Task:
        """Cancel the owner's task at once and for good, and return it; cancelling it again changes nothing.

        A running attempt loses its lease in the same transaction, so nothing that it still writes is accepted; its
        worker hears of it from the change feed, or at the next renewal.

        Raises:
            NotFoundError: The owner has no such task.
            ConflictError: The task has already completed or failed.
        """
        cancelled = NewEvent(type=TaskEventType.CANCELLED)

        async def body(session: Session) -> RawDocument | None:
            changes = queries.settle(TaskState.CANCELLED, None, None)
            match = queries.live(task_id, owner_id)
            task = await self._journal.append(match, [cancelled], session=session, changes=changes)
            if task is not None:
                await self._journal.close_generations(task, session=session)
            return task

        changed: RawDocument | None = await self._database.transaction(body)
        task = Task.from_document(changed or await self._get(task_id, owner_id))
        if task.state is not TaskState.CANCELLED:
            raise ConflictError("task", task_id, f"it is already {task.state}, so it cannot be cancelled")
        return task

    @translates_errors
    async def promote(self) -> int:
        """Make scheduled tasks whose time has come claimable, and return how many; safe to run anywhere, any time."""
        promoted = await self._tasks.update_many(queries.due(), queries.promote())
        return int(promoted.modified_count)

    @translates_errors
    async def recover(self, *, limit: int = 100) -> list[Task]:
        """Take tasks from holders that stopped renewing: queue them again, or fail those without an attempt left.

        Safe to run anywhere, at any time: each task is taken by exactly the token that expired.

        Returns:
            The tasks as they are now, at most *limit*.
        """
        rows = [row async for row in self._tasks.find(queries.expired()).limit(limit)]
        if rows:
            await end_abandoned_transactions(self._database, self.lease / 2)
        recovered = [await self._recover(Task.from_document(row)) for row in rows]
        return [task for task in recovered if task is not None]

    async def _recover(self, task: Task) -> Task | None:
        lease = Lease.of(task)
        error: dict[str, JsonValue] = {
            "type": "LeaseExpired",
            "message": f"worker {lease.worker_id} stopped renewing the lease: it died, hung or lost the database",
            "attempt": task.attempt,
        }
        event = _retrying(task.attempt, error, timedelta(0))
        changes = queries.reschedule(timedelta(0), error)
        if task.attempt >= task.max_attempts:
            event = NewEvent(type=TaskEventType.FAILED, data={"attempt": task.attempt, "error": error})
            changes = queries.settle(TaskState.FAILED, None, error)

        async def body(session: Session) -> RawDocument | None:
            match = queries.expired() | {"_id": task.id, "lease.token": lease.token}
            taken = await self._journal.append(match, [event], session=session, changes=changes)
            if taken is not None and TaskState(taken["state"]).final:
                await self._journal.close_generations(taken, session=session)
            return taken

        taken = await self._database.transaction(body)
        return None if taken is None else Task.from_document(taken)


def _retrying(attempt: int, error: dict[str, JsonValue], delay: timedelta) -> NewEvent:
    data: dict[str, JsonValue] = {"attempt": attempt, "error": error, "delay_seconds": delay.total_seconds()}
    return NewEvent(type=TaskEventType.RETRYING, data=data)


def storable_text(message: str) -> str:
    """Return *message* without what UTF-8 cannot hold, and not longer than an error may be."""
    return message.encode("utf-8", "replace").decode()[:MAX_ERROR_CHARACTERS]


def _fields(task: NewTask) -> RawDocument:
    return {
        "_id": task.task_id or uuid7_str("tq_"),
        "owner_id": task.owner_id,
        "actor": task.actor,
        "actor_version": task.actor_version,
        "handler": handler(task.actor, task.actor_version),
        "queue": task.queue,
        "payload": dict(task.payload),
        "priority": task.priority,
        "state": TaskState.SCHEDULED if task.delay else TaskState.QUEUED,
        "attempt": 0,
        "max_attempts": task.max_attempts,
        "timeout_seconds": task.timeout.total_seconds() if task.timeout else None,
        "lease": None,
        "progress": None,
        "result": None,
        "error": None,
        "errors": [],
        "event_count": 0,
        "has_content": False,
        "started_at": None,
        "finished_at": None,
    } | ({} if task.unique_key is None else {"unique_key": task.unique_key})
