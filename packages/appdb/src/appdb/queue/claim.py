"""Claiming: due tasks, each for one claimer alone, in as few round trips as their order and limits allow."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from appdb._driver import PyMongoError, with_local_reads
from appdb._queries import task_claims as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import AppDbError
from appdb.models.tasks import Task
from appdb.queue.claim_window import ClaimWindow
from appdb.queue.fairness import Candidate, FairShare, GroupHead
from appdb.queue.lease import Claimer
from appdb.queue.limiter import Grants, Limiter
from appdb.queue.queue_snapshot import QueueSnapshot
from appdb.queue.taking import TaskTaker

logger = logging.getLogger(__name__)

FIRST_OWNERS = 8
"""Owners whose tasks a claim looks at first; the next claim goes on with those who were served least."""
MAX_OWNERS_TRIED = 128
"""Owners whose tasks a claim looks at together while it finds nothing that it may take."""
MAX_REFRESHES = 4
"""Snapshots that a claim takes before it says that it found nothing: of up to 800 groups."""
MAX_TRIES = 3
"""How often a claim goes for candidates that others were quicker at."""


class Claiming:
    """
    One claimer's way to due tasks.

    While one group waits and no limit is in sight, one slot is one atomic ``findAndModify``, and several are three
    round trips. Otherwise owners take turns, and tasks with limits are taken in a transaction that counts.
    """

    def __init__(self, connection: Connection, limiter: Limiter, lease: timedelta) -> None:
        self._tasks = connection.collection(collections.TASKS)
        self._limiter = limiter
        self._taker = TaskTaker(connection, limiter, lease)
        self._shares = FairShare()
        self._window = ClaimWindow()
        self._busy = False
        self._refresh_next = False
        self.snapshot = QueueSnapshot(connection)
        self.limit_reached = False
        """Whether the last claim may have left due tasks where they are: for a limit, or to quicker competitors."""
        self.relies_on_change_feed = False
        """Whether the host invalidates the snapshot when a queue is paused, so that an idle claimer need not look."""

    async def claim(self, claimer: Claimer, limit: int) -> list[Task]:
        """Take up to *limit* due tasks; none only if none is due, limits forbid all, or other claimers were quicker.

        A task that cannot be read is set aside, and the tasks behind it are taken.
        """
        self.snapshot.serve(claimer)
        self._window.lost = False
        while True:
            self._taker.has_set_aside = False
            taken = await self._claim_what_is_due(claimer, limit)
            if taken or not self._taker.has_set_aside:
                break
        self.limit_reached = self.limit_reached or (not taken and self._window.lost)
        return taken

    async def _claim_what_is_due(self, claimer: Claimer, limit: int) -> list[Task]:
        refreshes = 0
        if self._refresh_next or self._must_refresh():
            await self._refresh()
            refreshes += 1
        taken = await self._claim(claimer, limit)
        # The groups of an old snapshot may be empty by now, so a new one is taken, and claimed from if it has groups.
        while not taken and refreshes < max(1, min(self.snapshot.round, MAX_REFRESHES)):
            await self._refresh()
            refreshes += 1
            if self.snapshot.heads:
                taken = await self._claim(claimer, limit)
        # Perhaps tasks are left for which limits must be looked at; those that were taken need not wait for that.
        self._refresh_next = not refreshes and len(taken) < limit
        self._busy = len(taken) == limit
        return taken

    def _must_refresh(self) -> bool:
        # Where the change feed tells of pauses, an idle claimer asks the database nothing but for tasks.
        idle = not (self._busy or self.snapshot.needs_turns or self.snapshot.competitors)
        return self.snapshot.stale and not (idle and self.relies_on_change_feed and self.snapshot.loaded)

    async def _refresh(self) -> None:
        await self.snapshot.refresh()
        self._shares.set_waiting((head.owner_id for head in self.snapshot.heads), all_seen=self.snapshot.all_seen)

    async def _claim(self, claimer: Claimer, limit: int) -> list[Task]:
        claim_keys = self.snapshot.open_claim_keys
        if claim_keys and self.snapshot.needs_turns:
            return await self._claim_in_turns(claimer, limit)
        self.limit_reached = False
        if not claim_keys:
            return []
        # The plain order of the index holds while one owner waits alone (decision 0007).
        if limit == 1 and not self.snapshot.competitors:
            return await self._taker.take_first(queries.free(claim_keys), claimer)
        ids = await self._candidate_ids(claim_keys, claimer, limit)
        return await self._claim_any(ids, claimer) if limit == 1 else await self._take_window(ids[:limit], claimer)

    async def _candidate_ids(self, claim_keys: Sequence[str], claimer: Claimer, limit: int) -> list[str]:
        competitors = self.snapshot.competitors
        wanted = self._window.size(limit, competitors)
        # What no majority has confirmed yet may be looked at: the claim itself asks again.
        look = with_local_reads(self._tasks).find(queries.free(claim_keys), {"_id": 1}).sort(queries.CLAIM_ORDER)
        # In one answer: by itself the server gives 101 at first.
        rows = [row async for row in look.limit(wanted).batch_size(wanted)]
        ids: list[str] = [row["_id"] for row in await self._taker.with_text_ids(rows)]
        return self._window.apart(ids, limit, claimer.worker_id, competitors, key=str)

    async def _claim_any(self, ids: Sequence[str], claimer: Claimer) -> list[Task]:
        for task_id in ids[:MAX_TRIES]:
            taken = await self._taker.take_first(queries.still_due([task_id]), claimer)
            self._window.tried(lost=not taken)
            if taken:
                return taken
        return []

    async def _take_window(self, ids: Sequence[str], claimer: Claimer) -> list[Task]:
        taken = await self._taker.take_ids(ids, claimer) if ids else []
        if ids and not self._taker.has_set_aside:
            self._window.tried(lost=len(taken) < len(ids))
        return taken

    async def _claim_in_turns(self, claimer: Claimer, limit: int) -> list[Task]:
        if self.limit_reached:
            await self._look_at_limits(self.snapshot.heads)
        taken: list[Task] = []
        tried: set[str] = set()
        most = FIRST_OWNERS
        while not taken and (heads := self._with_room(tried)):
            by_owner = self._shares.groups_by_owner(heads, most)
            candidates = await self._candidates(by_owner, limit)
            taken = await self._claim_from(candidates, claimer, limit)
            if not taken:
                most = min(most * 4, MAX_OWNERS_TRIED)
                await self._skip_groups({group for groups in by_owner for group in groups}, tried, empty=not candidates)
        for task in taken:
            self._shares.count_served(task.owner_id)
        self.limit_reached = any(self._limiter.blocks(head.limits) for head in self.snapshot.heads)
        return taken

    def _with_room(self, tried: Collection[str]) -> list[GroupHead]:
        return [
            head for head in self.snapshot.heads if head.group not in tried and not self._limiter.blocks(head.limits)
        ]

    async def _look_at_limits(self, heads: Iterable[GroupHead]) -> None:
        await self._limiter.refresh({limit for head in heads for limit in head.limits})

    async def _skip_groups(self, groups: set[str], tried: set[str], *, empty: bool) -> None:
        """Leave *groups*, of which nothing could be taken, for those behind them whose limits have room."""
        tried |= groups
        if empty:
            self.snapshot.drop(groups)
        await self._look_at_limits(self._with_room(tried))

    async def _candidates(self, by_owner: Sequence[Sequence[str]], limit: int) -> list[Candidate]:
        wanted = self._window.size(limit, self.snapshot.competitors)
        # In all as many as eight owners would give, or twice the window.
        together = max(limit * min(len(by_owner), FIRST_OWNERS), 2 * wanted if wanted > limit else 0)
        of_each = max(1, together // len(by_owner))
        found = self._tasks.aggregate(queries.first_of_each(by_owner, of_each), batchSize=len(by_owner) * of_each + 1)
        rows = [row async for row in found]
        return self._shares.in_turns([Candidate.of_row(row) for row in await self._taker.with_text_ids(rows)])

    async def _claim_from(self, candidates: list[Candidate], claimer: Claimer, limit: int) -> list[Task]:
        competitors = self.snapshot.competitors
        wanted = self._window.size(limit, competitors)
        near = self._window.apart(
            candidates[:wanted], limit, claimer.worker_id, competitors, key=lambda one: one.task_id
        )
        left, taken, tries = near + candidates[wanted:], list[Task](), 0
        try:
            while left and (room := limit - len(taken)) > 0 and tries < MAX_TRIES:
                grants = await self._take_some(left, room, claimer, taken)
                settled = {one.task_id for one in (*grants.granted, *grants.denied)}
                left = [one for one in left if one.task_id not in settled]
                tries += 1
        except (PyMongoError, AppDbError) as exc:
            if not taken:
                raise
            # Raising would leave the taken tasks without a worker until their leases end.
            logger.warning("a claim ends with what it has", extra={"tasks": len(taken), "error": str(exc)})
        return taken

    async def _take_some(
        self, candidates: Sequence[Candidate], most: int, claimer: Claimer, taken: list[Task]
    ) -> Grants:
        """Add to *taken* up to *most* of *candidates*, and return what was tried and what limits do not allow."""
        grants = Grants(granted=candidates[:most], denied=[])
        before = len(taken)
        if any(one.limits for one in grants.granted):
            grants, limited = await self._taker.take_limited(candidates, most, claimer)
            taken += limited
        if free := [one.task_id for one in grants.granted if not one.limits]:
            taken += await self._taker.take_ids(free, claimer)
        if grants.granted and not self._taker.has_set_aside:
            self._window.tried(lost=len(taken) - before < len(grants.granted))
        return grants
