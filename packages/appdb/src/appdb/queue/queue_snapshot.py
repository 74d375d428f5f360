"""What a claimer knows of who waits, which queues are paused and whether others claim: looked up once a second."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from pydantic import ValidationError

from appdb._driver import RawDocument
from appdb._queries import task_claims as queries
from appdb._queries.clock import FOREVER
from appdb._schema import collections
from appdb.connection import Connection
from appdb.models.limits import TaskLimit
from appdb.queue.fairness import GroupHead
from appdb.queue.lease import Claimer

MAX_SNAPSHOT_AGE = timedelta(seconds=0.9)
"""How old a survey may be before a claim looks again; with the claim itself a pause is heeded within a second."""
MAX_GROUPS = 200
"""Groups that one survey looks at, each one seek of the index; with more, the next survey goes on behind them."""
MAX_REMEMBERED = 2_000
"""Groups that a claimer remembers; of more, those that it saw longest ago are forgotten until they are seen again."""


class QueueSnapshot:
    """Looks at who waits, in one round trip."""

    def __init__(self, connection: Connection) -> None:
        self._tasks = connection.collection(collections.TASKS)
        self._taken_at = float("-inf")
        self._claimer: Claimer | None = None
        self._known: dict[str, GroupHead] = {}
        self._after = ""
        self._damaged = False
        self._pages = 0
        self.round = 1
        """How many surveys it takes to see all groups; what the last round took."""
        self.paused: frozenset[str] = frozenset()
        self.heads: list[GroupHead] = []
        """The groups that may be claimed from, as far as they were seen."""
        self.competitors: frozenset[str] = frozenset()
        """Other workers that hold tasks now, so that claimers should not all go for the same ones."""

    @property
    def needs_turns(self) -> bool:
        """Whether turns or limits decide who is next, and not the order of the index alone."""
        return self._damaged or any(head.limits for head in self.heads) or len({one.owner_id for one in self.heads}) > 1

    @property
    def stale(self) -> bool:
        """Whether it is time to look again."""
        return time.monotonic() - self._taken_at > MAX_SNAPSHOT_AGE.total_seconds()

    @property
    def loaded(self) -> bool:
        """Whether anything was looked up that still counts."""
        return self._taken_at > float("-inf")

    @property
    def all_seen(self) -> bool:
        """Whether the last survey has ended a round, so that every group was seen."""
        return self._after == ""

    def invalidate(self) -> None:
        """Look again at the next claim."""
        self._taken_at = float("-inf")

    def serve(self, claimer: Claimer) -> None:
        """Know nothing yet if *claimer* may take other tasks than the one who asked before."""
        if self._claimer is not None and (claimer.queues, claimer.handlers) != (
            self._claimer.queues,
            self._claimer.handlers,
        ):
            self._known, self.heads, self._after, self._pages = {}, [], "", 0
            self.invalidate()
        self._claimer = claimer

    def drop(self, groups: Collection[str]) -> None:
        """Leave *groups* alone until they are seen again, since nothing was to be had from them."""
        gone = set(groups)
        for group in gone:
            self._known.pop(group, None)
        self.heads = [head for head in self.heads if head.group not in gone]

    async def refresh(self, claimer: Claimer) -> None:
        """Look again, in one round trip that grows with what *claimer* holds and not with the number of tasks."""
        self.serve(claimer)
        asked_at = time.monotonic()
        claim_keys, open_before = open_claim_keys(claimer, frozenset()), open_claim_keys(claimer, self.paused)
        pipeline = queries.survey(claim_keys, open_before, claimer.worker_id, after=self._after, limit=MAX_GROUPS)
        # In one answer: by itself the server gives 101 at first.
        rows = [row async for row in self._tasks.aggregate(pipeline, batchSize=2 * MAX_GROUPS)]
        self.paused = frozenset(str(row["_id"]) for row in rows if row["about"] == "paused")
        self.competitors = frozenset(str(row["_id"]) for row in rows if row["about"] == "competitor")
        self._replace_page([_head(row) for row in rows if row["about"] == "line"])
        self._add(_head(row) for row in reversed(rows) if row["about"] == "first")
        open_now = tuple(f"{claim_key}{queries.SEPARATOR}" for claim_key in open_claim_keys(claimer, self.paused))
        # Only a look at each line finds a task whose limits cannot be read, so that it is taken and set aside.
        self._damaged = any(row.get("limits") and not task_limits(row["limits"]) for row in rows)
        self.heads = [head for head in self._known.values() if head.group.startswith(open_now)]
        self._taken_at = asked_at

    def _replace_page(self, page: list[GroupHead]) -> None:
        """Know *page* in the place of what was seen there before, and go on behind it, or else from the beginning."""
        began, more = self._after, len(page) == MAX_GROUPS
        self._after = page[-1].group if more else ""
        self._known = {
            group: head for group, head in self._known.items() if group <= began or (more and group > self._after)
        }
        self._add(page)
        self._pages += 1
        self.round = max(self.round, self._pages + 1) if more else self._pages
        self._pages = self._pages if more else 0

    def _add(self, heads: Iterable[GroupHead]) -> None:
        for head in heads:
            self._known.pop(head.group, None)
            self._known[head.group] = head
        for group in list(self._known)[: max(len(self._known) - MAX_REMEMBERED, 0)]:
            del self._known[group]


def open_claim_keys(claimer: Claimer, paused: frozenset[str]) -> list[str]:
    """Return the claim_keys that *claimer* may take from: each of its queues that is not paused, with each handler."""
    return [
        queries.claim_key(queue, handler)
        for queue in claimer.queues
        if queue not in paused
        for handler in claimer.handlers
    ]


def _head(row: RawDocument) -> GroupHead:
    return GroupHead(
        group=str(row.get("_id")),  # a task that other software wrote may have none
        owner_id=str(row.get("owner_id")),
        priority=priority_of(row.get("priority")),
        queued_at=queued_at(row),
        limits=task_limits(row.get("limits")),
    )


def queued_at(row: RawDocument) -> datetime:
    """Return since when a task is due; where that cannot be read, it is the last one."""
    at = row.get("queued_at")
    return at if isinstance(at, datetime) else FOREVER


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
