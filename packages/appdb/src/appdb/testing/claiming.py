"""The choice of a claim in memory: order, fair share of owners, and limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from appdb.models.limits import Limit, Rate, TaskLimit
from appdb.models.tasks import TaskState
from appdb.queue.allowance import Allowance, grant, least, refilled
from appdb.queue.fairness import Candidate, FairShare
from appdb.testing.store import InMemoryTask, TaskStore


class InMemoryClaiming:
    """
    The claiming of one queue in memory: chooses tasks for a claim, and keeps shares and spent limits.

    Args:
        store: The tasks.
    """

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._shares = FairShare()
        self._levels: dict[str, tuple[datetime, Mapping[Rate, float]]] = {}
        self.overrides: dict[str, Limit] = {}
        self.limit_reached = False

    def chosen(self, due: Sequence[InMemoryTask], limit: int) -> Iterator[InMemoryTask]:
        """Yield at most *limit* of *due*, each to be taken before the next: by priority, in turns, then the oldest."""
        self.limit_reached = False
        self._shares.set_waiting(row.task.owner_id for row in due)
        by_id = {row.task.id: row for row in due}
        count = 0
        for candidate in self._shares.in_turns([_candidate(row) for row in due]):
            if count == limit:
                return
            # A limit that is reached holds back this task only; those behind it may have others.
            if self._admit(by_id[candidate.task_id]):
                self._shares.count_served(candidate.owner_id)
                count += 1
                yield by_id[candidate.task_id]
            else:
                self.limit_reached = True

    def _admit(self, row: InMemoryTask) -> bool:
        allowances = {limit.key: self._allowance(limit.key) for limit in row.task.limits}
        if not grant(row.task.limits, allowances):
            return False
        now = self._store.clock.now()
        self._levels |= {key: (now, allowance.levels) for key, allowance in allowances.items()}
        return True

    def _allowance(self, key: str) -> Allowance:
        now = self._store.clock.now()
        at, levels = self._levels.get(key, (now, {}))
        override = self.overrides.get(key)
        running = [row for row in self._store.in_state(TaskState.PROCESSING) if _of(row, key)]
        # Tasks carry limits of their own under one key; the narrowest of those that run is the one that holds.
        narrowest = None
        for limit in (limit for row in running for limit in _of(row, key)):
            narrowest = least(narrowest, limit.concurrency)
        return Allowance(
            running=len(running),
            narrowest=narrowest,
            levels=refilled(levels, (now - at).total_seconds()),
            override=None if override is None else TaskLimit.of(override),
        )


def _of(row: InMemoryTask, key: str) -> list[TaskLimit]:
    return [limit for limit in row.task.limits if limit.key == key]


def _candidate(row: InMemoryTask) -> Candidate:
    return Candidate(
        task_id=row.task.id,
        owner_id=row.task.owner_id,
        priority=row.task.priority,
        queued_at=row.queued_at,
        limits=tuple(row.task.limits),
    )
