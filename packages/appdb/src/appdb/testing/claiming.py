"""Which due tasks a claim gives: order, turns of owners, and limits."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from appdb.models.limits import Limit
from appdb.models.task import TaskLimit, TaskState
from appdb.testing.store import Row, Store

FAIR_WINDOW = 64
"""With more due tasks than this, owners take turns."""


class Dispatcher:
    """
    Chooses what a claim gives, and remembers whose turn it was and what was spent.

    Args:
        store: The tasks.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turns: dict[str, int] = {}
        self._buckets: dict[str, _Bucket] = {}
        self.overrides: dict[str, Limit] = {}

    def in_order(self, due: list[Row]) -> Iterator[Row]:
        """Yield due tasks as they should be given: higher priority first, then the oldest, or the owner's next."""
        ordered = sorted(due, key=lambda row: (-row.task.priority, row.queued_at, row.task.id))
        if len(ordered) <= FAIR_WINDOW:
            yield from ordered
            return
        by_priority: defaultdict[int, list[Row]] = defaultdict(list)
        for row in ordered:
            by_priority[row.task.priority].append(row)
        for rows in by_priority.values():
            yield from self._in_turns(rows)

    def _in_turns(self, rows: list[Row]) -> Iterator[Row]:
        waiting: defaultdict[str, deque[Row]] = defaultdict(deque)
        for row in rows:
            waiting[row.task.owner_id].append(row)
        while waiting:
            owner = min(waiting, key=lambda name: self._turns.get(name, 0))
            yield waiting[owner].popleft()
            if not waiting[owner]:
                del waiting[owner]

    def admit(self, row: Row) -> bool:
        """Take the task's share of its limits, all or none, and tell whether there was room."""
        limits = [self._limit(stored) for stored in row.task.limits]
        buckets = [self._bucket(limit) for limit in limits if limit.rate is not None]
        if any(self._full(limit) for limit in limits) or any(bucket.level < 1 for bucket in buckets):
            return False
        for bucket in buckets:
            bucket.level -= 1
        self._turns[row.task.owner_id] = max(self._turns.values(), default=0) + 1
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
