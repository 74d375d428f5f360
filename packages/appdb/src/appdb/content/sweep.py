"""The sweep: deletes bytes that no document names, and items that lost their generation."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from itertools import chain

from appdb._driver import RawDocument
from appdb._queries import config as config_queries
from appdb._queries import generated_content as queries
from appdb._queries import gridfs
from appdb._queries.filters import after_id, by_ids
from appdb._queries.paging import BY_ID
from appdb._schema import collections
from appdb.connection import Connection
from appdb.content.stored_bytes import FILE_PREFIX, ByteStore
from appdb.models.bounds import at_most
from appdb.utils import uuid7_floor

GRACE = timedelta(days=1)
"""Age from which unnamed bytes are lost: longer than an upload and its attempt take."""
LOOKED_AT_ONCE = 1_000


class SweepCursor:
    """The place up to which a sweep has looked, stored, so that repeated sweeps come round to everything."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._config = connection.collection(collections.CONFIG)
        self._id = config_queries.sweep_id(name)

    async def position(self) -> str:
        """Return the last id that was looked at; empty at the beginning."""
        found = await self._config.find_one({"_id": self._id})
        return str(found["after"]) if found else ""

    async def advance(self, seen: list[str], limit: int) -> None:
        """Go on after what was *seen*, or from the beginning when that was less than *limit*."""
        after = seen[-1] if len(seen) >= limit else ""
        await self._config.update_one({"_id": self._id}, config_queries.go_on_after(after), upsert=True)


class BytesSweep:
    """
    Deletes bytes that no document names and whose upload began longer ago than a grace time.

    Two sweeps at once do the same work twice, and nothing else.

    Args:
        connection: Where the bytes are.

        bucket_name: The GridFS bucket.

        named_by: The collection whose ``file_id`` names bytes.
    """

    def __init__(self, connection: Connection, bucket_name: str, named_by: str) -> None:
        self._connection = connection
        self._files = connection.collection(f"{bucket_name}.files")
        self._chunks = connection.collection(f"{bucket_name}.chunks")
        self._names = connection.collection(named_by)
        self._bytes = ByteStore(connection, bucket_name)
        self._cursor = SweepCursor(connection, bucket_name)

    async def sweep(self, grace: timedelta, limit: int) -> int:
        """Look at *limit* files and return how many were deleted; four round trips, and two for each deleted one."""
        end = uuid7_floor(FILE_PREFIX, await self._connection.server_time() - grace)
        seen = await self._next(max(await self._cursor.position(), FILE_PREFIX), end, limit)
        names = await self._names.distinct("file_id", gridfs.naming(seen))
        named = {name for name in names if isinstance(name, str)}
        orphans = [file_id for file_id in seen if file_id not in named]
        await self._bytes.delete_all(orphans)
        await self._cursor.advance(seen, limit)
        return len(orphans)

    async def _next(self, after: str, end: str, limit: int) -> list[str]:
        # Both collections: a killed upload left chunks without a file, and an empty file has no chunks.
        begun = self._chunks.find(gridfs.begun_between(after, end), {"files_id": 1, "_id": 0})
        ended = self._files.find(gridfs.ended_between(after, end), {"_id": 1})
        ids = chain(
            [row["files_id"] async for row in begun.sort("files_id", 1).limit(at_most(limit))],
            [row["_id"] async for row in ended.sort(BY_ID).limit(at_most(limit))],
        )
        return sorted(set(ids))[:limit]


class ItemsSweep:
    """Deletes items whose generation is gone; those that an older release stored without one stay."""

    def __init__(self, connection: Connection) -> None:
        self._contents = connection.collection(collections.CONTENTS)
        self._generations = connection.collection(collections.GENERATIONS)
        self._bytes = ByteStore(connection)
        self._cursor = SweepCursor(connection, collections.CONTENTS)

    async def sweep(self, grace: timedelta, limit: int) -> int:
        """Look at *limit* items and return how many were deleted; four round trips, and some for each deleted one."""
        match = after_id(await self._cursor.position())
        rows = [row async for row in self._contents.find(match, _LOOKED_AT).sort(BY_ID).limit(at_most(limit))]
        named = [row for row in rows if row.get("in_generation") and _names_both(row)]
        there = await self._existing({row["generation_id"] for row in named})
        lost = [row for row in named if row["generation_id"] not in there]
        deleted = [row for row in lost if await self._delete(row, grace)]
        await self._cursor.advance([row["_id"] for row in rows], limit)
        return len(deleted)

    async def _existing(self, generation_ids: Collection[str]) -> set[str]:
        found = self._generations.find(by_ids(generation_ids), {"_id": 1})
        return {row["_id"] async for row in found}

    async def _delete(self, row: RawDocument, grace: timedelta) -> bool:
        # The query compares again what was seen: an item that was stored anew meanwhile stays.
        deleted = await self._contents.delete_one(queries.orphaned(row["_id"], row["file_id"], grace))
        if deleted.deleted_count:
            await self._bytes.delete_bytes(row["file_id"])
        return bool(deleted.deleted_count)


def _names_both(row: RawDocument) -> bool:
    return all(isinstance(row.get(name), str) for name in ("generation_id", "file_id"))


_LOOKED_AT = {"generation_id": 1, "in_generation": 1, "file_id": 1}
