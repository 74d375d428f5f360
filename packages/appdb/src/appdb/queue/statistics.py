"""Statistics of queues, counted from indexes alone: no document is read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from appdb._queries import queue_statistics as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.models.queues import QueueStats
from appdb.models.tasks import FINAL_STATES, TaskState
from appdb.models.vocabulary import word


@dataclass(slots=True)
class _Counts:
    live: dict[str, int] = field(default_factory=dict)
    finished: dict[TaskState, int] = field(default_factory=dict)
    oldest_seconds: float | None = None
    paused: bool = False


class QueueStatistics:
    """Counts tasks by queue."""

    def __init__(self, connection: Connection) -> None:
        self._tasks = connection.collection(collections.TASKS)

    async def by_queue(self, window: timedelta) -> list[QueueStats]:
        """Return every queue that has live tasks, was paused, or finished something within *window*; one round trip."""
        counts: defaultdict[str, _Counts] = defaultdict(_Counts)
        async for row in self._tasks.aggregate(queries.by_queue(window)):
            _add(counts[str(row.get("queue"))], row)
        return [_stats(queue, counts[queue]) for queue in sorted(counts)]


def _add(counts: _Counts, row: dict[str, Any]) -> None:
    match row["about"]:
        case "paused":
            counts.paused = True
        case "finished" if (state := str(row.get("state"))) in FINAL_STATES:
            counts.finished[word(TaskState, state)] = row["count"]
        case "finished":
            # A state of other software; `appdb check --documents` tells of it.
            pass
        case live:
            counts.live[live] = counts.live.get(live, 0) + row["count"]
            age = row.get("age_ms")
            if age is not None:
                counts.oldest_seconds = max(counts.oldest_seconds or 0.0, age / 1000)


def _stats(queue: str, counts: _Counts) -> QueueStats:
    return QueueStats(
        queue=queue,
        paused=counts.paused,
        scheduled=counts.live.get(TaskState.SCHEDULED, 0),
        queued=counts.live.get(TaskState.QUEUED, 0),
        processing=counts.live.get(TaskState.PROCESSING, 0),
        finished=counts.finished,
        oldest_queued_seconds=counts.oldest_seconds,
    )
