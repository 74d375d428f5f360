"""Content items: bytes first, then the document and its event behind the fence of the task."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from appdb._driver import RawDocument, Session
from appdb._schema import collections
from appdb.connection import Connection
from appdb.content.generations import Generations, generation_id
from appdb.content.stored_bytes import ByteStore, Upload
from appdb.content.task_hold import hold_task
from appdb.errors import LeaseLostError, NotFoundError
from appdb.events import TaskEventType
from appdb.models.bounds import Count, accept
from appdb.models.generated_content import Content, NewContent
from appdb.models.task_events import NewEvent
from appdb.models.tasks import Task
from appdb.queue.lease import Lease
from appdb.queue.task_log import TaskLog, check_events
from appdb.size_limits import KIB, MAX_RECENT_EVENTS, check_size
from appdb.utils import derived_id

MAX_ITEM_BYTES = 64 * KIB
"""Limit of an item's document; its bytes may be as many as fit the disk."""
UNKNOWN_DIGEST = "0" * 64
"""A digest of the right length, for the check of an event's size before the bytes are read."""


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
        accept(Lease, lease, "lease")
        accept(NewContent, item)
        accept(Count, seq, "seq")
        content_id = content_id_of(task.id, item.key)
        check_events([_event(content_id, item, UNKNOWN_DIGEST)])
        described = _described(task, item, lease)
        check_size("content item", described, MAX_ITEM_BYTES)
        # Bytes first: a crash leaves bytes without a name, which are swept, never a name without bytes.
        upload = await self._upload(task, item)
        event = _event(content_id, item, upload.sha256)
        row = described | _whereabouts(upload)

        async def body(session: Session) -> tuple[RawDocument, RawDocument | None]:
            if (stored := await self._stored(lease, content_id, seq, session)) is not None:
                return stored, {"file_id": upload.file_id}
            held = await hold_task(self._log, lease, session, [event], seq)
            await self._generations.ensure_generation(task, session)
            await self._mark_preview(task, item, session)
            changes = row | {"seq": seq, "created_at": held["updated_at"]}
            replaced = await self._contents.find_one_and_update(
                {"_id": content_id}, {"$set": changes}, upsert=True, session=session
            )
            return (replaced or {"_id": content_id}) | changes, replaced

        try:
            document, replaced = await self._connection.transaction(body)
        except (LeaseLostError, NotFoundError):
            await self._bytes.delete_bytes(upload.file_id)
            raise
        # After the commit: until then the item names its earlier bytes.
        if replaced is not None:
            await self._bytes.delete_bytes(replaced["file_id"])
        if seq % MAX_RECENT_EVENTS == 0:
            await self._log.archive([task.id])
        return Content.from_document(document)

    async def _stored(self, lease: Lease, content_id: str, seq: int, session: Session) -> RawDocument | None:
        """Return the item when an earlier try of the same call was applied and only its answer was lost."""
        match = {"_id": content_id, "attempt": lease.attempt, "seq": seq}
        return await self._contents.find_one(match, session=session)

    async def _mark_preview(self, task: Task, item: NewContent, session: Session) -> None:
        if item.preview_key is None:
            return
        match = {"_id": content_id_of(task.id, item.preview_key), "owner_id": task.owner_id}
        marked = await self._contents.update_one(match, {"$set": {"is_preview": True}}, session=session)
        if not marked.matched_count:
            raise NotFoundError("preview item of this task, stored before, with the key", item.preview_key)

    async def _upload(self, task: Task, item: NewContent) -> Upload:
        metadata = {"owner_id": task.owner_id, "task_id": task.id}
        return await self._bytes.upload_bytes(item.data, filename=item.filename, metadata=metadata)


def content_id_of(task_id: str, key: str) -> str:
    """Return the id of a task's item; storing it again has the same."""
    return derived_id("gc_", task_id, key)


def _event(content_id: str, item: NewContent, sha256: str) -> NewEvent:
    # The digest says which bytes: a re-run stores others under the same id.
    return NewEvent(
        type=TaskEventType.CONTENT, data={"content_id": content_id, "sha256": sha256, **_announcement(item)}
    )


def _described(task: Task, item: NewContent, lease: Lease) -> dict[str, Any]:
    return {
        "owner_id": task.owner_id,
        "task_id": task.id,
        "generation_id": generation_id(task.id),
        "in_generation": True,
        "key": item.key,
        "media_type": item.media_type,
        "filename": item.filename,
        "attempt": lease.attempt,
        "duration_seconds": item.duration_seconds,
        "preview_id": None if item.preview_key is None else content_id_of(task.id, item.preview_key),
        **_announcement(item),
    }


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
