"""Enqueueing: a new task becomes a document, once, whatever is repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeAlias

from appdb._driver import AFTER, BulkWriteError, DuplicateKeyError, PyMongoError, RawDocument, Session, refused
from appdb._queries import task_claims as claims
from appdb._queries import tasks as queries
from appdb._queries.types import Filter, Pipeline
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.errors import AppDbError, ConflictError, DatabaseUnavailableError, InvalidDataError, TooLargeError
from appdb.models.bounds import accept, bounded_duration
from appdb.models.limits import TaskLimit
from appdb.models.tasks import Following, NewTask, Task, TaskState
from appdb.queue.batching import GroupCommit
from appdb.queue.lease import handler
from appdb.size_limits import (
    DUPLICATE_KEY,
    MAX_FOLLOWING,
    MAX_FOLLOWING_BYTES,
    MAX_FOLLOWING_DEPTH,
    MAX_PAYLOAD_BYTES,
    check_size,
)
from appdb.utils import milliseconds, uuid7_str

NewRow: TypeAlias = tuple[NewTask, RawDocument]
"""A new task, and its document but for the times."""

MAX_TRIES = 3
"""How often a task is stored whose key others take and free at the same time, before its caller is asked to repeat."""
FOREIGN_ID = "its id belongs to another owner's task; make a new id"


class Enqueuer(BaseRepository):
    """Stores new tasks."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._tasks = self._collection(collections.TASKS)
        self._arrivals: GroupCommit[NewRow, Task] = GroupCommit(self._add_together, connection.operation_timeout)

    async def add(
        self, task: NewTask, task_id: str, session: Session | None, more: Mapping[str, Any] | None = None
    ) -> Task:
        """Store *task*, or return the one that its id or its unique key stands for already.

        One round trip; with a unique key two in a caller's transaction, and up to three more where a key was taken.
        """
        check(task)
        fields = fields_of(task, task_id)
        if more:
            fields |= more
        if session is not None:
            return await self._add_within(task, fields, session)
        if not _waits(task):
            return await self._add_with_others(task, fields)
        try:
            return await self._upsert(task, fields, None)
        except DuplicateKeyError:
            return await self._settle(task, fields)

    async def _add_with_others(self, task: NewTask, fields: RawDocument) -> Task:
        try:
            return await self._arrivals.add((task, fields))
        except TimeoutError as exc:
            waited = "those before it got no answer within the operation timeout; repeat it with the same id or key"
            raise DatabaseUnavailableError(f"enqueueing task {fields['_id']}", waited) from exc

    async def _add_within(self, task: NewTask, fields: RawDocument, session: Session) -> Task:
        # A duplicate key would end the caller's transaction, so what the key stands for is looked up before.
        first = None if task.unique_key is None else await self._standing(task, fields["_id"], session)
        return first or await self._upsert(task, fields, session)

    async def _upsert(self, task: NewTask, fields: RawDocument, session: Session | None) -> Task:
        match, update = queries.insert(fields, times_of(task))
        stored = await self._tasks.find_one_and_update(
            match, update, upsert=True, return_document=AFTER, session=session
        )
        return _own(stored, task)

    async def _standing(self, task: NewTask, task_id: str, session: Session | None) -> Task | None:
        """Return what *task*'s id or unique key stands for, and free a key that stands for its task no longer.

        One round trip, and one more for a key that may have to be freed.
        """
        match = queries.standing(task_id, task.owner_id, task.unique_key)
        found = {row["_id"]: row async for row in self._tasks.find(match, session=session)}
        if task_id in found:
            return _own(found[task_id], task)
        for row in found.values():
            if (row.get("unique_while_live") or row.get("unique_until")) and await self._free(row, session):
                return None
            return same_request(Task.from_document(row), task)
        return None

    async def _free(self, row: RawDocument, session: Session | None) -> bool:
        match = queries.released_keys(row["owner_id"], [row["unique_key"]]) | {"_id": row["_id"]}
        freed = await self._tasks.update_one(match, {"$unset": {"unique_key": ""}}, session=session)
        return bool(freed.modified_count)

    async def _settle(self, task: NewTask, fields: RawDocument) -> Task:
        """Return what a task stands for that could not be stored, or store it when that is gone by now."""
        for _ in range(MAX_TRIES):
            try:
                first = await self._standing(task, fields["_id"], None)
                return first or await self._upsert(task, fields, None)
            except DuplicateKeyError:
                continue  # somebody has taken the key meanwhile, or no majority has confirmed yet who has
        unconfirmed = "no majority has confirmed yet what its key stands for; repeat it with the same id or key"
        raise DatabaseUnavailableError(f"enqueueing task {fields['_id']}", unconfirmed)

    async def _add_together(self, new: Sequence[NewRow]) -> list[Task | Exception]:
        """Store what several callers want to store now, each as if it were alone."""
        # An insert costs the server a fifth less than an upsert. It cannot ask for the server's time, which without
        # waits decides nothing but the order.
        with self._connection.within_timeout():
            times = NO_TIMES.from_time(await self._connection.clock.now())
            rows = [{**fields, **times} for _, fields in new]
            errors = await self._insert(rows)
        return [
            Task.from_document(row) if (code := errors.get(at)) is None else await self._outcome(new[at][0], row, code)
            for at, row in enumerate(rows)
        ]

    async def _outcome(self, task: NewTask, row: RawDocument, code: int) -> Task | Exception:
        try:
            if code == DUPLICATE_KEY:
                return await self._settle(task, row)
            await self._tasks.insert_one(row)
        except (AppDbError, PyMongoError) as exc:
            return exc  # the others' tasks are stored, and must not fail with this one
        return Task.from_document(row)

    async def add_many(self, tasks: Sequence[NewTask], ids: Sequence[str]) -> list[str]:
        """Store *tasks* and return their ids in order; one round trip, and up to three more for each that was taken."""
        for task in tasks:
            check(task)
        if not tasks:
            return []
        with self._connection.within_timeout():
            now = await self._connection.clock.now()
            at_once = NO_TIMES.from_time(now)
            rows = [
                {**fields_of(task, task_id), **(times_of(task).from_time(now) if _waits(task) else at_once)}
                for task, task_id in zip(tasks, ids, strict=True)
            ]
            errors = await self._insert(rows)
        stored = list(ids)
        for position, code in errors.items():
            outcome = await self._outcome(tasks[position], rows[position], code)
            if isinstance(outcome, Exception):
                raise outcome
            stored[position] = outcome.id
        return stored

    async def _insert(self, rows: Sequence[RawDocument]) -> dict[int, int]:
        """Insert *rows*, and return the positions of those that were refused, each with the server's code."""
        try:
            await self._tasks.insert_many(rows, ordered=False)
        except BulkWriteError as exc:
            return refused(exc)
        return {}


def id_of(task: NewTask) -> str:
    """Return the id of *task*, made once, so that storing it again is known to be the same."""
    return task.task_id or uuid7_str("tq_")


def check(task: NewTask) -> None:
    """Check that *task* can be stored, before anything is.

    Raises:
        TooLargeError: A payload is over 256 KiB as BSON, or those of all that follows over 1 MiB together.
        InvalidDataError: A payload, a name, a number or a duration cannot be stored; also of a continuation.
    """
    accept(NewTask, task)
    check_size("payload", task.payload, MAX_PAYLOAD_BYTES)
    _check_following(task)


def _check_following(task: NewTask) -> None:
    """Check that all that follows *task*, at any depth, can be kept in it, claimed with it and enqueued in one go."""
    following = [(each, 1) for each in task.then]
    size = 0
    for each, depth in following:  # which grows meanwhile
        if len(following) > MAX_FOLLOWING or depth > MAX_FOLLOWING_DEPTH:
            most = f"at most {MAX_FOLLOWING} tasks may follow one, and {MAX_FOLLOWING_DEPTH} after each other"
            raise InvalidDataError("then", f"{most}; let an actor enqueue the rest")
        following += [(after, depth + 1) for after in each.then]
        size += check_size("payload", each.payload, MAX_PAYLOAD_BYTES)
    if size > MAX_FOLLOWING_BYTES:
        raise TooLargeError("payloads of all that follow", size, MAX_FOLLOWING_BYTES)


def same_request(first: Task, task: NewTask) -> Task:
    """Return *first*, which the unique key of *task* stands for, if *task* asks for the same.

    Raises:
        ConflictError: It has another actor or payload.
    """
    if (first.actor, first.payload) != (task.actor, task.payload):
        problem = f"it stands for task {first.id}, which has another payload; use a new key for a new request"
        raise ConflictError("unique key", str(task.unique_key), problem)
    return first


def _own(stored: RawDocument, task: NewTask) -> Task:
    """Return what is *stored* under the id of *task*, if it has the same owner.

    Raises:
        ConflictError: It is another owner's.
    """
    if stored["owner_id"] != task.owner_id:
        raise ConflictError("task", stored["_id"], FOREIGN_ID)
    return Task.from_document(stored)


NO_TIMES = queries.TaskTimes(delay=timedelta(0), expires_in=None, unique_for=None)


def _waits(task: NewTask) -> bool:
    return bool(task.delay or task.expires_in is not None or isinstance(task.unique_for, timedelta))


def times_of(task: NewTask) -> queries.TaskTimes:
    """Return the durations of *task*."""
    if not _waits(task):
        return NO_TIMES
    unique_for = task.unique_for if isinstance(task.unique_for, timedelta) else None
    return queries.TaskTimes(delay=task.delay, expires_in=task.expires_in, unique_for=unique_for)


NEW_TASK_FIELDS: RawDocument = {
    "attempt": 0,
    "limited": False,
    "limits": [],
    "lease": None,
    "progress": None,
    "result": None,
    "error": None,
    "errors": [],
    "event_count": 0,
    "tail": [],
    "attached": False,
    "has_content": False,
    "started_at": None,
    "finished_at": None,
}
"""What every new task begins with; never changed, only copied from."""


def fields_of(task: NewTask, task_id: str) -> RawDocument:
    """Return the document of *task* under *task_id*, all but its times."""
    claim_key, fairness_key = _lines(task.queue, task.actor, task.actor_version, task.owner_id)
    fields: RawDocument = {
        **NEW_TASK_FIELDS,
        "_id": task_id,
        "owner_id": task.owner_id,
        "actor": task.actor,
        "actor_version": task.actor_version,
        "queue": task.queue,
        "lane": claim_key,
        "group": fairness_key,
        "payload": task.payload,
        "priority": task.priority,
        "state": TaskState.SCHEDULED if task.delay else TaskState.QUEUED,
        "max_attempts": task.max_attempts,
        "timeout_seconds": task.timeout.total_seconds() if task.timeout else None,
    }
    if task.limits:
        limits = [TaskLimit.of(limit) for limit in task.limits]
        fields |= {
            "limited": True,
            "limits": [limit.model_dump() for limit in limits],
            "group": claims.fairness_key(claim_key, task.owner_id, limits),
        }
    rare = task.unique_key is not None or task.run_id is not None or task.then
    return fields | _rare_fields(task) if rare else fields


@lru_cache(maxsize=1_024)
def _lines(queue: str, actor: str, version: int, owner_id: str) -> tuple[str, str]:
    """Return the claim_key and the fairness_key of tasks without limits."""
    claim_key = claims.claim_key(queue, handler(actor, version))
    return claim_key, claims.fairness_key(claim_key, owner_id, [])


def _rare_fields(task: NewTask) -> RawDocument:
    fields: RawDocument = {} if task.run_id is None else {"run_id": task.run_id}
    if task.unique_key is not None:
        fields |= {"unique_key": task.unique_key, "unique_while_live": task.unique_for == "live"}
    if task.then:
        fields |= {"then": [_stored_form(following) for following in task.then], "attached": True}
    return fields


def _stored_form(task: NewTask) -> RawDocument:
    """Return *task* as it waits in another task for that one's completion."""
    waits = times_of(task)
    return {
        "fields": fields_of(task, id_of(task)),
        "delay_ms": milliseconds(waits.delay),
        "expires_in_ms": _optional_ms(waits.expires_in),
        "unique_for_ms": _optional_ms(waits.unique_for),
    }


def stored_insert(stored: Following) -> tuple[Filter, Pipeline]:
    """Return the upsert of a task that waited in another one, with its durations from now on."""
    waits = queries.TaskTimes(
        delay=bounded_duration(stored.delay_ms / 1000),
        expires_in=_optional_duration(stored.expires_in_ms),
        unique_for=_optional_duration(stored.unique_for_ms),
    )
    return queries.insert(stored.fields, waits)


def _optional_ms(duration: timedelta | None) -> int | None:
    return None if duration is None else milliseconds(duration)


def _optional_duration(ms: float | None) -> timedelta | None:
    return None if ms is None else bounded_duration(ms / 1000)
