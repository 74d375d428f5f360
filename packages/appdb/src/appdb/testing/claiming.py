"""Which due tasks a claim gives: order, turns of owners, and limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from appdb.models.limits import Limit, TaskLimit
from appdb.models.task import TaskState
from appdb.queue.fairness import Candidate, Turns
from appdb.testing.store import Row, Store


class Dispatcher:
    """
    Chooses what a claim gives, and remembers whose turn it was and what was spent.

    Args:
        store: The tasks.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turns = Turns()
        self._buckets: dict[str, _Bucket] = {}
        self.overrides: dict[str, Limit] = {}
        self.held_back = False

    def chosen(self, due: Sequence[Row], limit: int) -> Iterator[Row]:
        """Yield at most *limit* of *due*, each to be taken before the next: by priority, in turns, then the oldest."""
        self.held_back = False
        self._turns.waiting(row.task.owner_id for row in due)
        by_id = {row.task.id: row for row in due}
        count = 0
        for candidate in self._turns.order([_candidate(row) for row in due]):
            if count == limit:
                return
            if self._admit(by_id[candidate.task_id]):
                self._turns.served(candidate.owner_id)
                count += 1
                yield by_id[candidate.task_id]
            else:
                self.held_back = True

    def _admit(self, row: Row) -> bool:
        limits = [self._limit(stored) for stored in row.task.limits]
        buckets = [self._bucket(limit) for limit in limits if limit.rate is not None]
        if any(self._full(limit) for limit in limits) or any(bucket.level < 1 for bucket in buckets):
            return False
        for bucket in buckets:
            bucket.level -= 1
        return True

    def _limit(self, stored: TaskLimit) -> Limit:
        own = Limit(
            key=stored.key,
            concurrency=stored.concurrency,
            rate=stored.rate,
            per=timedelta(seconds=stored.per_seconds),
        )
        return self.overrides.get(stored.key, own)

    def _full(self, limit: Limit) -> bool:
        if limit.concurrency is None:
            return False
        return _running(self._store.in_state(TaskState.PROCESSING), limit.key) >= limit.concurrency

    def _bucket(self, limit: Limit) -> _Bucket:
        now = self._store.clock.now()
        capacity = float(limit.rate or 0)
        bucket = self._buckets.setdefault(limit.key, _Bucket(capacity, now))
        bucket.refill(capacity, capacity / limit.per.total_seconds(), now)
        return bucket


class _Bucket:
    """What is left of a rate: it starts full and fills again with time."""

    def __init__(self, level: float, at: datetime) -> None:
        self.level = level
        self._at = at

    def refill(self, capacity: float, per_second: float, now: datetime) -> None:
        self.level = min(capacity, self.level + per_second * (now - self._at).total_seconds())
        self._at = now


def _running(rows: Iterable[Row], key: str) -> int:
    return sum(any(limit.key == key for limit in row.task.limits) for row in rows)


def _candidate(row: Row) -> Candidate:
    return Candidate(
        task_id=row.task.id,
        owner_id=row.task.owner_id,
        priority=row.task.priority,
        queued_at=row.queued_at,
        limits=tuple(row.task.limits),
    )
