"""Prepared writes: what one write of an attempt changes in its task, and how to tell afterwards whether it did."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, assert_never

from appdb._driver import RawDocument, UpdateOne
from appdb._queries import tasks as queries
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline
from appdb.models.tasks import TaskState
from appdb.queue.attempt_write import AttemptOutcome, AttemptWrite, Completed, Failed, Released, Suspended
from appdb.queue.lease import Lease
from appdb.queue.log_events import fills_recent_events, is_heavy, latest_progress, stored_events
from appdb.queue.outcome_events import error_of, outcome_event


class PreparedWrite:
    """
    One write of one attempt as the committer sends it, and recognises it in a task.

    Args:
        write: The write, which was checked when it was made.
    """

    def __init__(self, write: AttemptWrite) -> None:
        self.lease = write.lease
        self.seq = write.seq
        self.weight = write.event_bytes + write.result_bytes
        """What it adds to a statement, in bytes."""
        self.event_bytes = write.event_bytes
        self._outcome = write.effective_outcome
        self.ends = self._outcome is not None
        self.completes = isinstance(self._outcome, Completed)
        # The event that tells of the outcome is written with it, so that no viewer sees the one without the other.
        last = [] if self._outcome is None else [outcome_event(self._outcome, write.lease)]
        self._events = [*write.events, *last]
        self._kind = last[0].type.value if last else ""

    @property
    def event_count(self) -> int:
        """How many events it appends."""
        return len(self._events)

    @property
    def fills_log(self) -> bool:
        """Whether its events fill up what the task carries of its log; unknown, so no, where the log counts them."""
        return self.seq is not None and fills_recent_events(self.seq, self.event_count)

    @property
    def is_heavy(self) -> bool:
        """Whether a task that carries its events carries too much."""
        return is_heavy(self.event_count, self.event_bytes)

    @property
    def batch_row(self) -> dict[str, Any]:
        """What a statement for many tasks must know of this one."""
        result = self._outcome.result if isinstance(self._outcome, Completed) else None
        return {
            "task_id": self.lease.task_id,
            "events": stored_events(self._events),
            "progress": latest_progress(self._events),
            "result": None if result is None else dict(result),
        }

    @property
    def ends_with_dependents(self) -> bool:
        """Whether it ends an attempt of a task on whose end others wait, as far as its holder knows."""
        return self.ends and self.lease.has_dependents

    def statement(self, mark: str, more: Mapping[str, Any] | None = None) -> UpdateOne:
        """Return the statement for this task only: for what is rare, and differs from task to task."""
        return UpdateOne(*self.change(mark, more))

    def change(self, mark: str, more: Mapping[str, Any] | None = None) -> tuple[Filter, Pipeline]:
        """Return the filter and the update of this task only."""
        match = queries.held(self.lease.task_id, self.lease.token) | dict(more or {})
        if self.seq is not None:
            match["event_count"] = self.seq
        changes = {} if self._outcome is None else _changes(self._outcome, self.lease)
        signed = queries.settled_by(self.lease.token, self._kind) | {"commit": literal(mark)}
        return match, queries.logged(stored_events(self._events), latest_progress(self._events), changes | signed)

    def is_in(self, task: RawDocument | None, mark: str) -> bool:
        """Whether *task* shows this write: that of the commit *mark*, or an earlier one whose answer was lost."""
        if task is None:
            return False
        return task.get("commit") == mark or self._is_from_before(task)

    def _is_from_before(self, task: RawDocument) -> bool:
        if self.ends:
            # Only the holder leaves this behind, never one who takes the task away.
            return bool(task.get("settled") == {"token": self.lease.token, "kind": self._kind})
        return (
            self._holds_lease(task)
            and self.seq is not None
            and _counts(task, self.seq + len(self._events))
            and len(self._events) > 0
        )

    def may_write(self, task: RawDocument | None) -> bool:
        """Whether the fence would let this write pass."""
        if task is None or not self._holds_lease(task):
            return False
        return self.seq is None or _counts(task, self.seq)

    def _holds_lease(self, task: RawDocument) -> bool:
        # Other software may have written anything there, which then holds nothing.
        lease = task.get("lease")
        held = isinstance(lease, dict) and lease.get("token") == self.lease.token
        return held and task.get("state") == TaskState.PROCESSING


def _counts(task: RawDocument, events: int) -> bool:
    """Return whether the log of *task* has so many events, as the server compares: to it, true is no number."""
    count = task.get("event_count")
    return not isinstance(count, bool) and bool(count == events)


def _changes(outcome: AttemptOutcome, lease: Lease) -> dict[str, Any]:
    match outcome:
        case Completed(result=result):
            return queries.settle(TaskState.COMPLETED, result, None)
        case Failed(retry_in=timedelta() as pause):
            return queries.reschedule(pause, error_of(outcome, lease))
        case Failed():
            return queries.settle(TaskState.FAILED, None, error_of(outcome, lease))
        case Released():
            return queries.hand_back()
        case Suspended():
            return queries.suspend()
        case _:
            assert_never(outcome)
