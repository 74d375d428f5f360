"""Generations and content: metadata in two collections, bytes in GridFS, each write behind the fence of its task."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from pydantic import JsonValue

from appdb._driver import RawDocument, Session, repeats, translates_stream_errors
from appdb._queries import tasks as task_queries
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.database import Database
from appdb.errors import LeaseLostError, NotFoundError
from appdb.events import TaskEventType
from appdb.models.content import Content, Generation, GenerationStatus, NewContent
from appdb.models.task import NewEvent, Task
from appdb.queue.journal import Journal, check_events
from appdb.queue.lease import Lease
from appdb.queue.sizes import MAX_TAIL_EVENTS
from appdb.repos.media import MediaStore, Upload
from appdb.utils import derived_id


class ContentRepository(BaseRepository):
    """
    What tasks made. Writers hold a lease; readers name the owner.

    While no primary answers, methods begin again for the database's patience; ``read`` leaves that to its caller.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._generations = self._collection(collections.GENERATIONS)
        self._contents = self._collection(collections.CONTENTS)
        self._journal = Journal(database)
        self._media = MediaStore(database)

    @repeats
    async def begin(
        self, lease: Lease, task: Task, *, operation: str, provider: str, source_data: Mapping[str, JsonValue]
    ) -> Generation:
        """Record the generation that *task* makes; a re-run of the task replaces the record.

        Args:
            lease: The fence.
            task: The claimed task, whose payload is kept as the request.
            operation: What is made, such as ``script2video``.
            provider: Who makes it.
            source_data: What the provider is given besides the request.

        Raises:
            LeaseLostError: Another worker may hold the task; nothing was written.
        """
        row = {
            "owner_id": task.owner_id,
            "task_id": task.id,
            "provider": provider,
            "operation": operation,
            "request": task.payload,
            "source_data": dict(source_data),
            "status": GenerationStatus.PENDING,
            "completed_at": None,
        }
        match = {"_id": generation_id(task.id)}

        async def body(session: Session) -> RawDocument:
            fenced = await self._fence(lease, [], session, {"has_content": True, "attached": True})
            document = match | row | {"created_at": fenced["updated_at"]}
            await self._generations.replace_one(match, document, upsert=True, session=session)
            return document

        return Generation.from_document(await self._database.transaction(body))

    @repeats
    async def store(self, lease: Lease, task: Task, item: NewContent, *, seq: int) -> Content:
        """Store an item: bytes first, then its document and its event in one transaction behind the fence.

        A crash in between leaves bytes that nobody names, never a name without bytes. The id comes from the task
        and the item's key, so storing again replaces the item and deletes the bytes that it had.

        Args:
            lease: The fence.
            task: The claimed task.
            item: What to store.
            seq: The number of the event that tells viewers about the item, counted by the holder.

        Raises:
            LeaseLostError: Another worker may hold the task; nothing is visible, and the bytes are deleted.
        """
        upload = await self._upload(task, item)
        content_id = derived_id("gc_", task.id, item.key)
        row = _content_row(task, item, upload, lease)
        event = NewEvent(type=TaskEventType.CONTENT, data={"content_id": content_id, **_announcement(item)})
        check_events([event])

        async def body(session: Session) -> tuple[RawDocument, RawDocument | None]:
            if (stored := await self._stored(lease, content_id, seq, session)) is not None:
                return stored, {"file_id": upload.file_id}
            fenced = await self._fence(lease, [event], session, {}, seq)
            document = {"_id": content_id, **row, "seq": seq, "created_at": fenced["updated_at"]}
            replaced = await self._contents.find_one_and_replace(
                {"_id": content_id}, document, upsert=True, session=session
            )
            return document, replaced

        try:
            document, replaced = await self._database.transaction(body)
        except LeaseLostError:
            await self._media.delete(upload.file_id)
            raise
        if replaced is not None:
            await self._media.delete(replaced["file_id"])
        if seq % MAX_TAIL_EVENTS == 0:
            await self._journal.spill([task.id])
        return Content.from_document(document)

    async def _stored(self, lease: Lease, content_id: str, seq: int, session: Session) -> RawDocument | None:
        """Return the item when an earlier try of the same call was applied and only its answer was lost."""
        match = {"_id": content_id, "attempt": lease.attempt, "seq": seq}
        return await self._contents.find_one(match, session=session)

    async def _fence(
        self,
        lease: Lease,
        events: list[NewEvent],
        session: Session,
        changes: Mapping[str, Any],
        seq: int | None = None,
    ) -> RawDocument:
        match = task_queries.held(lease.task_id, lease.token)
        if seq is not None:
            match["event_count"] = seq
        fenced = await self._journal.append(match, events, session=session, changes=changes)
        if fenced is None:
            raise LeaseLostError(lease.task_id, lease.attempt)
        return fenced

    async def _upload(self, task: Task, item: NewContent) -> Upload:
        metadata = {"owner_id": task.owner_id, "task_id": task.id}
        return await self._media.upload(item.data, filename=item.filename, metadata=metadata)

    @repeats
    async def get(self, content_id: str, *, owner_id: str) -> Content:
        """Return the owner's content item.

        Raises:
            NotFoundError: The owner has no such item.
        """
        found = await self._contents.find_one({"_id": content_id, "owner_id": owner_id})
        if found is None:
            raise NotFoundError("content", content_id)
        return Content.from_document(found)

    @repeats
    async def list_for_task(self, task_id: str, *, owner_id: str) -> list[Content]:
        """Return what the owner's task has made so far, by index."""
        match = {"owner_id": owner_id, "task_id": task_id}
        found = self._contents.find(match).sort([("index", 1), ("_id", 1)])
        return [Content.from_document(row) async for row in found]

    @repeats
    async def page(self, *, owner_id: str, before: str | None = None, limit: int = 50) -> list[Content]:
        """Return the owner's content items, newest first.

        Args:
            owner_id: Whose items.
            before: The id of the last item of the page before.
            limit: The most items to return.

        Raises:
            NotFoundError: The owner has no item *before*.
        """
        match: RawDocument = {"owner_id": owner_id}
        if before is not None:
            last = await self.get(before, owner_id=owner_id)
            same_time = {"created_at": last.created_at, "_id": {"$lt": last.id}}
            match["$or"] = [{"created_at": {"$lt": last.created_at}}, same_time]
        found = self._contents.find(match).sort([("created_at", -1), ("_id", -1)]).limit(limit)
        return [Content.from_document(row) async for row in found]

    @repeats
    async def generation(self, task_id: str, *, owner_id: str) -> Generation:
        """Return the record of what the owner's task makes.

        Raises:
            NotFoundError: The owner has no such task, or it has not begun to make anything.
        """
        found = await self._generations.find_one({"_id": generation_id(task_id), "owner_id": owner_id})
        if found is None:
            raise NotFoundError("generation of task", task_id)
        return Generation.from_document(found)

    @translates_stream_errors
    async def read(self, content: Content, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes of *content* from *start* up to and without *end*, a chunk at a time.

        Raises:
            NotFoundError: The item was replaced or deleted after it was looked up; look it up again.
        """
        stop = content.size if end is None else min(end, content.size)
        async for part in self._media.read(content.file_id, start, stop):
            yield part


def generation_id(task_id: str) -> str:
    """Return the id of the generation of a task; a re-run has the same."""
    return derived_id("cgm_", task_id)


def _content_row(task: Task, item: NewContent, upload: Upload, lease: Lease) -> RawDocument:
    return {
        "owner_id": task.owner_id,
        "task_id": task.id,
        "generation_id": generation_id(task.id),
        "key": item.key,
        "media_type": item.media_type,
        "filename": item.filename,
        "size": upload.size,
        "sha256": upload.sha256,
        "file_id": upload.file_id,
        "attempt": lease.attempt,
        "duration_seconds": item.duration_seconds,
        **_announcement(item),
    }


def _announcement(item: NewContent) -> dict[str, JsonValue]:
    return {
        "kind": item.kind,
        "role": item.role,
        "index": item.index,
        "seed": item.seed,
        "width": item.width,
        "height": item.height,
        "caption": item.caption,
    }
