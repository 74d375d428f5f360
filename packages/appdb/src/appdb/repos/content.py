"""ContentRepository: generations and their items, each write behind the fence of its task."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta

from pydantic import JsonValue

from appdb._driver import Session, retried, retried_deletion, translates_errors, translates_stream_errors
from appdb._queries import content_generation_metadata as generation_queries
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.content.deletion import ContentDeletion
from appdb.content.generations import Generations, generation_id
from appdb.content.items import ContentItems
from appdb.content.stored_bytes import ByteStore
from appdb.content.sweep import GRACE, LOOKED_AT_ONCE, BytesSweep, ItemsSweep
from appdb.models.content_generation_metadata import NO_ORIGIN, Generation, GenerationWithItems, NewGeneration, Origin
from appdb.models.generated_content import Content, NewContent
from appdb.models.tasks import Task
from appdb.queue.lease import Lease


class ContentRepository(BaseRepository):
    """
    Content that tasks made. Writers hold a lease; readers name the owner.

    A generation belongs to one task, and its status is moved by the end of the task alone, in the same transaction:
    ``pending`` becomes ``completed``, ``failed`` with the task's error message, or ``cancelled``, and stays that.

    While no primary answers, methods are retried for the database's retry timeout; ``read`` and ``sweep`` leave that to
    their caller.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        stored = ByteStore(connection)
        self._generations = Generations(connection)
        self._items = ContentItems(connection, stored, self._generations)
        self._deletion = ContentDeletion(connection, stored)
        self._lost_bytes = BytesSweep(connection, collections.MEDIA_BUCKET, collections.CONTENTS)
        self._lost_items = ItemsSweep(connection)

    @retried
    async def record(self, generation: NewGeneration, *, owner_id: str, session: Session | None = None) -> Generation:
        """Record what a task is going to make, so that its owner sees it before a worker begins.

        Written once: a repeated call changes nothing, and neither does one after the worker began, except that it adds
        what the worker does not know, such as the run.

        Args:
            generation: What is to be made.
            owner_id: Whose task.
            session: The transaction that enqueues the task, so that both appear together.

        Raises:
            NotFoundError: The owner has no such task, or no such run, or that is being deleted.
            ConflictError: The task has ended.
            TooLargeError: The request or the source data is over 256 KiB.
            InvalidDataError: A value cannot be stored.
        """
        return await self._generations.record_generation(generation, owner_id, session)

    @retried
    async def begin(
        self,
        lease: Lease,
        task: Task,
        *,
        operation: str,
        provider: str,
        source_data: Mapping[str, JsonValue],
        origin: Origin = NO_ORIGIN,
    ) -> Generation:
        """Write what *task* makes; a re-run of the task writes it again.

        What an earlier attempt reported stays for the same provider and operation: where ``provider_task_id`` is set,
        the provider has the work already, and it can be asked for instead of being paid again.

        Args:
            lease: The lease that the fence checks.
            task: The claimed task, whose payload is kept as the request if none was recorded.
            operation: What is made, such as ``script2video``.
            provider: Who makes it.
            source_data: What the provider is given besides the request; at most 256 KiB as BSON.
            origin: For whom it is made; what is ``None`` stays as it was recorded.

        Raises:
            LeaseLostError: Another worker may hold the task; nothing was written.
            NotFoundError: The owner has no such run, or it is being deleted; nothing was written.
            TooLargeError: The source data is too large; nothing was written.
            InvalidDataError: A value cannot be stored; nothing was written.
        """
        fields = {"operation": operation, "provider": provider}
        return await self._generations.begin_generation(lease, task, fields, source_data, origin)

    @retried
    async def report(
        self, lease: Lease, *, provider_task_id: str | None = None, usage: Mapping[str, JsonValue] | None = None
    ) -> Generation:
        """Write what the provider said, as soon as it is known; repeating is safe.

        Args:
            lease: The lease that the fence checks.
            provider_task_id: Under what the provider knows the work; ``None`` leaves it as it is.
            usage: What the provider counted, at most 16 KiB as BSON; ``None`` leaves it as it is.

        Raises:
            LeaseLostError: Another worker may hold the task; nothing was written.
            NotFoundError: The task has not begun to make anything.
            TooLargeError: The usage is over 16 KiB; nothing was written.
            InvalidDataError: A value cannot be stored; nothing was written.
        """
        said = {"provider_task_id": provider_task_id, "usage": None if usage is None else dict(usage)}
        changes = {name: value for name, value in said.items() if value is not None}
        return await self._generations.report_generation(lease, changes)

    @retried
    async def store(self, lease: Lease, task: Task, item: NewContent, *, seq: int) -> Content:
        """Store an item: bytes first, then its document and its event in one transaction behind the fence.

        A round trip for each 2 MiB and four more, for the first item of a task five.

        A crash in between leaves bytes that nobody names, which are swept, never a name without bytes. The id comes
        from the task and the item's key, so storing again replaces the item and deletes the bytes that it had.

        Args:
            lease: The lease that the fence checks.
            task: The claimed task.
            item: What to store.
            seq: The number of the event that tells viewers about the item, counted by the holder.

        Raises:
            LeaseLostError: Another worker may hold the task; nothing is visible, and the bytes are deleted.
            NotFoundError: The task has stored no item with the preview's key; nothing was stored.
            TooLargeError: What is said of the item is over 64 KiB; nothing was stored.
            InvalidDataError: A value cannot be stored; nothing was stored.
        """
        return await self._items.write_item(lease, task, item, seq)

    @retried
    async def get(self, content_id: str, *, owner_id: str, session: Session | None = None) -> Content:
        """Return the owner's content item.

        Raises:
            NotFoundError: The owner has no such item.
        """
        return await self._items.find_item(content_id, owner_id, session)

    @retried
    async def list_for_task(self, task_id: str, *, owner_id: str, session: Session | None = None) -> list[Content]:
        """Return all that the owner's task has made so far, by index."""
        return await self._items.items_of_task(task_id, owner_id, session)

    @retried
    async def page(
        self, *, owner_id: str, before: str | None = None, limit: int = 50, session: Session | None = None
    ) -> list[Content]:
        """Return the owner's content items, newest first.

        Args:
            owner_id: Whose items.
            before: The id of the last item of the page before.
            limit: The most items to return.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no item *before*.
        """
        return await self._items.page_of_items(owner_id, before, limit, session)

    @retried
    async def generation(self, task_id: str, *, owner_id: str, session: Session | None = None) -> Generation:
        """Return the record of what the owner's task makes.

        Raises:
            NotFoundError: The owner has no such task, or it has not begun to make anything.
        """
        match = generation_queries.owned(generation_id(task_id), owner_id)
        return await self._generations.find_generation(match, "generation of task", task_id, session)

    @retried
    async def get_generation(self, generation_id: str, *, owner_id: str, session: Session | None = None) -> Generation:
        """Return the owner's generation.

        Raises:
            NotFoundError: The owner has no such generation.
        """
        match = generation_queries.owned(generation_id, owner_id)
        return await self._generations.find_generation(match, "generation", generation_id, session)

    @retried
    async def list_for_interaction(
        self,
        interaction_id: str,
        *,
        owner_id: str,
        before: str | None = None,
        limit: int = 50,
        session: Session | None = None,
    ) -> list[GenerationWithItems]:
        """Return the generations that an interaction shows, newest first, with their items: one query.

        Args:
            interaction_id: The interaction.
            owner_id: Whose generations.
            before: The id of the last generation of the page before; looked up by one more query.
            limit: The most generations to return; of each, the first 500 items.
            session: The caller's transaction.

        Raises:
            NotFoundError: The interaction has no generation *before*.
        """
        match = generation_queries.generations(owner_id, interaction_id=interaction_id)
        return await self._generations.page_with_items(match, before, limit, session)

    @retried
    async def list_for_run(
        self, run_id: str, *, owner_id: str, before: str | None = None, limit: int = 50, session: Session | None = None
    ) -> list[GenerationWithItems]:
        """Return the generations of a run, as ``list_for_interaction`` does.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted, or it has no generation *before*.
        """
        return await self._generations.page_of_run(run_id, owner_id, before, limit, session)

    @retried
    async def list_for_owner(
        self, *, owner_id: str, before: str | None = None, limit: int = 50, session: Session | None = None
    ) -> list[GenerationWithItems]:
        """Return the owner's generations, as ``list_for_interaction`` does."""
        return await self._generations.page_with_items(generation_queries.generations(owner_id), before, limit, session)

    @translates_stream_errors
    async def read(self, content: Content, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of *content* from *start* up to and without *end*, a chunk at a time.

        Raises:
            InvalidDataError: *start* or *end* is negative.
            NotFoundError: The item was replaced or deleted after it was looked up; look it up again.
            DatabaseUnavailableError: No primary answered in time; what was yielded is right, and the rest can be read.
        """
        async for part in self._items.read_item(content, start, end):
            yield part

    @retried_deletion
    async def delete(self, content_id: str, *, owner_id: str, session: Session | None = None) -> None:
        """Delete an item with its bytes, and its preview when no other item has the same.

        In a caller's transaction the bytes are left to ``sweep``, since that can be undone.

        Raises:
            NotFoundError: The owner has no such item; it may have been deleted already.
            ConflictError: Its task still runs and may store it again.
        """
        await self._deletion.delete_item(content_id, owner_id, session)

    @retried_deletion
    async def delete_generation(self, generation_id: str, *, owner_id: str, session: Session | None = None) -> None:
        """Delete a generation with its items and their bytes, for good.

        A task that still works on it is cancelled with its children, in the same transaction: whatever it was about to
        store is refused. In a caller's transaction the bytes are left to ``sweep``.

        Raises:
            NotFoundError: The owner has no such generation; it may have been deleted already.
        """
        await self._deletion.delete_with_items(generation_id, owner_id, session)

    @retried
    async def delete_run(self, run_id: str, *, owner_id: str, session: Session | None = None) -> int:
        """Delete all generations of a run, as ``delete_generation`` does, and return how many they were.

        Twenty at a time, so a call that was cut off has deleted some; repeat it. Tasks of the run that have recorded no
        generation are not known here, so cancel them before.
        """
        return await self._deletion.delete_of_run(run_id, owner_id, session)

    @translates_errors
    async def sweep(self, *, older_than: timedelta = GRACE, limit: int = LOOKED_AT_ONCE) -> int:
        """Delete bytes that no item names, and items that lost their generation; return how many of both.

        Killed writers leave such bytes. Looks at the next *limit* of each, so repeated calls come round to all of them;
        any number of hosts may call it. Uploads that began less than *older_than* ago are left alone, by the database's
        clock, so it must be longer than an attempt can take.

        Args:
            older_than: The age from which bytes and items are taken for lost.
            limit: How many files and how many items to look at.
        """
        items = await self._lost_items.sweep(older_than, limit)
        return items + await self._lost_bytes.sweep(older_than, limit)
