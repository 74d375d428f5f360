"""Migrations: numbered modules run once each, in order, by one host at a time, resumed where a killed run stopped."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import appdb.migrations
from appdb._driver import AFTER, Collection, translates_errors
from appdb._queries.clock import NOW, from_now, literal
from appdb._schema import collections
from appdb.errors import MigrationError
from appdb.utils import uuid7_str

if TYPE_CHECKING:
    from appdb.database import Database

CONTRACT_VERSION = 2
"""What the documents mean. Raised only with a migration that brings the stored ones along."""

LOCK_LEASE = timedelta(seconds=60)
LOCK_ID = "migrations"
CONTRACT_ID = "contract"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered module of ``appdb.migrations``."""

    id: str
    description: str
    checksum: str
    up: Callable[[Database], Awaitable[None]]


def known_migrations() -> list[Migration]:
    """Return the migrations that this release ships, in order."""
    names = sorted(info.name for info in pkgutil.iter_modules(appdb.migrations.__path__) if info.name.startswith("m"))
    return [_load(name) for name in names]


def _load(name: str) -> Migration:
    module = importlib.import_module(f"appdb.migrations.{name}")
    source = inspect.getsource(module).encode()
    return Migration(
        id=name,
        description=(module.__doc__ or name).strip().splitlines()[0],
        checksum=hashlib.sha256(source).hexdigest(),
        up=module.up,
    )


class MigrationsMixin(ABC):
    """The part of ``Database`` that brings a database to this release's contract."""

    @abstractmethod
    def collection(self, name: str) -> Collection:
        """Return the collection *name*."""

    @translates_errors
    async def contract_version(self) -> int | None:
        """Return the database's contract version, or ``None`` before the first migration."""
        found = await self.collection(collections.CONFIG).find_one({"_id": CONTRACT_ID})
        return None if found is None else int(found["version"])

    @translates_errors
    async def pending_migrations(self) -> list[Migration]:
        """Return what ``migrate`` would run, in order.

        Raises:
            MigrationError: A migration was changed after it had run here.
        """
        applied = {row["_id"]: row async for row in self.collection(collections.MIGRATIONS).find()}
        for migration in known_migrations():
            row = applied.get(migration.id)
            if row is not None and row["checksum"] != migration.checksum:
                raise MigrationError(
                    f"migration {migration.id} was changed after it ran here on {row['applied_at']:%Y-%m-%d}; "
                    "install the release that matches, and put the change into a new migration"
                )
        return [migration for migration in known_migrations() if migration.id not in applied]

    @translates_errors
    async def migrate(self) -> list[Migration]:
        """Run what is pending, under a lock that a killed run gives up after a minute, and return what was run.

        Every migration can be run again, so a run that was killed in the middle is repeated from its start.

        Raises:
            MigrationError: Another host is migrating, or a migration was changed after it ran.
        """
        holder = uuid7_str("mig_")
        await self._take_lock(holder)
        renewal = asyncio.create_task(self._renew_lock(holder))
        try:
            done = await self._run_pending()
            if renewal.done():
                await renewal  # it only ends by an error, which must not pass unseen
            return done
        finally:
            renewal.cancel()
            await self.collection(collections.CONFIG).delete_one({"_id": LOCK_ID, "holder": holder})

    async def _run_pending(self) -> list[Migration]:
        pending = await self.pending_migrations()
        for migration in pending:
            await migration.up(cast("Database", self))
            await self._record(migration)
        await self.collection(collections.CONFIG).update_one(
            {"_id": CONTRACT_ID}, [{"$set": {"version": CONTRACT_VERSION, "updated_at": NOW}}], upsert=True
        )
        return pending

    async def _record(self, migration: Migration) -> None:
        row = {"description": literal(migration.description), "checksum": migration.checksum, "applied_at": NOW}
        await self.collection(collections.MIGRATIONS).update_one({"_id": migration.id}, [{"$set": row}], upsert=True)

    async def _take_lock(self, holder: str) -> None:
        lock = await self.collection(collections.CONFIG).find_one_and_update(
            {"_id": LOCK_ID}, _lock_if_free(holder), upsert=True, return_document=AFTER
        )
        if lock["holder"] != holder:
            raise MigrationError(
                f"another host is migrating this database; wait for it. If it was killed, its lock ends "
                f"{LOCK_LEASE.seconds} s after its last sign of life."
            )

    async def _renew_lock(self, holder: str) -> None:
        while True:
            await asyncio.sleep(LOCK_LEASE.total_seconds() / 4)
            lease = [{"$set": {"expires_at": from_now(LOCK_LEASE)}}]
            await self.collection(collections.CONFIG).update_one({"_id": LOCK_ID, "holder": holder}, lease)


def _lock_if_free(holder: str) -> list[dict[str, Any]]:
    # An absent expiry sorts below every date, so a new document counts as free.
    free = {"$lte": ["$expires_at", NOW]}
    return [
        {
            "$set": {
                "holder": {"$cond": [free, literal(holder), "$holder"]},
                "expires_at": {"$cond": [free, from_now(LOCK_LEASE), "$expires_at"]},
            }
        }
    ]
