"""The queue snapshot: a claimer's cached view of who waits, what is paused and who competes, taken once a second."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from datetime import timedelta

from appdb._driver import RawDocument
from appdb._queries import task_claims as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.queue.fairness import GroupHead, limits_of
from appdb.queue.lease import Claimer

MAX_SNAPSHOT_AGE = timedelta(seconds=0.9)
"""The age from which a claim takes a new snapshot; with the claim itself, a pause is heeded within a second."""
MAX_GROUPS = 200
"""Groups of one snapshot, each one seek of the index; where more wait, the next snapshot goes on behind them."""
MAX_REMEMBERED = 2_000
"""Groups that a claimer remembers; of more, those that it saw longest ago are forgotten until they are seen again."""


class QueueSnapshot:
    """One claimer's view of its queues: the groups that wait, the queues that are paused, and its competitors."""

    def __init__(self, connection: Connection) -> None:
        self._tasks = connection.collection(collections.TASKS)
        self._taken_at = float("-inf")
        self._claimer: Claimer | None = None
        self._known: dict[str, GroupHead] = {}
        self._after = ""
        self._damaged = False
        self._pages = 0
        self._paused: frozenset[str] = frozenset()
        self.round = 1
        """How many snapshots it takes to see all groups; what the last round took."""
        self.open_claim_keys: list[str] = []
        """The keys of what the claimer may take: each of its queues that is not paused, with each of its handlers."""
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
        """Whether the snapshot was loaded and not invalidated since."""
        return self._taken_at > float("-inf")

    @property
    def all_seen(self) -> bool:
        """Whether the last snapshot has ended a round, so that every group was seen."""
        return self._after == ""

    def invalidate(self) -> None:
        """Let the next claim look again."""
        self._taken_at = float("-inf")

    def serve(self, claimer: Claimer) -> None:
        """Serve *claimer*, and forget what was seen if its queues or handlers are others than those served before."""
        if self._claimer == claimer:
            return
        if self._claimer is not None and (claimer.queues, claimer.handlers) != (
            self._claimer.queues,
            self._claimer.handlers,
        ):
            self._known, self.heads, self._after, self._pages = {}, [], "", 0
            self.invalidate()
        self._claimer = claimer
        self.open_claim_keys = _claim_keys(claimer, self._paused)

    def drop(self, groups: Collection[str]) -> None:
        """Leave *groups* alone until they are seen again, since nothing could be taken from them."""
        gone = set(groups)
        for group in gone:
            self._known.pop(group, None)
        self.heads = [head for head in self.heads if head.group not in gone]

    async def refresh(self) -> None:
        """Look again, in one round trip that grows with what the claimer may take and not with the number of tasks.

        Raises:
            ValueError: No claimer was served yet.
        """
        if (claimer := self._claimer) is None:
            raise ValueError("the snapshot serves no claimer yet; call serve() first")
        asked_at = time.monotonic()
        claim_keys = _claim_keys(claimer, frozenset())
        pipeline = queries.queue_snapshot(
            claim_keys, self.open_claim_keys, claimer.worker_id, after=self._after, limit=MAX_GROUPS
        )
        # In one answer: by itself the server gives 101 at first.
        rows = [row async for row in self._tasks.aggregate(pipeline, batchSize=2 * MAX_GROUPS)]
        self._load(claimer, rows)
        self._taken_at = asked_at

    def _load(self, claimer: Claimer, rows: list[RawDocument]) -> None:
        self._paused = frozenset(str(row["_id"]) for row in rows if row["about"] == "paused")
        self.open_claim_keys = _claim_keys(claimer, self._paused)
        self.competitors = frozenset(str(row["_id"]) for row in rows if row["about"] == "competitor")
        self._replace_page([GroupHead.of_row(row) for row in rows if row["about"] == "head"])
        self._add(GroupHead.of_row(row) for row in reversed(rows) if row["about"] == "first")
        # Only a look at each group finds a task whose limits cannot be read, so that it is taken and set aside.
        self._damaged = any(row.get("limits") and not limits_of(row["limits"]) for row in rows)
        open_groups = tuple(f"{claim_key}{queries.SEPARATOR}" for claim_key in self.open_claim_keys)
        self.heads = [head for head in self._known.values() if head.group.startswith(open_groups)]

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


def _claim_keys(claimer: Claimer, paused: frozenset[str]) -> list[str]:
    """Return the claim keys of the queues of *claimer* that are not *paused*, with each of its handlers."""
    open_queues = [queue for queue in claimer.queues if queue not in paused]
    return [queries.claim_key(queue, handler) for queue in open_queues for handler in claimer.handlers]
