"""The limiter: concurrency and rate limits over all workers, counted in the transaction that takes the tasks."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from appdb._driver import RawDocument, Session, UpdateOne, with_local_reads
from appdb._queries import limits as limit_queries
from appdb._queries import task_claims as queries
from appdb._queries.paging import BY_ID
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import UnreadableError
from appdb.models.bounds import MAX_DURATION
from appdb.models.limits import Limit, Rate, TaskLimit
from appdb.queue.allowance import Allowance, grant, rate_of, refilled
from appdb.queue.fairness import Candidate
from appdb.reading import readable

logger = logging.getLogger(__name__)

BLOCKED_SECONDS = 0.25
"""The time for which a claimer leaves a limit alone after it found it reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """The candidates that were looked at, by whether limits let them start."""

    granted: Sequence[Candidate]
    denied: Sequence[Candidate]

    @property
    def limited(self) -> list[str]:
        """The ids of those that were granted by a limit."""
        return [one.task_id for one in self.granted if one.limits]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """The state of one key: its allowance, and the server's time of that if the database remembers anything of it."""

    allowance: Allowance
    at: datetime | None


class Limiter:
    """
    Grants what limits allow.

    What runs under a key is counted from the tasks themselves, so a crash leaves nothing to clean up: a dead worker's
    task counts until it is recovered. All who start something under a key write its document in the transaction that
    has counted, and of two that counted the same, one is refused and counts again.
    """

    def __init__(self, connection: Connection) -> None:
        self._tasks = connection.collection(collections.TASKS)
        self._limits = connection.collection(collections.LIMITS)
        self._blocked: dict[TaskLimit, float] = {}
        self._told: set[str] = set()

    def blocks(self, limits: Sequence[TaskLimit]) -> bool:
        """Whether one of *limits* was found reached a moment ago."""
        if not self._blocked:
            return False
        now = time.monotonic()
        return any(self._blocked.get(limit, 0.0) > now for limit in limits)

    async def refresh(self, limits: Collection[TaskLimit]) -> None:
        """Find out which of *limits* are reached, and block them for a moment; one round trip, and no write."""
        if limits:
            self._remember(limits, await self._standings(limits, None))

    async def grant_up_to(self, candidates: Sequence[Candidate], most: int, session: Session) -> Grants:
        """Return up to *most* of *candidates*, in order, that every limit allows to start now.

        Three round trips in the caller's transaction, however many keys there are; two when none is granted.
        """
        wanted = {limit for candidate in candidates for limit in candidate.limits}
        standings = await self._standings(wanted, session)
        allowances = {key: standing.allowance for key, standing in standings.items()}
        granted: list[Candidate] = []
        denied: list[Candidate] = []
        for candidate in candidates:
            if len(granted) == most:
                break
            (granted if grant(candidate.limits, allowances) else denied).append(candidate)
        await self._spend(standings, session)
        self._remember(wanted, standings)
        return Grants(granted=granted, denied=denied)

    async def _standings(self, wanted: Iterable[TaskLimit], session: Session | None) -> dict[str, _Standing]:
        by_key: dict[str, list[TaskLimit]] = {}
        for limit in wanted:
            by_key.setdefault(limit.key, []).append(limit)
        rows: dict[str, dict[str, RawDocument]] = {"limit": {}, "running": {}}
        for row in await self._rows(sorted(by_key), session):
            rows[row["about"]][row["_id"]] = self._whole(row) if row["about"] == "limit" else row
        return {
            key: _standing(key, rows["limit"].get(key), rows["running"].get(key, {}), named)
            for key, named in sorted(by_key.items())
        }

    def _whole(self, row: RawDocument) -> RawDocument:
        """Return *row*, or one of which nothing is remembered: what tasks carry counts where a limit cannot be read."""
        try:
            _levels(row, [])
            if row.get("override") is not None:
                _limit(row["_id"], row["override"])
        except (UnreadableError, AttributeError, KeyError, TypeError, ValueError):
            # It stays so, and to tell it once is enough.
            if row["_id"] not in self._told:
                self._told.add(row["_id"])
                told = {"limit": row["_id"]}
                logger.exception("a stored limit cannot be read; what tasks carry for its key counts", extra=told)
            return {"_id": row["_id"], "now": row["now"]}
        return row

    async def _rows(self, keys: Sequence[str], session: Session | None) -> list[RawDocument]:
        at_once = 2 * len(keys) + 1
        # Without a transaction it is a hint, for which no majority is waited.
        if session is None:
            found = with_local_reads(self._limits).aggregate(limit_queries.states_and_running(keys), batchSize=at_once)
            return [row async for row in found]
        limits = self._limits.aggregate(limit_queries.states(keys), session=session, batchSize=at_once)
        running = self._tasks.aggregate(queries.running_under(keys), session=session, batchSize=at_once)
        return [*[row async for row in limits], *[row async for row in running]]

    # Only rates have numbers of their own. What runs is counted from the tasks: a counter would leak a place for good
    # with each worker that is killed before it gives its place back (decision 0006).
    async def _spend(self, standings: Mapping[str, _Standing], session: Session) -> None:
        writes = []
        for key, standing in standings.items():
            left = standing.allowance
            if left.granted:
                full_in = timedelta(seconds=min(left.full_in_seconds, MAX_DURATION.total_seconds()))
                writes.append(
                    UpdateOne({"_id": key}, limit_queries.spend(key, left.levels, standing.at, full_in), upsert=True)
                )
        if writes:
            await self._limits.bulk_write(writes, session=session)

    def _remember(self, limits: Iterable[TaskLimit], standings: Mapping[str, _Standing]) -> None:
        self.block(limit for limit in limits if not standings[limit.key].allowance.admits(limit))

    def block(self, limits: Iterable[TaskLimit]) -> None:
        """Leave *limits* alone for a moment."""
        now = time.monotonic()
        self._blocked |= dict.fromkeys(limits, now + BLOCKED_SECONDS)
        self._blocked = {limit: until for limit, until in self._blocked.items() if until > now}

    def unblock(self, keys: Collection[str]) -> None:
        """Ask again at the next claim: something that was limited by *keys* has ended here."""
        if keys and self._blocked:
            self._blocked = {limit: until for limit, until in self._blocked.items() if limit.key not in keys}

    async def set_override(self, limit: Limit) -> None:
        """Let *limit* count from now on, whatever tasks carry for its key; one round trip."""
        override = limit_queries.override(TaskLimit.of(limit))
        await self._limits.update_one({"_id": limit.key}, override, upsert=True)

    async def clear_override(self, key: str) -> None:
        """Let what tasks carry for *key* count again; one round trip."""
        await self._limits.update_one({"_id": key}, limit_queries.without_override())

    async def overrides(self) -> list[Limit]:
        """Return what was set, by key; one round trip."""
        found = self._limits.find(limit_queries.overridden()).sort(BY_ID)
        rows = await found.to_list(None)
        return readable(lambda row: _limit(row["_id"], row["override"]).limit(), rows)


def _standing(key: str, row: RawDocument | None, running: RawDocument, named: Sequence[TaskLimit]) -> _Standing:
    override = None if row is None or row.get("override") is None else _limit(key, row["override"])
    counts = named if override is None else [override]
    rates = [rate for limit in counts if (rate := rate_of(limit)) is not None]
    allowance = Allowance(
        running=running.get("running", 0),
        narrowest=running.get("narrowest"),
        levels={} if row is None else _levels(row, rates),
        override=override,
    )
    return _Standing(allowance=allowance, at=None if row is None else row["now"])


def _limit(key: str, override: dict[str, Any]) -> TaskLimit:
    return TaskLimit.from_document({**override, "key": key, "_id": key})


def _levels(row: RawDocument, rates: Iterable[Rate]) -> dict[Rate, float]:
    """Return what is left in the buckets that *row* remembers, and in those of *rates*, at its ``now``."""
    stored = {(bucket["rate"], bucket["per_seconds"]): bucket["tokens"] for bucket in row.get("buckets", [])}
    levels = refilled(stored, _seconds(row, "buckets_at"))
    if "tokens" not in row or row.get("buckets_at") == row.get("refilled_at"):
        return levels
    # Meanwhile a host of release 0.3 or before has claimed, which keeps one bucket for all rates of a key.
    known = {rate: float(rate[0]) for rate in rates} | levels
    theirs = refilled({rate: float(row["tokens"]) for rate in known}, _seconds(row, "refilled_at"))
    return {rate: min(level, theirs.get(rate, level)) for rate, level in known.items()}


def _seconds(row: RawDocument, since: str) -> float:
    at: datetime | None = row.get(since)
    return 0.0 if at is None else (row["now"] - at).total_seconds()
