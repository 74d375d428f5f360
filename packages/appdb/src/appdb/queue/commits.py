"""Commits: what many attempts write, events and outcomes, in one transaction whose first write is all their fences."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, assert_never

from pydantic import JsonValue

from appdb._driver import RawDocument, Session, UpdateOne
from appdb._queries import tasks as queries
from appdb._queries.clock import literal
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.database import Database
from appdb.events import TaskEventType
from appdb.models.task import NewEvent, TaskState
from appdb.queue.closing import Closing
from appdb.queue.journal import check_events, latest_progress, row_of
from appdb.queue.lease import Lease
from appdb.queue.sizes import MAX_ERROR_CHARACTERS, MAX_RESULT_BYTES, check_size
from appdb.queue.writes import AttemptWrite, Completed, Failed, Outcome, Released, Suspended

WRITTEN_FIELDS = dict.fromkeys(
    ["commit", "settled", "state", "attempt", "updated_at", "event_count", "lease", "has_content", "parent_id", "then"],
    1,
)


class Commits(BaseRepository):
    """Writes for holders of leases."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._tasks = self._collection(collections.TASKS)
        self._events = self._collection(collections.TASK_EVENTS)
        self._closing = Closing(database)

    async def commit(self, writes: Sequence[AttemptWrite]) -> set[Lease]:
        """Write all of *writes* whose leases hold, and return the leases that do not.

        One transaction of three round trips and its commit, however many tasks: the fences with all changes of tasks
        in one bulk write, a look at which held, the events.
        """
        for write in writes:
            check_write(write)
        plans = [_Plan(write) for write in writes]

        async def body(session: Session) -> set[Lease]:
            mark = secrets.token_hex(8)
            await self._tasks.bulk_write([plan.update(mark) for plan in plans], ordered=False, session=session)
            ids = [plan.lease.task_id for plan in plans]
            found = self._tasks.find(queries.ids(ids), WRITTEN_FIELDS, session=session)
            tasks = {row["_id"]: row async for row in found}
            applied = [plan for plan in plans if plan.applied(tasks.get(plan.lease.task_id), mark)]
            rows = [row for plan in applied for row in plan.rows(tasks[plan.lease.task_id])]
            if rows:
                await self._events.insert_many(rows, session=session)
            await self._closing.close([tasks[plan.lease.task_id] for plan in applied], session)
            rest = [plan for plan in plans if not plan.applied(tasks.get(plan.lease.task_id), mark)]
            return {plan.lease for plan in rest if not plan.repeated(tasks.get(plan.lease.task_id))}

        result: set[Lease] = await self._database.transaction(body)
        return result


class _Plan:
    """One write, worked out before the transaction begins."""

    def __init__(self, write: AttemptWrite) -> None:
        self.lease = write.lease
        self._seq = write.seq
        self._outcome = write.outcome
        terminal = [] if write.outcome is None else [_event_of(write.outcome, write.lease)]
        self._events = [*write.events, *terminal]
        self._kind = terminal[0].type.value if terminal else ""

    def update(self, mark: str) -> UpdateOne:
        match = queries.held(self.lease.task_id, self.lease.token)
        if self._seq is not None:
            match["event_count"] = self._seq
        return UpdateOne(match, self._update(mark))

    def _update(self, mark: str) -> dict[str, Any] | list[dict[str, Any]]:
        count, progress = len(self._events), latest_progress(self._events)
        settled = {"token": self.lease.token, "kind": self._kind}
        match self._outcome:
            case None:
                return queries.record(count, progress, mark)
            case Completed(result=result):
                return queries.complete(count, progress, mark, result=result, settled=settled)
            case outcome:
                signed = queries.settled_by(**settled) | {"commit": literal(mark)}
                shown = {} if progress is None else {"progress": literal(progress)}
                return queries.logged(count, shown | _changes(outcome, self.lease) | signed)

    def applied(self, task: RawDocument | None, mark: str) -> bool:
        return task is not None and task.get("commit") == mark

    def repeated(self, task: RawDocument | None) -> bool:
        """Whether an earlier try of this write was applied, and only its answer was lost."""
        if task is None:
            return False
        if self._outcome is not None:
            return bool(task.get("settled") == {"token": self.lease.token, "kind": self._kind})
        holds = task["state"] == TaskState.PROCESSING and (task["lease"] or {}).get("token") == self.lease.token
        return holds and self._seq is not None and task["event_count"] == self._seq + len(self._events)

    def rows(self, task: RawDocument) -> list[RawDocument]:
        first = task["event_count"] - len(self._events)
        shown = task | {"attempt": self.lease.attempt}
        return [row_of(shown, first + offset, event) for offset, event in enumerate(self._events)]


def check_write(write: AttemptWrite) -> None:
    """Check that *write* fits, before a transaction begins.

    Raises:
        TooLargeError: An event is over 64 KiB, or the result over 256 KiB.
        InvalidDataError: Something cannot be stored.
    """
    check_events(write.events)
    if isinstance(write.outcome, Completed):
        check_size("result", write.outcome.result or {}, MAX_RESULT_BYTES)


def storable_text(message: str) -> str:
    """Return *message* without what UTF-8 cannot hold, and not longer than an error may be."""
    return message.encode("utf-8", "replace").decode()[:MAX_ERROR_CHARACTERS]


def _error(outcome: Failed, lease: Lease) -> dict[str, JsonValue]:
    return {"type": storable_text(outcome.kind), "message": storable_text(outcome.message), "attempt": lease.attempt}


def _event_of(outcome: Outcome, lease: Lease) -> NewEvent:
    match outcome:
        case Completed():
            return NewEvent(type=TaskEventType.COMPLETED, data={"attempt": lease.attempt})
        case Failed(retry_in=timedelta() as pause):
            return retrying(lease.attempt, _error(outcome, lease), pause.total_seconds())
        case Failed():
            data: dict[str, JsonValue] = {"attempt": lease.attempt, "error": _error(outcome, lease)}
            return NewEvent(type=TaskEventType.FAILED, data=data)
        case Released():
            return NewEvent(type=TaskEventType.RELEASED, data={"worker_id": lease.worker_id})
        case Suspended():
            return NewEvent(type=TaskEventType.SUSPENDED, data={"worker_id": lease.worker_id})
        case _:
            assert_never(outcome)


def _changes(outcome: Failed | Released | Suspended, lease: Lease) -> dict[str, Any]:
    match outcome:
        case Failed(retry_in=timedelta() as pause):
            return queries.reschedule(pause, _error(outcome, lease))
        case Failed():
            return queries.settle(TaskState.FAILED, None, _error(outcome, lease))
        case Released():
            return queries.hand_back()
        case Suspended():
            return queries.suspend()
        case _:
            assert_never(outcome)


def retrying(attempt: int, error: dict[str, JsonValue], delay_seconds: float) -> NewEvent:
    """Return the event of an attempt that failed and that another one follows."""
    data: dict[str, JsonValue] = {"attempt": attempt, "error": error, "delay_seconds": delay_seconds}
    return NewEvent(type=TaskEventType.RETRYING, data=data)
