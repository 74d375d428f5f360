"""The task store in memory: tasks, task logs and steps, and the lawful changes of a task."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import JsonValue

from appdb._queries.clock import FOREVER
from appdb._queries.tasks import MAX_KEPT_ERRORS
from appdb.errors import ConflictError, LeaseLostError, NotFoundError
from appdb.events import TaskEventType
from appdb.models.limits import TaskLimit
from appdb.models.task_events import NewEvent, TaskEvent
from appdb.models.tasks import NewTask, Progress, Task, TaskError, TaskLease, TaskState
from appdb.queue.labels import handed_on, labels_of
from appdb.queue.lease import Lease, handler
from appdb.queue.task_document import FOREIGN_ID, is_delayed, same_request
from appdb.testing.clock import ManualClock
from appdb.utils import derived_id, uuid7_str


@dataclass(slots=True)
class InMemoryTask:
    """One stored task: the task that callers see, and the fields that only the queue needs."""

    task: Task
    new: NewTask
    handler: str
    queued_at: datetime
    settled: tuple[str, TaskEventType] | None = None
    events: list[TaskEvent] = field(default_factory=list)
    steps: dict[str, JsonValue] = field(default_factory=dict)

    def change(self, **changes: Any) -> None:
        """Set fields of the task."""
        self.task = self.task.model_copy(update=changes)

    def shown(self) -> Task:
        """Return the task for a caller, who may do with it what he likes."""
        # As a database does, where every caller gets documents of his own.
        return self.task.model_copy(deep=True)

    def expired_at(self, now: datetime) -> bool:
        """Whether the task's time to be claimed is over."""
        return self.task.expires_at is not None and self.task.expires_at <= now

    def unique_at(self, now: datetime) -> bool:
        """Whether the task's unique key still stands for it."""
        if isinstance(self.new.unique_for, timedelta):
            return now < self.task.created_at + self.new.unique_for
        return self.new.unique_for == "kept" or not self.task.state.final


class TaskStore:
    """
    The tasks of one queue in memory.

    Args:
        clock: Whose time decides everything.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.rows: dict[str, InMemoryTask] = {}
        self._keys: dict[tuple[str, str], InMemoryTask] = {}

    def owned(self, task_id: str, owner_id: str) -> InMemoryTask:
        """Return the owner's task.

        Raises:
            NotFoundError: The owner has no such task.
        """
        return self.found(task_id, owner_id)

    def found(self, task_id: str, owner_id: str | None) -> InMemoryTask:
        """Return the task, of this owner unless that is ``None``.

        Raises:
            NotFoundError: There is no such task.
        """
        row = self.rows.get(task_id)
        if row is None or owner_id not in (None, row.task.owner_id):
            raise NotFoundError("task", task_id)
        return row

    def in_state(self, *states: TaskState) -> list[InMemoryTask]:
        """Return the tasks that are in one of *states*."""
        return [row for row in self.rows.values() if row.task.state in states]

    def lease_expired(self) -> list[InMemoryTask]:
        """Return the tasks whose holders stopped renewing."""
        now = self.clock.now()
        held = self.in_state(TaskState.PROCESSING)
        return [row for row in held if row.task.lease is not None and row.task.lease.expires_at <= now]

    def expired(self) -> list[InMemoryTask]:
        """Return the tasks that no worker claimed in time."""
        now = self.clock.now()
        return [row for row in self.in_state(TaskState.SCHEDULED, TaskState.QUEUED) if row.expired_at(now)]

    def held(self, lease: Lease) -> InMemoryTask | None:
        """Return the task that *lease* still holds."""
        row = self.rows.get(lease.task_id)
        holder = row.task.lease if row is not None else None
        return row if holder is not None and holder.token == lease.token else None

    def fenced(self, lease: Lease) -> InMemoryTask:
        """Return the task that *lease* holds.

        Raises:
            LeaseLostError: It holds nothing any more.
        """
        row = self.held(lease)
        if row is None:
            raise LeaseLostError(lease.task_id, lease.attempt)
        return row

    def add(self, new: NewTask, **origin: str | None) -> InMemoryTask:
        """Store *new*, or return the first task with its id or its unique key.

        Args:
            new: The task.
            origin: Where it comes from: ``parent_id``, ``replay_of``, ``cause_id``.

        Raises:
            ConflictError: The id belongs to another owner's task, or the unique key stands for a task with another
                actor or payload.
        """
        first = self.rows.get(new.task_id or "") or self._first_with_key(new)
        if first is not None:
            if first.task.owner_id != new.owner_id:
                raise ConflictError("task", first.task.id, FOREIGN_ID)
            return first
        row = _row(new, self.clock.now(), origin)
        self.rows[row.task.id] = row
        if new.unique_key is not None:
            self._hand_over(new.unique_key, row)
        return row

    def _hand_over(self, unique_key: str, row: InMemoryTask) -> None:
        # The first task gives the key up: a key stands for one task at a time.
        released = self._keys.get((row.task.owner_id, unique_key))
        if released is not None:
            released.change(unique_key=None)
        self._keys[row.task.owner_id, unique_key] = row

    def _first_with_key(self, new: NewTask) -> InMemoryTask | None:
        first = self._keyed(new)
        if first is not None and new.unique_key is not None:
            same_request(first.task, new)
        return first

    def _keyed(self, new: NewTask) -> InMemoryTask | None:
        first = self._keys.get((new.owner_id, new.unique_key or ""))
        stands = new.unique_key is not None and first is not None and first.unique_at(self.clock.now())
        return first if stands else None

    def is_needed(self, row: InMemoryTask) -> bool:
        """Whether the task that spawned this one may ask for it again."""
        parent = self.rows.get(row.task.parent_id or "")
        return parent is not None and not parent.task.state.final

    def remove(self, row: InMemoryTask) -> None:
        """Forget a task with its log, its steps and its unique key."""
        del self.rows[row.task.id]
        key = (row.task.owner_id, row.task.unique_key or "")
        # A key that was given up belongs to a later task.
        if self._keys.get(key) is row:
            del self._keys[key]

    def append(self, row: InMemoryTask, events: Sequence[NewEvent], **changes: Any) -> None:
        """Append *events* to the task's log, and set fields of the task; the last progress becomes the task's own."""
        now = self.clock.now()
        for event in events:
            row.events.append(_entry(row, event, now))
        latest = next((event.data for event in reversed(events) if event.type is TaskEventType.PROGRESS), None)
        if latest is not None:
            row.change(progress=Progress.model_validate(latest))
        row.change(event_count=len(row.events), updated_at=now, **changes)

    def take(self, row: InMemoryTask, worker_id: str, token: str, lease: timedelta) -> None:
        """Give the task to a worker, and count the attempt."""
        now = self.clock.now()
        row.change(
            state=TaskState.PROCESSING,
            attempt=row.task.attempt + 1,
            lease=TaskLease(token=token, worker_id=worker_id, expires_at=now + lease),
            progress=None,
            expires_at=None,
            started_at=now,
            updated_at=now,
        )

    def requeue(self, row: InMemoryTask, events: Sequence[NewEvent], delay: timedelta, error: TaskError) -> None:
        """Let the task run again after *delay*."""
        # The place in line counts from when the task is due again.
        row.queued_at = self.clock.now() + delay
        state = TaskState.SCHEDULED if delay else TaskState.QUEUED
        changes = self._errors(row, error)
        self.append(row, events, state=state, lease=None, run_at=row.queued_at, **changes)

    def hand_back(self, row: InMemoryTask, events: Sequence[NewEvent]) -> None:
        """Make the task claimable as if it had not been claimed."""
        self.append(row, events, state=TaskState.QUEUED, lease=None, attempt=row.task.attempt - 1)

    def suspend(self, row: InMemoryTask, events: Sequence[NewEvent]) -> None:
        """Let the task wait for its children, as long as one is open."""
        # Waiting for children is no attempt, so it counts as if it had been handed back.
        self.hand_back(row, events)
        if row.task.children_open:
            row.change(state=TaskState.SCHEDULED, waiting=True, run_at=FOREVER)
        else:
            row.change(run_at=self.clock.now())

    def finish(
        self,
        row: InMemoryTask,
        events: Sequence[NewEvent],
        state: TaskState,
        *,
        result: Mapping[str, Any] | None = None,
        error: TaskError | None = None,
    ) -> None:
        """End the task for good, and let its parent know."""
        # A task that completes after failed attempts has errors, but no error.
        changes = self._errors(row, error) if error is not None else {"error": None}
        outcome = copy.deepcopy(dict(result)) if result is not None else None
        now = self.clock.now()
        self.append(
            row,
            events,
            state=state,
            lease=None,
            waiting=False,
            expires_at=None,
            finished_at=now,
            result=outcome,
            **changes,
        )
        if state is TaskState.COMPLETED:
            for number, following in enumerate(row.new.then):
                self._follow(row, following, "then", str(number))
        for number, following in enumerate(row.new.on_end):
            self._follow(row, following, "end", str(row.task.event_count), str(number))
        if row.task.parent_id in self.rows:
            self._child_ended(self.rows[row.task.parent_id])

    def _follow(self, row: InMemoryTask, following: NewTask, *place: str) -> None:
        # A key that stands for a task already is an answer too; an error here would undo the end.
        if self._keyed(following) is None:
            task_id = following.task_id or derived_id("tq_", row.task.id, *place)
            self.add(replace(labelled(following, row.task), task_id=task_id), cause_id=row.task.id)

    def _child_ended(self, parent: InMemoryTask) -> None:
        parent.change(children_open=parent.task.children_open - 1)
        if parent.task.waiting and not parent.task.children_open:
            self.wake(parent)

    def wake(self, row: InMemoryTask) -> None:
        """Make a task that waited for its time or its children claimable."""
        now = self.clock.now()
        row.change(state=TaskState.QUEUED, waiting=False, run_at=now, updated_at=now)

    def cancel(self, row: InMemoryTask) -> None:
        """Cancel a task and all live tasks below it; one that has completed or failed stays with all below it."""
        if row.task.state.final and row.task.state is not TaskState.CANCELLED:
            return
        below = deque([row])
        while below:
            each = below.popleft()
            below.extend(self.children(each.task.id))
            if not each.task.state.final:
                self.finish(each, [NewEvent(type=TaskEventType.CANCELLED)], TaskState.CANCELLED)

    def children(self, task_id: str) -> list[InMemoryTask]:
        """Return the tasks that a task spawned, oldest first."""
        found = [row for row in self.rows.values() if row.task.parent_id == task_id]
        return sorted(found, key=lambda row: (row.task.created_at, row.task.id))

    def _errors(self, row: InMemoryTask, error: TaskError) -> dict[str, Any]:
        stamped = error.model_copy(update={"at": self.clock.now()})
        return {"error": stamped, "errors": [*row.task.errors, stamped][-MAX_KEPT_ERRORS:]}


def _entry(row: InMemoryTask, event: NewEvent, now: datetime) -> TaskEvent:
    seq = len(row.events)
    return TaskEvent.from_document(
        {
            "_id": f"{row.task.id}:{seq}",
            "task_id": row.task.id,
            "seq": seq,
            "type": event.type,
            "attempt": row.task.attempt,
            "at": now,
            "data": copy.deepcopy(event.data),
        }
    )


def labelled(new: NewTask, giver: Task) -> NewTask:
    """Return *new* with the labels that it takes over from *giver*."""
    return replace(new, **handed_on(labels_of(new), labels_of(giver)))


def _row(new: NewTask, now: datetime, origin: Mapping[str, str | None]) -> InMemoryTask:
    due = new.run_at or now + new.delay
    document = {
        "_id": new.task_id or uuid7_str("tq_"),
        "owner_id": new.owner_id,
        "actor": new.actor,
        "actor_version": new.actor_version,
        "queue": new.queue,
        "payload": copy.deepcopy(new.payload),
        "priority": new.priority,
        "state": TaskState.SCHEDULED if is_delayed(new) else TaskState.QUEUED,
        "max_attempts": new.max_attempts,
        "timeout_seconds": new.timeout.total_seconds() if new.timeout else None,
        "unique_key": new.unique_key,
        "limits": [TaskLimit.of(limit) for limit in new.limits],
        "created_at": now,
        "updated_at": now,
        "run_at": due,
        "expires_at": None if new.expires_in is None else now + new.expires_in,
        "attached": bool(new.then or new.on_end or origin.get("parent_id")),
        **labels_of(new),
        **origin,
    }
    return InMemoryTask(Task.from_document(document), new, handler(new.actor, new.actor_version), due)
