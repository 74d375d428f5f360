"""The document of a new task: how a ``NewTask`` is checked, and what of it is stored; pure, without a round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Self

from pydantic import JsonValue

from appdb._driver import RawDocument, stored_decimal
from appdb._queries import task_claims as claims
from appdb._queries import tasks as queries
from appdb._queries.types import Filter, Pipeline
from appdb.errors import ConflictError, InvalidDataError, TooLargeError
from appdb.models.bounds import accept, bounded_duration
from appdb.models.continuations import StoredContinuation
from appdb.models.limits import TaskLimit
from appdb.models.tasks import NewTask, Task, TaskState
from appdb.queue.labels import labels_of
from appdb.queue.lease import handler
from appdb.size_limits import (
    MAX_CONTINUATION_BYTES,
    MAX_CONTINUATION_DEPTH,
    MAX_CONTINUATIONS,
    MAX_PAYLOAD_BYTES,
    check_size,
)
from appdb.utils import milliseconds, uuid7_str

FOREIGN_ID = "its id belongs to another owner's task; make a new id"
NO_TIMES = queries.TaskTimes(delay=timedelta(0), expires_in=None, unique_for=None)

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
"""The fields that every new task begins with; never changed, only copied from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTaskDocument:
    """
    A checked task on its way into the database; made once, so that each try stores the same.

    Args:
        task: The task as its caller described it.
        fields: The document that it becomes, but for the times: these are the server's.
    """

    task: NewTask
    fields: RawDocument

    @classmethod
    def of(cls, task: NewTask, **more: object) -> NewTaskDocument:
        """Return the document of *task*, under its own id or a new one.

        Args:
            task: What to store.
            more: Further fields, or others in their place, such as ``parent_id``.

        Raises:
            TooLargeError: A payload is over 256 KiB as BSON, or those of all that follows over 1 MiB together.
            InvalidDataError: A payload, a name, a number or a duration cannot be stored; also of a continuation.
        """
        check_new_task(task)
        return cls(task=task, fields={**fields_of(task), **more})

    @property
    def id(self) -> str:
        """The id of the task."""
        task_id: str = self.fields["_id"]
        return task_id

    @property
    def times(self) -> queries.TaskTimes:
        """The durations of the task."""
        return times_of(self.task)

    def stored_at(self, now: datetime) -> RawDocument:
        """Return the whole document of a task that is stored at *now*, the server's time."""
        return {**self.fields, **self.times.from_time(now)}

    def below(self, ancestors: Sequence[str]) -> Self:
        """Return the document of a task whose run is a part of the runs *ancestors*."""
        return replace(self, fields=self.fields | {"ancestor_runs": [*ancestors]}) if ancestors else self

    def upsert(self) -> tuple[Filter, Pipeline]:
        """Return the upsert that stores the task with the server's times, or changes nothing when it is there."""
        return queries.insert(self.fields, self.times)

    def own(self, stored: RawDocument) -> Task:
        """Return the task that is *stored* under this id.

        Raises:
            ConflictError: It is another owner's.
        """
        if stored["owner_id"] != self.task.owner_id:
            raise ConflictError("task", stored["_id"], FOREIGN_ID)
        return Task.from_document(stored)


def check_new_task(task: NewTask) -> None:
    """Check that *task* can be stored, before anything is.

    Raises:
        TooLargeError: A payload is over 256 KiB as BSON, or those of all that follows over 1 MiB together.
        InvalidDataError: A payload, a name, a number or a duration cannot be stored; also of a continuation.
    """
    accept(NewTask, task)
    check_size("payload", task.payload, MAX_PAYLOAD_BYTES)
    _check_continuations(task)


def _check_continuations(task: NewTask) -> None:
    """Check that all that follows *task*, at any depth, can be kept in it, claimed with it and enqueued in one go."""
    following = [(each, 1) for each in (*task.then, *task.on_end)]
    size = 0
    # The list grows while it is walked: continuations of continuations are put behind.
    for each, depth in following:
        if len(following) > MAX_CONTINUATIONS or depth > MAX_CONTINUATION_DEPTH:
            most = f"at most {MAX_CONTINUATIONS} tasks may follow one, and {MAX_CONTINUATION_DEPTH} after each other"
            raise InvalidDataError("then" if task.then else "on_end", f"{most}; let an actor enqueue the rest")
        following += [(after, depth + 1) for after in (*each.then, *each.on_end)]
        size += check_size("payload", each.payload, MAX_PAYLOAD_BYTES)
    if size > MAX_CONTINUATION_BYTES:
        raise TooLargeError("payloads of all that follow", size, MAX_CONTINUATION_BYTES)


def same_request(first: Task, task: NewTask) -> Task:
    """Return *first*, which the unique key of *task* stands for, if *task* asks for the same.

    Raises:
        ConflictError: It has another actor or payload.
    """
    if (first.actor, first.payload) != (task.actor, task.payload):
        raise _other_payload(first, task.unique_key)
    return first


def same_replay(again: Task, payload: Mapping[str, JsonValue], key: str | None) -> Task:
    """Return the replay *again*, which *key* stands for, if it has this payload.

    Raises:
        ConflictError: It has another one.
    """
    if again.payload != payload:
        raise _other_payload(again, key)
    return again


def _other_payload(first: Task, key: str | None) -> ConflictError:
    problem = f"it stands for task {first.id}, which has another payload; use a new key for a new request"
    return ConflictError("unique key", str(key), problem)


def has_times(task: NewTask) -> bool:
    """Return whether *task* has a time of its own, which only the server may work out."""
    return bool(is_delayed(task) or task.expires_in is not None or isinstance(task.unique_for, timedelta))


def is_delayed(task: NewTask) -> bool:
    """Return whether *task* is scheduled at first, and waits for its time."""
    return bool(task.delay) or task.run_at is not None


def times_of(task: NewTask) -> queries.TaskTimes:
    """Return the durations of *task*."""
    if not has_times(task):
        return NO_TIMES
    unique_for = task.unique_for if isinstance(task.unique_for, timedelta) else None
    return queries.TaskTimes(delay=task.delay, expires_in=task.expires_in, unique_for=unique_for, run_at=task.run_at)


def fields_of(task: NewTask) -> RawDocument:
    """Return the document of *task*, all but its times, under its own id or a new one."""
    claim_key, fairness_key = _keys(task.queue, task.actor, task.actor_version, task.owner_id)
    fields: RawDocument = {
        **NEW_TASK_FIELDS,
        "_id": task.task_id or uuid7_str("tq_"),
        "owner_id": task.owner_id,
        "actor": task.actor,
        "actor_version": task.actor_version,
        "queue": task.queue,
        "lane": claim_key,
        "group": fairness_key,
        "payload": task.payload,
        "priority": task.priority,
        "state": TaskState.SCHEDULED if is_delayed(task) else TaskState.QUEUED,
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
    return fields | labels_of(task) | _rare_fields(task)


@lru_cache(maxsize=1_024)
def _keys(queue: str, actor: str, version: int, owner_id: str) -> tuple[str, str]:
    """Return the claim key and the fairness key of tasks without limits."""
    claim_key = claims.claim_key(queue, handler(actor, version))
    return claim_key, claims.fairness_key(claim_key, owner_id, [])


def _rare_fields(task: NewTask) -> RawDocument:
    fields: RawDocument = {} if task.reserves is None else {"reserved": stored_decimal(task.reserves.normalize())}
    if task.unique_key is not None:
        fields |= {"unique_key": task.unique_key, "unique_while_live": task.unique_for == "live"}
    if task.then:
        fields |= {"then": [continuation_of(following) for following in task.then], "attached": True}
    if task.on_end:
        fields |= {"on_end": [continuation_of(following) for following in task.on_end], "attached": True}
    return fields


def continuation_of(task: NewTask) -> RawDocument:
    """Return *task* as it waits in another document for what enqueues it."""
    times = times_of(task)
    due = {} if times.run_at is None else {"run_at": times.run_at}
    return due | {
        "fields": fields_of(task),
        "delay_ms": milliseconds(times.delay),
        "expires_in_ms": _optional_ms(times.expires_in),
        "unique_for_ms": _optional_ms(times.unique_for),
    }


def continuation_upsert(stored: StoredContinuation) -> tuple[Filter, Pipeline]:
    """Return the upsert of a task that waited in another document, with its durations from now on."""
    times = queries.TaskTimes(
        delay=bounded_duration(stored.delay_ms / 1000),
        expires_in=_optional_duration(stored.expires_in_ms),
        unique_for=_optional_duration(stored.unique_for_ms),
        run_at=stored.run_at,
    )
    return queries.insert(stored.fields, times)


def _optional_ms(duration: timedelta | None) -> int | None:
    return None if duration is None else milliseconds(duration)


def _optional_duration(ms: float | None) -> timedelta | None:
    return None if ms is None else bounded_duration(ms / 1000)
