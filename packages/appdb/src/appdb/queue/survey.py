"""What a claimer knows of who waits, which queues are paused and whether others claim: looked up once a second."""

from __future__ import annotations

import time
from datetime import timedelta

from pydantic import ValidationError

from appdb._queries import claims as queries
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.database import Database
from appdb.models.limits import TaskLimit
from appdb.queue.fairness import Head
from appdb.queue.lease import Claimer

SURVEY_AGE = timedelta(seconds=0.9)
"""How old a survey may be before a claim looks again; with the claim itself a pause is heeded within a second."""
MAX_GROUPS = 200
"""Groups that one survey looks at, each one seek of the index; with more, the next survey goes on behind them."""


class Survey(BaseRepository):
    """Looks at who waits, in one round trip."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._tasks = self._collection(collections.TASKS)
        self._surveyed_at = float("-inf")
        self._after = ""
        self._damaged = False
        self.paused: frozenset[str] = frozenset()
        self.heads: list[Head] = []
        self.rivals: frozenset[str] = frozenset()
        """Other workers that hold tasks now, so that claimers should not all go for the same ones."""

    @property
    def crowded(self) -> bool:
        """Whether turns or limits decide who is next, and not the order of the index alone."""
        return self._damaged or any(head.limits for head in self.heads) or len({one.owner_id for one in self.heads}) > 1

    @property
    def stale(self) -> bool:
        """Whether it is time to look again."""
        return time.monotonic() - self._surveyed_at > SURVEY_AGE.total_seconds()

    @property
    def known(self) -> bool:
        """Whether anything was looked up that still counts."""
        return self._surveyed_at > float("-inf")

    def forget(self) -> None:
        """Look again at the next claim."""
        self._surveyed_at = float("-inf")

    async def refresh(self, claimer: Claimer) -> None:
        """Look again, in one round trip that grows with what *claimer* holds and not with the number of tasks."""
        asked_at = time.monotonic()
        lanes = open_lanes(claimer, frozenset())
        pipeline = queries.survey(lanes, claimer.worker_id, after=self._after, limit=MAX_GROUPS)
        rows = [row async for row in self._tasks.aggregate(pipeline)]
        self.paused = frozenset(str(row["_id"]) for row in rows if row["about"] == "paused")
        self.rivals = frozenset(str(row["_id"]) for row in rows if row["about"] == "rival")
        groups = [row for row in rows if row["about"] == "group"]
        self._after = str(groups[-1]["_id"]) if len(groups) == MAX_GROUPS else ""
        open_now = tuple(f"{lane}{queries.SEPARATOR}" for lane in open_lanes(claimer, self.paused))
        # Only a look at each line finds a task whose limits cannot be read, so that it is taken and set aside.
        self._damaged = any(row["limits"] and not task_limits(row["limits"]) for row in groups)
        self.heads = [_head(row) for row in groups if str(row["_id"]).startswith(open_now)]
        self._surveyed_at = asked_at


def open_lanes(claimer: Claimer, paused: frozenset[str]) -> list[str]:
    """Return the lanes that *claimer* may take from: each of its queues that is not paused, with each handler."""
    return [
        queries.lane(queue, handler) for queue in claimer.queues if queue not in paused for handler in claimer.handlers
    ]


def _head(row: dict[str, object]) -> Head:
    return Head(
        group=str(row["_id"]),
        owner_id=str(row["owner_id"]),
        priority=priority_of(row["priority"]),
        limits=task_limits(row["limits"]),
    )


def priority_of(stored: object) -> int:
    """Return a task's priority; one that is no whole number is found by whoever reads the task as a whole."""
    return stored if isinstance(stored, int) else 0


def task_limits(stored: object) -> tuple[TaskLimit, ...]:
    """Return the limits that a task carries; those of a task that cannot be read are none."""
    if not isinstance(stored, list):
        return ()
    try:
        return tuple(TaskLimit.model_validate(limit) for limit in stored)
    except ValidationError:
        return ()
