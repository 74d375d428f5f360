"""Limits over all workers: what may still be taken under a key, counted in the transaction that takes it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from appdb._driver import AFTER, RawDocument, Session
from appdb._queries import claims as queries
from appdb._queries.clock import literal
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.database import Database
from appdb.models.limits import Limit, TaskLimit
from appdb.queue.fairness import Candidate

BLOCKED_SECONDS = 0.25
"""How long a claimer leaves a key alone after it found the limit reached."""


class Limiter(BaseRepository):
    """
    Grants what limits allow.

    What runs under a key is counted from the tasks themselves, so a crash leaves nothing to clean up: a dead worker's
    task counts until it is recovered. All who claim under a key write its document in the claim's transaction, so
    they take turns.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._tasks = self._collection(collections.TASKS)
        self._limits = self._collection(collections.LIMITS)
        self._blocked: dict[str, float] = {}

    def blocks(self, limits: Sequence[TaskLimit]) -> bool:
        """Whether one of *limits* was found reached a moment ago."""
        now = time.monotonic()
        return any(self._blocked.get(limit.key, 0.0) > now for limit in limits)

    async def granted(self, candidates: Sequence[Candidate], session: Session) -> list[Candidate]:
        """Return those of *candidates*, in order, that every limit allows to start now.

        At most four round trips for each key, in the caller's transaction.
        """
        wanted = {limit.key: limit for candidate in candidates for limit in candidate.limits}
        rows = {key: await self._refill(limit, session) for key, limit in sorted(wanted.items())}
        room = {key: await self._room(key, row, wanted[key], session) for key, row in rows.items()}
        taken: Counter[str] = Counter()
        granted = []
        for candidate in candidates:
            keys = [limit.key for limit in candidate.limits]
            if all(taken[key] < room[key] for key in keys):
                taken.update(keys)
                granted.append(candidate)
        await self._spend(rows, wanted, taken, session)
        self._remember(room, taken)
        return granted

    async def _refill(self, limit: TaskLimit, session: Session) -> RawDocument:
        override = await self._limits.find_one({"_id": limit.key, "override": {"$type": "object"}}, session=session)
        rate, per = _rate(override, limit)
        row: RawDocument = await self._limits.find_one_and_update(
            {"_id": limit.key},
            queries.bucket(limit.key, rate or 0, timedelta(seconds=per)),
            upsert=True,
            return_document=AFTER,
            session=session,
        )
        return row

    async def _room(self, key: str, row: RawDocument, limit: TaskLimit, session: Session) -> float:
        room = float("inf")
        concurrency = _setting(row, "concurrency", limit.concurrency)
        if concurrency is not None:
            room = concurrency - await self._tasks.count_documents(queries.running_with(key), session=session)
        if _rate(row, limit)[0] is not None:
            room = min(room, float(int(row["tokens"])))
        return room

    async def _spend(
        self, rows: dict[str, RawDocument], wanted: dict[str, TaskLimit], taken: Counter[str], session: Session
    ) -> None:
        for key, row in rows.items():
            if taken[key] and _rate(row, wanted[key])[0] is not None:
                await self._limits.update_one({"_id": key}, {"$inc": {"tokens": -taken[key]}}, session=session)

    def _remember(self, room: dict[str, float], taken: Counter[str]) -> None:
        now = time.monotonic()
        for key, allowed in room.items():
            if taken[key] >= allowed:
                self._blocked[key] = now + BLOCKED_SECONDS
        self._blocked = {key: until for key, until in self._blocked.items() if until > now}

    async def set(self, limit: Limit) -> None:
        """Let *limit* count from now on, whatever tasks carry for its key; one round trip."""
        override = {"concurrency": limit.concurrency, "rate": limit.rate, "per_seconds": limit.per.total_seconds()}
        update = [{"$set": {"override": literal(override)}}]
        await self._limits.update_one({"_id": limit.key}, update, upsert=True)

    async def clear(self, key: str) -> None:
        """Let what tasks carry for *key* count again; one round trip."""
        await self._limits.update_one({"_id": key}, {"$unset": {"override": ""}})

    async def overrides(self) -> list[Limit]:
        """Return what was set, by key; one round trip."""
        found = self._limits.find({"override": {"$type": "object"}}).sort("_id", 1)
        return [_limit(row["_id"], row["override"]) async for row in found]


def _limit(key: str, override: dict[str, Any]) -> Limit:
    per = timedelta(seconds=override["per_seconds"])
    return Limit(key=key, concurrency=override["concurrency"], rate=override["rate"], per=per)


def _setting(row: RawDocument | None, name: str, carried: int | None) -> int | None:
    override = (row or {}).get("override")
    value: int | None = carried if override is None else override[name]
    return value


def _rate(row: RawDocument | None, limit: TaskLimit) -> tuple[int | None, float]:
    override = (row or {}).get("override")
    per = limit.per_seconds if override is None else override["per_seconds"]
    return _setting(row, "rate", limit.rate), per
