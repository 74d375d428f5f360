"""The migration lock: a document with a lease, so one host migrates at a time, and a killed holder's expires."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from appdb._driver import AFTER
from appdb._queries import config as config_queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import MigrationError
from appdb.migrations.options import Waiting
from appdb.migrations.records import LockHolder
from appdb.utils import uuid7_str

T = TypeVar("T")

POLL_SECONDS = 0.25


class MigrationLock:
    """
    The migration lock, as one holder takes, renews and frees it.

    Args:
        connection: The database that is migrated.

        waiting: What to do while another host migrates.
    """

    def __init__(self, connection: Connection, waiting: Waiting) -> None:
        self.holder = uuid7_str("mig_")
        self._connection = connection
        self._config = connection.collection(collections.CONFIG)
        self._waiting = waiting

    async def run(self, work: Callable[[str], Coroutine[Any, Any, T]]) -> T:
        """Run *work* under the lock, and stop it when the lock is lost.

        Args:
            work: Gets the holder's name, which every record of the run repeats.

        Raises:
            MigrationError: Another host is migrating, or has taken over from this one.
        """
        await self._take()
        running = asyncio.create_task(work(self.holder))
        renewal = asyncio.create_task(self._renew())
        try:
            await asyncio.wait({running, renewal}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                # The renewal only ever ends by an error: the lock is lost.
                await renewal
            return await running
        finally:
            for task in (running, renewal):
                task.cancel()
            await asyncio.gather(running, renewal, return_exceptions=True)
            await self._config.delete_one(config_queries.held_lock(self.holder))

    async def _take(self) -> None:
        deadline = time.monotonic() + self._waiting.longest.total_seconds()
        told = False
        while (other := await self._try()) is not None:
            if time.monotonic() >= deadline:
                raise MigrationError(
                    f"another host is migrating this database: {other}; `appdb migrate status` says how far it is. "
                    f"If it was killed, its lock ends at {other.expires_at:%H:%M:%S}Z; then run this again."
                )
            if not told:
                self._waiting.told(other)
                told = True
            await asyncio.sleep(POLL_SECONDS)

    async def _try(self) -> LockHolder | None:
        """Take the lock, or return who has it."""
        # Operators read this name in the refusal of another run; the lock itself goes by the holder's id.
        by = f"{socket.gethostname()}, process {os.getpid()}"
        lock = await self._config.find_one_and_update(
            {"_id": config_queries.LOCK_ID},
            config_queries.lock_if_free(self.holder, by, self._waiting.lease),
            upsert=True,
            return_document=AFTER,
        )
        if lock["holder"] == self.holder:
            return None
        return LockHolder.from_document(lock, await self._connection.retry(self._connection.server_time))

    async def _renew(self) -> None:
        while True:
            # Two renewals in a row may be lost before the lease ends.
            await asyncio.sleep(self._waiting.lease.total_seconds() / 4)
            renewed = await self._config.update_one(
                config_queries.held_lock(self.holder), config_queries.renew_lock(self._waiting.lease)
            )
            if not renewed.matched_count:
                raise lost()


def lost() -> MigrationError:
    """Return the error of a run whose lock another host has."""
    return MigrationError(
        "this run was silent for longer than its lock lasts, and another host has taken over; nothing is lost: "
        "`appdb migrate status` says how far it is"
    )
