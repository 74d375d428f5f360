"""The statistics of in-memory queues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from appdb.models.queues import QueueStats
from appdb.models.tasks import TaskState
from appdb.testing.store import InMemoryTask


def figures(rows: Iterable[InMemoryTask], paused: set[str], now: datetime, window: timedelta) -> list[QueueStats]:
    """Return the figures of every queue that has tasks or is paused, by name.

    Args:
        rows: All tasks.
        paused: The paused queues.
        now: The time.
        window: How far back finished tasks are counted.
    """
    by_queue: dict[str, list[InMemoryTask]] = {name: [] for name in paused}
    for row in rows:
        by_queue.setdefault(row.task.queue, []).append(row)
    return [
        _figures(name, found, paused=name in paused, now=now, since=now - window)
        for name, found in sorted(by_queue.items())
    ]


def _figures(queue: str, rows: list[InMemoryTask], *, paused: bool, now: datetime, since: datetime) -> QueueStats:
    live = Counter(row.task.state for row in rows)
    finished = Counter(row.task.state for row in rows if row.task.finished_at and row.task.finished_at >= since)
    waits = [row.queued_at for row in rows if row.task.state is TaskState.QUEUED]
    return QueueStats(
        queue=queue,
        paused=paused,
        scheduled=live[TaskState.SCHEDULED],
        queued=live[TaskState.QUEUED],
        processing=live[TaskState.PROCESSING],
        finished=dict(finished),
        oldest_queued_seconds=(now - min(waits)).total_seconds() if waits else None,
    )
