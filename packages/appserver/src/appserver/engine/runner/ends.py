"""Ends: what has ended of that which a run waits for, and is not in its log yet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from appdb import DbEventType, NotFoundError, TaskState
from appdb.models import CLOSED_STATUSES, Run, RunState, RunStatus, Task, TaskError, TaskFilter, Wait, WaitKind
from appserver.engine.core.picture import End
from appserver.engine.runner.stores import EngineStores
from appserver.modules.contract import ErrorCode
from appserver.tasks.shown_errors import shown_error

AT_ONCE = 500
"""Tasks that are looked up in one round trip."""
CODES: Mapping[str, ErrorCode] = {
    "Expired": ErrorCode.EXPIRED,
    "Discarded": ErrorCode.REJECTED,
    "InvalidPayload": ErrorCode.MISCONFIGURED,
    "RetryLater": ErrorCode.RATE_LIMITED,
    "Timeout": ErrorCode.RETRYABLE,
    "LeaseExpired": ErrorCode.RETRYABLE,
    "TooLargeError": ErrorCode.INVALID_OUTPUT,
}
"""The class of a task's error, by its type; others are ``retryable``."""
RETRYABLE = frozenset({ErrorCode.RETRYABLE, ErrorCode.RATE_LIMITED, ErrorCode.EXPIRED})

ENDED = CLOSED_STATUSES | {RunStatus.ERROR}
"""How a child run ends for the run that waits for it; one that stopped at an error stays open for its owner alone."""


class EndReader:
    """Reads what has ended: one round trip for 500 tasks and timers, and some for each child run that has ended."""

    def __init__(self, stores: EngineStores) -> None:
        self._stores = stores

    async def ends_of(self, state: RunState, owner_id: str) -> dict[str, End]:
        """Return the ends of what *state* waits for, by id."""
        tasks = [wait for wait in state.waiting_on if wait.kind in (WaitKind.TASK, WaitKind.TIMER)]
        children = [wait.id for wait in state.waiting_on if wait.kind is WaitKind.CHILD]
        found = await asyncio.gather(self._task_ends(tasks, owner_id), self._child_ends(children, owner_id))
        return {**found[0], **found[1]}

    async def _task_ends(self, waits: Sequence[Wait], owner_id: str) -> dict[str, End]:
        kinds = {wait.id: wait.kind for wait in waits}
        ends: dict[str, End] = {}
        ids = list(kinds)
        for first in range(0, len(ids), AT_ONCE):
            some = tuple(ids[first : first + AT_ONCE])
            match = TaskFilter(owner_id=owner_id, task_ids=some)
            found = {task.id: task for task in await self._stores.queue.find(match, limit=AT_ONCE)}
            for task_id in some:
                if (end := _end_of(found.get(task_id), task_id, kinds[task_id])) is not None:
                    ends[task_id] = end
        return ends

    async def _child_ends(self, run_ids: Sequence[str], owner_id: str) -> dict[str, End]:
        ends = await asyncio.gather(*(self._child_end(run_id, owner_id) for run_id in run_ids))
        return {run_id: end for run_id, end in zip(run_ids, ends, strict=True) if end is not None}

    async def _child_end(self, run_id: str, owner_id: str) -> End | None:
        try:
            run = await self._stores.runs.get(run_id, owner_id=owner_id)
        except NotFoundError:
            return End(kind="child", state="cancelled", error=_error(ErrorCode.CANCELLED, "The child run was deleted."))
        return await self._end_of_child(run, owner_id) if run.status in ENDED else None

    async def _end_of_child(self, run: Run, owner_id: str) -> End:
        if run.status is RunStatus.CANCELLED:
            return End(
                kind="child", state="cancelled", error=_error(ErrorCode.CANCELLED, "The child run was cancelled.")
            )
        completed = run.status is RunStatus.COMPLETED
        kind = DbEventType.WORKFLOW_COMPLETED if completed else DbEventType.WORKFLOW_ERROR
        event = await self._stores.events.latest(run.id, kind, owner_id=owner_id)
        data = {} if event is None else event.data
        if completed:
            return End(kind="child", state="completed", result=data.get("output"))
        error = data.get("error") or _error(ErrorCode.BUG, "The child run has failed.")
        return End(kind="child", state="failed", error=error)


def _end_of(task: Task | None, task_id: str, kind: WaitKind) -> End | None:
    if kind is WaitKind.TIMER:
        # A timer that is over or gone has fired, whatever became of the task that carried it.
        return None if task is not None and not task.state.final else End(kind="timer", state="completed")
    if task is None:
        # Pruned: whoever waits for it would wait for ever.
        return End(kind="task", state="failed", error=_error(ErrorCode.BUG, f"Task {task_id} is stored no more."))
    match task.state:
        case TaskState.COMPLETED:
            return End(kind="task", state="completed", result=task.result)
        case TaskState.CANCELLED:
            return End(kind="task", state="cancelled", error=_error(ErrorCode.CANCELLED, "The task was cancelled."))
        case TaskState.FAILED:
            return End(kind="task", state="failed", error=_failed(task))
        case _:
            return None


def _failed(task: Task) -> Mapping[str, JsonValue]:
    if task.error is None:
        return _error(ErrorCode.RETRYABLE, "The task has failed.")
    # What is in the log of a run is for its owner.
    shown: TaskError = shown_error(task.error, task.id)
    code = CODES.get(task.error.type, ErrorCode.RETRYABLE)
    return {**_error(code, shown.message), "type": shown.type, "task_id": task.id}


def _error(code: ErrorCode, message: str) -> Mapping[str, JsonValue]:
    return {"code": code.value, "message": message, "retryable": code in RETRYABLE}
