"""Content items: bytes first, then the document and its event behind the fence of the task."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import JsonValue

from appdb._driver import RawDocument, Session
from appdb._queries import generated_content as queries
from appdb._queries.paging import NEWEST_FIRST, older_than
from appdb._schema import collections
from appdb.connection import Connection
from appdb.content.generations import Generations, generation_id
from appdb.content.stored_bytes import ByteStore, Upload
from appdb.content.task_hold import hold_task
from appdb.errors import LeaseLostError, NotFoundError
from appdb.events import TaskEventType
from appdb.models.bounds import Count, Place, accept
from appdb.models.generated_content import Content, NewContent
from appdb.models.task_events import NewEvent
from appdb.models.tasks import Task
from appdb.queue.lease import Lease
from appdb.queue.log_events import check_events, fills_recent_events
from appdb.queue.task_log import TaskLog
from appdb.reading import page_of, readable
from appdb.size_limits import KIB, check_size
from appdb.utils import derived_id

MAX_ITEM_BYTES = 64 * KIB
"""Limit of an item's document; its bytes may be as many as fit the disk."""
UNKNOWN_DIGEST = "0" * 64
"""A digest of the right length, for the check of an event's size before the bytes are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ItemWrite:
    """One write of an item by the holder of its task."""

    lease: Lease
    task: Task
    item: NewContent
    seq: int

    @property
    def content_id(self) -> str:
        return content_id_of(self.task.id, self.item.key)

    def described(self) -> dict[str, Any]:
        """Return the fields of the document that do not depend on the bytes, once all of them are checked."""
        accept(Lease, self.lease, "lease")
        accept(NewContent, self.item)
        accept(Count, self.seq, "seq")
        check_events([self.event(UNKNOWN_DIGEST)])
        fields = self._fields()
        check_size("content item", fields, MAX_ITEM_BYTES)
        return fields

    def _fields(self) -> dict[str, Any]:
        task, item = self.task, self.item
        return {
            "owner_id": task.owner_id,
            "task_id": task.id,
            "generation_id": generation_id(task.id),
            "in_generation": True,
            "key": item.key,
            "media_type": item.media_type,
            "filename": item.filename,
            "attempt": self.lease.attempt,
            "duration_seconds": item.duration_seconds,
            "preview_id": None if item.preview_key is None else content_id_of(task.id, item.preview_key),
            **_announcement(item),
        }

    def event(self, sha256: str) -> NewEvent:
        """Return the event that tells viewers about the item."""
        # The digest says which bytes: a re-run stores others under the same id.
        told = {"content_id": self.content_id, "sha256": sha256, **_announcement(self.item)}
        return NewEvent(type=TaskEventType.CONTENT, data=told)


class ContentItems:
    """Writes items, for ``ContentRepository``."""

    def __init__(self, connection: Connection, stored: ByteStore, generations: Generations) -> None:
        self._connection = connection
        self._contents = connection.collection(collections.CONTENTS)
        self._log = TaskLog(connection)
        self._bytes = stored
        self._generations = generations

    async def write_item(self, lease: Lease, task: Task, item: NewContent, seq: int) -> Content:
        """Write an item: its bytes, then its document and its event in one transaction."""
        write = _ItemWrite(lease=lease, task=task, item=item, seq=seq)
        described = write.described()
        # Bytes first: a crash leaves bytes without a name, which are swept, never a name without bytes.
        upload = await self._upload(task, item)
        row = described | _whereabouts(upload)
        try:
            document, replaced = await self._connection.transaction(partial(self._write_document, write, row))
        except (LeaseLostError, NotFoundError):
            await self._bytes.delete_bytes(upload.file_id)
            raise
        self._generations.note_begun(task.id)
        # After the commit: until then the item names its earlier bytes.
        if replaced is not None:
            await self._bytes.delete_bytes(replaced["file_id"])
        if fills_recent_events(seq, 1):
            await self._log.archive([task.id])
        return Content.from_document(document)

    async def _write_document(
        self, write: _ItemWrite, row: RawDocument, session: Session
    ) -> tuple[RawDocument, RawDocument | None]:
        """Return the item's document, and one that names the bytes that nothing needs any more."""
        try:
            held = await hold_task(self._log, write.lease, session, [write.event(row["sha256"])], write.seq)
        except LeaseLostError:
            # The event of an earlier try of this call has the number, where only its answer was lost.
            if (stored := await self._stored(write, session)) is None:
                raise
            return stored, row
        await self._generations.ensure_generation(write.task, session)
        await self._mark_preview(write.task, write.item, session)
        changes = row | {"seq": write.seq, "created_at": held["updated_at"]}
        replaced = await self._contents.find_one_and_update(
            {"_id": write.content_id}, queries.store(changes), upsert=True, session=session
        )
        return (replaced or {"_id": write.content_id}) | changes, replaced

    async def _stored(self, write: _ItemWrite, session: Session) -> RawDocument | None:
        """Return the item when an earlier try of the same call was applied and only its answer was lost."""
        match = {"_id": write.content_id, "attempt": write.lease.attempt, "seq": write.seq}
        return await self._contents.find_one(match, session=session)

    async def _mark_preview(self, task: Task, item: NewContent, session: Session) -> None:
        if item.preview_key is None:
            return
        match = {"_id": content_id_of(task.id, item.preview_key), "owner_id": task.owner_id}
        marked = await self._contents.update_one(match, queries.mark_preview(), session=session)
        if not marked.matched_count:
            raise NotFoundError("preview item of this task, stored before, with the key", item.preview_key)

    async def _upload(self, task: Task, item: NewContent) -> Upload:
        metadata = {"owner_id": task.owner_id, "task_id": task.id}
        return await self._bytes.upload_bytes(item.data, filename=item.filename, metadata=metadata)

    async def find_item(self, content_id: str, owner_id: str, session: Session | None) -> Content:
        """Return the owner's item."""
        found = await self._contents.find_one(queries.owned(content_id, owner_id), session=session)
        if found is None:
            raise NotFoundError("content", content_id)
        return Content.from_document(found)

    async def items_of_task(self, task_id: str, owner_id: str, session: Session | None) -> list[Content]:
        """Return all items of the owner's task, by index."""
        found = self._contents.find({"owner_id": owner_id, "task_id": task_id}, session=session).sort(queries.BY_INDEX)
        return readable(Content.from_document, await found.to_list(None))

    async def page_of_items(
        self, owner_id: str, before: str | None, limit: int, session: Session | None
    ) -> list[Content]:
        """Return the owner's items, newest first."""
        match: RawDocument = {"owner_id": owner_id}
        if before is not None:
            last = await self.find_item(before, owner_id, session)
            match |= older_than({"_id": last.id, "created_at": last.created_at})
        found = self._contents.find(match, session=session).sort(NEWEST_FIRST)
        return await page_of(Content.from_document, found, limit)

    async def read_item(self, content: Content, start: int, end: int | None) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of an item from *start* up to and without *end*."""
        stop = content.size if end is None else min(end, content.size)
        accept(Place, start, "start")
        accept(Place, stop, "end")
        async for part in self._bytes.read_range(content.file_id, start, stop):
            yield part


def content_id_of(task_id: str, key: str) -> str:
    """Return the id of a task's item; storing it again has the same."""
    return derived_id("gc_", task_id, key)


def _whereabouts(upload: Upload) -> dict[str, Any]:
    return {
        "size": upload.size,
        "sha256": upload.sha256,
        "decoded_type": upload.decoded_type,
        "file_id": upload.file_id,
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
