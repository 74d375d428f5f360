"""Content deletion: documents in one transaction that also cancels their task, bytes after it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from appdb._driver import RawDocument, Session
from appdb._queries import content_generation_metadata as generation_queries
from appdb._queries import generated_content as queries
from appdb._queries import tasks as task_queries
from appdb._queries.filters import by_ids
from appdb._schema import collections
from appdb.connection import Connection
from appdb.content.stored_bytes import ByteStore
from appdb.errors import ConflictError, NotFoundError
from appdb.models.tasks import TaskState
from appdb.models.vocabulary import word
from appdb.queue.cancel import TaskCanceller

GENERATIONS_AT_ONCE = 20
"""Generations that one transaction deletes: each may have hundreds of items."""


class ContentDeletion:
    """Deletes items and generations, for ``ContentRepository``."""

    def __init__(self, connection: Connection, stored: ByteStore) -> None:
        self._connection = connection
        self._tasks = connection.collection(collections.TASKS)
        self._generations = connection.collection(collections.GENERATIONS)
        self._contents = connection.collection(collections.CONTENTS)
        self._canceller = TaskCanceller(connection)
        self._bytes = stored

    async def delete_item(self, content_id: str, owner_id: str, session: Session | None) -> None:
        """Delete an item, and its preview when no other item has the same."""

        async def body(joined: Session) -> list[str]:
            found = await self._contents.find_one(queries.owned(content_id, owner_id), session=joined)
            if found is None:
                raise NotFoundError("content", content_id)
            await self._refuse_while_made(found, joined)
            # This write puts deletions within a generation one after the other. Two at once would each see the other's
            # item, and neither would delete the preview that both share.
            await self._generations.update_one(
                {"_id": found["generation_id"]}, generation_queries.prune(), session=joined
            )
            doomed = [found, *await self._lonely_preview(found, joined)]
            await self._contents.delete_many(by_ids(row["_id"] for row in doomed), session=joined)
            await self._contents.update_many(*queries.forget_preview(content_id, owner_id), session=joined)
            return [row["file_id"] for row in doomed]

        await self._run(body, session)

    async def _refuse_while_made(self, item: RawDocument, session: Session) -> None:
        # A final state never changes again and a store needs a live task, so a look without a lock is enough.
        match = task_queries.owned(item["task_id"], item["owner_id"])
        task = await self._tasks.find_one(match, {"state": 1}, session=session)
        if task is not None and not word(TaskState, task["state"]).final:
            problem = "its task still works on it; wait for the end, cancel the task, or delete the whole generation"
            raise ConflictError("content", item["_id"], problem)

    async def _lonely_preview(self, item: RawDocument, session: Session) -> list[RawDocument]:
        preview_id = item.get("preview_id")
        if preview_id is None:
            return []
        others = queries.shown_by(preview_id, but=item["_id"])
        if await self._contents.find_one(others, {"_id": 1}, session=session) is not None:
            return []
        preview = await self._contents.find_one(queries.owned(preview_id, item["owner_id"]), session=session)
        return [] if preview is None else [preview]

    async def delete_with_items(self, generation_id: str, owner_id: str, session: Session | None) -> None:
        """Delete a generation with its items; its task is cancelled if it still runs."""

        async def body(joined: Session) -> list[str]:
            found = await self._generations.find_one(generation_queries.owned(generation_id, owner_id), session=joined)
            if found is None:
                raise NotFoundError("generation", generation_id)
            return await self._delete([found], joined)

        await self._run(body, session)

    async def delete_of_run(self, run_id: str, owner_id: str, session: Session | None = None) -> int:
        """Delete all generations of a run, some at a time, and return how many they were."""
        match = generation_queries.generations(owner_id, run_id=run_id)
        deleted, count = 0, GENERATIONS_AT_ONCE

        async def body(joined: Session) -> list[str]:
            nonlocal count
            found = [row async for row in self._generations.find(match, session=joined).limit(GENERATIONS_AT_ONCE)]
            count = len(found)
            return await self._delete(found, joined)

        while count == GENERATIONS_AT_ONCE:
            await self._run(body, session)
            deleted += count
        return deleted

    async def _delete(self, generations: list[RawDocument], session: Session) -> list[str]:
        for found in generations:
            await self._canceller.cancel_tree(found["task_id"], found["owner_id"], session)
        ids = [found["_id"] for found in generations]
        items = self._contents.find(queries.of_generations(ids), {"file_id": 1}, session=session)
        doomed = {row["_id"]: row["file_id"] async for row in items}
        await self._contents.delete_many(by_ids(doomed), session=session)
        await self._generations.delete_many(by_ids(ids), session=session)
        return list(doomed.values())

    async def _run(self, body: Callable[[Session], Coroutine[Any, Any, list[str]]], session: Session | None) -> None:
        if session is not None:
            # A caller's transaction can be undone, and deleted bytes cannot: they are left to the sweep.
            await body(session)
            return
        await self._bytes.delete_all(await self._connection.transaction(body))
