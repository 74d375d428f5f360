"""The in-memory task queue: ``TaskQueue``'s calls, results and errors without a database."""

from __future__ import annotations

import asyncio
import copy
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import JsonValue

from appdb._driver import Session
from appdb.errors import ConflictError, LeaseLostError
from appdb.models.bounds import Duration, Name, accept, at_most
from appdb.models.limits import Limit
from appdb.models.queues import QueueStats
from appdb.models.task_events import NewEvent, TaskEvent
from appdb.models.task_filters import CancelledTasks, TaskFilter
from appdb.models.tasks import FINAL_STATES, LABELS, LIVE_STATES, NewTask, Task, TaskError, TaskState
from appdb.queue.attempt_write import AttemptWrite, Completed, Failed, Released, Suspended
from appdb.queue.control import REPLAYABLE
from appdb.queue.lease import DEFAULT_LEASE, Claimer, Lease
from appdb.queue.log_events import length_of_page, weight_of
from appdb.queue.maintenance import MaintenanceDue
from appdb.queue.outcome_events import failed_event, retrying_event
from appdb.queue.queued_completion import COMPLETED, QUEUED
from appdb.queue.steps import check_key
from appdb.queue.task_document import check_new_task, same_replay
from appdb.queue.task_queue import STATS_WINDOW
from appdb.size_limits import MAX_RESULT_BYTES, MAX_STEP_BYTES, check_size
from appdb.testing.attempts import apply, shown_error
from appdb.testing.claiming import InMemoryClaiming
from appdb.testing.clock import ManualClock
from appdb.testing.figures import figures
from appdb.testing.store import InMemoryTask, TaskStore, labelled
from appdb.utils import derived_id

UNCLAIMED = "no worker claimed the task in time; start more workers, or give it longer and replay it"


class InMemoryTaskQueue:
    """
    ``TaskQueue`` without a database: the same calls, results and errors, in one process, gone with it.

    Time stands still until ``advance``, so that a test of leases, delays or timeouts waits for nothing. Calls of many
    asyncio tasks may overlap as with a database: each call lets others go first, and is then done as a whole. It has no
    transactions, and refuses a ``session`` with a ``ValueError``. It knows no workflow runs, so it takes tasks of any
    ``run_id``, where the other one refuses those of runs that are not there. It knows no budgets either, and refuses no
    task for what it reserves.

    Args:
        lease: How long a claim holds without being renewed.

        clock: A clock to share with other parts of a test; one of its own when left out.
    """

    def __init__(self, *, lease: timedelta = DEFAULT_LEASE, clock: ManualClock | None = None) -> None:
        accept(Duration, lease, "lease")
        self.lease = lease
        self.clock = clock or ManualClock()
        self._store = TaskStore(self.clock)
        self._claiming = InMemoryClaiming(self._store)
        self._paused: set[str] = set()

    def advance(self, by: timedelta) -> None:
        """Let time pass for this queue and for all that shares its clock."""
        self.clock.advance(by)

    async def enqueue(self, task: NewTask, *, session: Session | None = None) -> Task:
        """TaskStore a task, or return the first one with its id or unique key."""
        _refuse_session(session)
        await _let_others_go_first()
        check_new_task(task)
        return self._store.add(task).shown()

    async def enqueue_many(self, tasks: Sequence[NewTask], *, session: Session | None = None) -> list[str]:
        """TaskStore many tasks and return their ids in the same order."""
        _refuse_session(session)
        await _let_others_go_first()
        for task in tasks:
            check_new_task(task)
        return [self._store.add(task).task.id for task in tasks]

    async def get(self, task_id: str, *, owner_id: str, session: Session | None = None) -> Task:
        """Return the owner's task."""
        _refuse_session(session)
        await _let_others_go_first()
        return self._store.owned(task_id, owner_id).shown()

    async def page(
        self, *, owner_id: str, states: Collection[TaskState] = (), before: str | None = None, limit: int = 50
    ) -> list[Task]:
        """Return the owner's tasks, newest first."""
        return await self.find(TaskFilter(owner_id=owner_id, states=frozenset(states)), before=before, limit=limit)

    async def events(self, task_id: str, *, after: int = -1, limit: int = 500) -> list[TaskEvent]:
        """Return a page of a task's events with a number above *after*, in order; an empty one is the end."""
        await _let_others_go_first()
        row = self._store.rows.get(task_id)
        found = row.events[after + 1 :][: at_most(limit)] if row is not None else []
        page = found[: length_of_page(weight_of(event.data) for event in found)]
        # Copies, as a database gives them: a caller who changes one must not change the log.
        return [event.model_copy(deep=True) for event in page]

    async def children(self, task_id: str, *, owner_id: str) -> list[Task]:
        """Return the tasks that the owner's task spawned, oldest first."""
        await _let_others_go_first()
        found = self._store.children(task_id)
        return [row.shown() for row in found if row.task.owner_id == owner_id]

    async def find(self, match: TaskFilter, *, before: str | None = None, limit: int = 50) -> list[Task]:
        """Return the tasks that *match* means, newest first."""
        await _let_others_go_first()
        found = self._matching(match, match.states or frozenset(TaskState))
        # By its place and not by its id: ids of replays are digests, and callers may give their own.
        last = None if before is None else _place(self._store.found(before, match.owner_id))
        older = [row for row in found if last is None or _place(row) < last]
        return [row.shown() for row in sorted(older, key=_place, reverse=True)[: at_most(limit)]]

    def _matching(self, match: TaskFilter, states: Collection[TaskState]) -> list[InMemoryTask]:
        found = [row for row in self._store.in_state(*states) if _matches(row.task, match)]
        return sorted(found, key=lambda row: row.task.id)

    async def stats(self, *, window: timedelta = STATS_WINDOW) -> list[QueueStats]:
        """Return every queue's figures, by name."""
        await _let_others_go_first()
        return figures(self._store.rows.values(), self._paused, self.clock.now(), window)

    async def claim(self, claimer: Claimer, *, limit: int = 1) -> list[Task]:
        """Take up to *limit* due tasks for this claimer alone."""
        await _let_others_go_first()
        accept(Claimer, claimer, "claimer")
        now = self.clock.now()
        due = [
            row
            for row in self._store.in_state(TaskState.QUEUED)
            if row.task.queue in claimer.queues
            and row.task.queue not in self._paused
            and row.handler in claimer.handlers
            and not row.expired_at(now)
        ]
        # One token for the whole claim, as in the database: each task's lease is held by its id and this.
        token = secrets.token_hex(16)
        taken = []
        for row in self._claiming.chosen(due, at_most(limit)):
            self._store.take(row, claimer.worker_id, token, self.lease)
            taken.append(row.shown())
        return taken

    @property
    def limit_reached(self) -> bool:
        """Whether the last claim left due tasks where they are because of a limit."""
        return self._claiming.limit_reached

    def rely_on_change_feed(self) -> None:
        """Change nothing: this queue sees a pause at once."""

    def invalidate_snapshot(self) -> None:
        """Change nothing: every claim looks."""

    async def renew(self, leases: Collection[Lease]) -> set[Lease]:
        """Renew leases, and return the lost ones."""
        await _let_others_go_first()
        expires_at = self.clock.now() + self.lease
        held = {lease: self._store.held(lease) for lease in leases}
        for row in held.values():
            if row is not None and row.task.lease is not None:
                row.change(lease=row.task.lease.model_copy(update={"expires_at": expires_at}))
        return {lease for lease, row in held.items() if row is None}

    async def commit(self, writes: Sequence[AttemptWrite]) -> set[Lease]:
        """Write events and outcomes of many attempts at once, and return the leases that were lost."""
        await _let_others_go_first()
        return {write.lease for write in writes if not apply(self._store, write)}

    async def _commit_one(self, write: AttemptWrite) -> None:
        if await self.commit([write]):
            raise LeaseLostError(write.lease.task_id, write.lease.attempt)

    async def append_events(self, lease: Lease, events: Sequence[NewEvent], *, seq: int) -> None:
        """Append events to the log of the attempt's task."""
        await self._commit_one(AttemptWrite(lease=lease, events=events, seq=seq))

    async def complete(
        self,
        lease: Lease,
        result: Mapping[str, Any] | None = None,
        *,
        events: Sequence[NewEvent] = (),
        session: Session | None = None,
    ) -> None:
        """End the task as completed."""
        _refuse_session(session)
        await self._commit_one(AttemptWrite(lease=lease, events=events, outcome=Completed(result=result)))

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
        """End the attempt with an error: the task runs again after *retry_in*, or fails for good."""
        _refuse_session(session)
        outcome = Failed(kind=kind, message=message, retry_in=retry_in)
        await self._commit_one(AttemptWrite(lease=lease, events=events, outcome=outcome))

    async def release(self, lease: Lease, *, events: Sequence[NewEvent] = ()) -> None:
        """Hand the task back; the attempt does not count."""
        await self._commit_one(AttemptWrite(lease=lease, events=events, outcome=Released()))

    async def suspend(self, lease: Lease, *, events: Sequence[NewEvent] = ()) -> None:
        """Let the task wait for its children; the attempt does not count."""
        await self._commit_one(AttemptWrite(lease=lease, events=events, outcome=Suspended()))

    async def get_step(self, lease: Lease, key: str) -> tuple[bool, JsonValue]:
        """Return whether a step is remembered, and its value."""
        await _let_others_go_first()
        row = self._store.rows.get(lease.task_id)
        steps = row.steps if row is not None else {}
        return key in steps, copy.deepcopy(steps.get(key))

    async def save_step(self, lease: Lease, key: str, value: JsonValue) -> None:
        """Remember a finished step's value over attempts; a repeated call replaces it."""
        await _let_others_go_first()
        check_key(key)
        check_size(f"value of step {key!r}", {"value": value}, MAX_STEP_BYTES)
        self._store.fenced(lease).steps[key] = copy.deepcopy(value)

    async def spawn(self, lease: Lease, key: str, task: NewTask) -> str:
        """Enqueue a child once over all attempts, and return its id."""
        await _let_others_go_first()
        check_key(key)
        check_new_task(task)
        parent = self._store.fenced(lease)
        child_id = derived_id("tq_", lease.task_id, "child", key)
        if task.owner_id != parent.task.owner_id:
            raise ValueError(f"child {key!r}: it must have the owner of its parent, {parent.task.owner_id!r}")
        # The id follows from the key, so a later attempt finds the child of the one before.
        if child_id not in self._store.rows:
            child = replace(labelled(task, parent.task), task_id=child_id, unique_key=None)
            self._store.add(child, parent_id=lease.task_id)
            parent.change(children_open=parent.task.children_open + 1, updated_at=self.clock.now())
        return child_id

    async def cancel(self, task_id: str, *, owner_id: str, session: Session | None = None) -> Task:
        """Cancel the owner's task and its live children for good."""
        _refuse_session(session)
        await _let_others_go_first()
        row = self._store.owned(task_id, owner_id)
        self._store.cancel(row)
        if row.task.state is not TaskState.CANCELLED:
            raise ConflictError("task", task_id, f"it is already {row.task.state}, so it cannot be cancelled")
        return row.shown()

    async def cancel_many(
        self, match: TaskFilter, *, limit: int = 1000, session: Session | None = None
    ) -> CancelledTasks:
        """Cancel live tasks that *match* means with all below them, and return how many and whether more fit."""
        _refuse_session(session)
        await _let_others_go_first()
        found = self._matching(match, LIVE_STATES & (match.states or LIVE_STATES))
        for row in found[: at_most(limit)]:
            self._store.cancel(row)
        return CancelledTasks(count=len(found[:limit]), more=len(found) > limit)

    async def complete_queued(
        self,
        match: TaskFilter,
        result: Mapping[str, Any] | None = None,
        *,
        limit: int = 1000,
        session: Session | None = None,
    ) -> int:
        """Complete queued tasks that *match* means, since their work is done otherwise, and return how many."""
        _refuse_session(session)
        await _let_others_go_first()
        if result is not None:
            check_size("result", result, MAX_RESULT_BYTES)
        found = self._matching(match, QUEUED & (match.states or QUEUED))[: at_most(limit)]
        for row in found:
            self._store.finish(row, [COMPLETED], TaskState.COMPLETED, result=result)
        return len(found)

    async def retry(self, task_id: str, *, owner_id: str) -> Task:
        """Run a scheduled task now, or a failed or cancelled one again as a new task."""
        await _let_others_go_first()
        row = self._store.owned(task_id, owner_id)
        if row.task.state in REPLAYABLE:
            return await self.replay(task_id, owner_id=owner_id)
        if row.task.state is not TaskState.SCHEDULED or row.task.waiting:
            problem = f"it is {row.task.state}; only a scheduled, failed or cancelled task is retried"
            raise ConflictError("task", task_id, problem)
        row.queued_at = self.clock.now()
        self._store.wake(row)
        return row.shown()

    async def replay(
        self, task_id: str, *, owner_id: str, payload: Mapping[str, JsonValue] | None = None, key: str | None = None
    ) -> Task:
        """Enqueue a new task that repeats a final one."""
        await _let_others_go_first()
        row = self._store.owned(task_id, owner_id)
        if not row.task.state.final:
            raise ConflictError("task", task_id, f"it is {row.task.state}; only a final task can be replayed")
        wanted = row.task.payload if payload is None else payload
        return same_replay(self._replay(row, payload, key).shown(), wanted, key)

    def _replay(self, row: InMemoryTask, payload: Mapping[str, JsonValue] | None, key: str | None) -> InMemoryTask:
        again = replace(
            row.new,
            task_id=None if key is None else derived_id("tq_", row.task.id, "replay", key),
            payload=dict(row.task.payload if payload is None else payload),
            unique_key=None,
            unique_for="kept",
            delay=timedelta(0),
            run_at=None,
            expires_in=None,
            then=(),
        )
        check_new_task(again)
        return self._store.add(again, replay_of=row.task.id, cause_id=row.task.cause_id)

    async def replay_many(self, match: TaskFilter, *, key: str, limit: int = 1000) -> list[str]:
        """Enqueue new tasks that repeat the final ones that *match* means, and return their ids."""
        await _let_others_go_first()
        states = FINAL_STATES & (match.states or REPLAYABLE)
        return [self._replay(row, None, key).task.id for row in self._matching(match, states)[: at_most(limit)]]

    async def pause(self, queue: str) -> None:
        """Let a queue hand out nothing."""
        await _let_others_go_first()
        accept(Name, queue, "queue")
        self._paused.add(queue)

    async def resume(self, queue: str) -> None:
        """Let a paused queue hand out tasks again."""
        await _let_others_go_first()
        accept(Name, queue, "queue")
        self._paused.discard(queue)

    async def paused(self) -> set[str]:
        """Return the paused queues."""
        await _let_others_go_first()
        return set(self._paused)

    async def set_limit(self, limit: Limit) -> None:
        """Put *limit* in the place of what tasks carry under its key."""
        await _let_others_go_first()
        accept(Limit, limit, "limit")
        self._claiming.overrides[limit.key] = limit

    async def clear_limit(self, key: str) -> None:
        """Let what tasks carry under *key* hold again."""
        await _let_others_go_first()
        self._claiming.overrides.pop(key, None)

    async def limits(self) -> list[Limit]:
        """Return the limits that were set, by key."""
        await _let_others_go_first()
        return [limit for _, limit in sorted(self._claiming.overrides.items())]

    async def maintenance_due(self, *, horizon: timedelta) -> MaintenanceDue:
        """Return which maintenance is due, and when the next scheduled task is due within *horizon*."""
        await _let_others_go_first()
        now = self.clock.now()
        runs = [row.task.run_at for row in self._store.in_state(TaskState.SCHEDULED)]
        held = [row.task.lease for row in self._store.in_state(TaskState.PROCESSING)]
        return MaintenanceDue(
            expire=bool(self._store.expired()),
            recover_in=_soonest((lease.expires_at - now for lease in held if lease is not None), horizon),
            promote_in=_soonest((run_at - now for run_at in runs), horizon),
            tick_in=None,
        )

    async def promote(self) -> int:
        """Make scheduled tasks whose time has come claimable."""
        await _let_others_go_first()
        now = self.clock.now()
        due = [row for row in self._store.in_state(TaskState.SCHEDULED) if row.task.run_at <= now]
        for row in due:
            row.queued_at = row.task.run_at
            row.change(state=TaskState.QUEUED, updated_at=now)
        return len(due)

    async def recover(self, *, limit: int = 100) -> list[Task]:
        """Take tasks from holders that stopped renewing."""
        await _let_others_go_first()
        found = self._store.lease_expired()[: at_most(limit)]
        for row in found:
            self._recover(row)
        return _shown(found)

    def _recover(self, row: InMemoryTask) -> None:
        lease = Lease.of(row.task)
        message = f"worker {lease.worker_id} stopped renewing the lease: it died, hung or lost the database"
        error = TaskError(type="LeaseExpired", message=message, attempt=row.task.attempt)
        if lease.is_last_attempt:
            self._store.finish(row, [failed_event(shown_error(error))], TaskState.FAILED, error=error)
        else:
            events = [retrying_event(shown_error(error), timedelta(0))]
            self._store.requeue(row, events, timedelta(0), error)

    async def fill_claim_keys(self) -> int:
        """Let tasks be claimed that a host of an older release enqueued: here there are none."""
        await _let_others_go_first()
        return 0

    async def expire(self, *, limit: int = 100) -> list[Task]:
        """Fail tasks that no worker claimed in time."""
        await _let_others_go_first()
        found = self._store.expired()[: at_most(limit)]
        for row in found:
            error = TaskError(type="Expired", message=UNCLAIMED, attempt=0)
            self._store.finish(row, [failed_event(shown_error(error))], TaskState.FAILED, error=error)
        return _shown(found)

    async def prune(self, *, older_than: timedelta, limit: int = 1000) -> int:
        """Delete tasks that have been final for long, with their events and steps."""
        await _let_others_go_first()
        until = self.clock.now() - older_than
        final = self._store.in_state(*FINAL_STATES)
        old = [row for row in final if row.task.finished_at is not None and row.task.finished_at <= until]
        # A parent that runs again asks for its children's outcomes.
        unneeded = [row for row in old if not self._store.is_needed(row)][: at_most(limit)]
        for row in unneeded:
            self._store.remove(row)
        return len(unneeded)


def _refuse_session(session: Session | None) -> None:
    if session is not None:
        raise ValueError("InMemoryTaskQueue has no transactions that a call could join; leave session= out")


async def _let_others_go_first() -> None:
    # A loop that polls this queue must not keep the event loop for itself.
    await asyncio.sleep(0)


def _place(row: InMemoryTask) -> tuple[datetime, str]:
    return row.task.created_at, row.task.id


def _soonest(waits: Iterable[timedelta], horizon: timedelta) -> timedelta | None:
    return min((max(wait, timedelta(0)) for wait in waits if wait <= horizon), default=None)


def _shown(rows: Iterable[InMemoryTask]) -> list[Task]:
    return [row.shown() for row in rows]


def _matches(task: Task, match: TaskFilter) -> bool:
    return (
        match.owner_id in (None, task.owner_id)
        and match.queue in (None, task.queue)
        and match.actor in (None, task.actor)
        and task.actor not in match.except_actors
        and all(getattr(match, name) in (None, getattr(task, name)) for name in LABELS)
        and (match.created_before is None or task.created_at < match.created_before)
        and (match.created_after is None or task.created_at >= match.created_after)
        and (match.task_ids is None or task.id in match.task_ids)
    )
