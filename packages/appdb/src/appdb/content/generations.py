"""Generations: recorded, begun, reported on, and listed with their items."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import JsonValue

from appdb._driver import AFTER, RawDocument, Session
from appdb._queries import content_generation_metadata as generation_queries
from appdb._queries import tasks as task_queries
from appdb._queries.paging import older_than
from appdb._schema import collections
from appdb.connection import Connection
from appdb.content.task_hold import hold_task
from appdb.errors import ConflictError, NotFoundError
from appdb.models.bounds import Label, Name, Text, accept
from appdb.models.content_generation_metadata import Generation, GenerationWithItems, NewGeneration, Origin
from appdb.models.generated_content import Content
from appdb.models.tasks import LABELS, Task
from appdb.queue.labels import handed_on
from appdb.queue.lease import Lease
from appdb.queue.task_log import TaskLog
from appdb.reading import first_readable, readable
from appdb.run_lock import RunLock
from appdb.size_limits import KIB, check_size
from appdb.utils import derived_id

MAX_REQUEST_BYTES = 256 * KIB
MAX_SOURCE_BYTES = 256 * KIB
MAX_USAGE_BYTES = 16 * KIB
MAX_NAMES_BYTES = 4 * KIB
"""Of all names together: provider, operation, ids."""


MAX_BEGUN = 1_000
"""Tasks that are known to have a generation; more than a worker has slots."""
LABELLED = dict.fromkeys(LABELS, 1)


class Generations:
    """Writes, reads and lists generations, for ``ContentRepository``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks = connection.collection(collections.TASKS)
        self._generations = connection.collection(collections.GENERATIONS)
        self._run_lock = RunLock(connection)
        self._log = TaskLog(connection)
        self._begun: dict[str, None] = {}

    async def record_generation(self, new: NewGeneration, owner_id: str, session: Session | None) -> Generation:
        """Write a generation that its task has not begun yet."""

        async def body(joined: Session) -> Generation:
            return await self._record(new, owner_id, joined)

        return await self._connection.joined(body, session)

    async def _record(self, new: NewGeneration, owner_id: str, session: Session) -> Generation:
        accept(NewGeneration, new)
        accept(Name, owner_id, "owner_id")
        named = {"task_id": new.task_id, "provider": new.provider, "operation": new.operation, **asdict(new.origin)}
        check_size("generation's names", named, MAX_NAMES_BYTES)
        check_size("request", new.request, MAX_REQUEST_BYTES)
        check_size("source data", new.source_data, MAX_SOURCE_BYTES)
        fields = named | {"owner_id": owner_id, "request": dict(new.request), "source_data": dict(new.source_data)}
        marked: RawDocument | None = await self._tasks.find_one_and_update(
            task_queries.live(new.task_id, owner_id), task_queries.mark_content(), LABELLED, session=session
        )
        if marked is None:
            raise await self._refusal(new.task_id, owner_id, session)
        fields |= await self._place_of(new.origin, marked, owner_id, session)
        return Generation.from_document(await self._write(new.task_id, generation_queries.record(fields), session))

    async def _place_of(
        self, origin: Origin, task: Mapping[str, Any], owner_id: str, session: Session
    ) -> dict[str, str | None]:
        """Return where a generation is made, by default where its task's labels say, with another run locked."""
        place = place_of(origin, task)
        # The task's own run needs no lock: its deletion cancels the task, to which this transaction has written.
        if (run_id := place["run_id"]) not in {None, task.get("run_id")}:
            await self._run_lock.lock(str(run_id), owner_id, session)
        return place

    async def _refusal(self, task_id: str, owner_id: str, session: Session) -> NotFoundError | ConflictError:
        found = await self._tasks.find_one(task_queries.owned(task_id, owner_id), {"state": 1}, session=session)
        if found is None:
            return NotFoundError("task", task_id)
        return ConflictError("task", task_id, f"it is already {found['state']}; record what it makes before it ends")

    async def begin_generation(
        self, lease: Lease, task: Task, fields: Mapping[str, str], source: Mapping[str, JsonValue], origin: Origin
    ) -> Generation:
        """Write what the attempt makes, behind the fence; *fields* are provider and operation."""
        for name, text in fields.items():
            accept(Label, text, name)
        accept(Origin, origin, "origin")
        named = {"owner_id": task.owner_id, "task_id": task.id, **fields}
        check_size("generation's names", named | asdict(origin), MAX_NAMES_BYTES)
        check_size("source data", source, MAX_SOURCE_BYTES)

        async def body(session: Session) -> RawDocument:
            held = await hold_task(self._log, lease, session)
            place = await self._place_of(origin, held, task.owner_id, session)
            update = generation_queries.begin(named | {"source_data": dict(source)}, task.payload, place)
            return await self._write(task.id, update, session)

        written = await self._connection.transaction(body)
        self.note_begun(task.id)
        return Generation.from_document(written)

    def note_begun(self, task_id: str) -> None:
        """Note that the task has a generation now, until it ends: whoever deletes that cancels the task."""
        self._begun[task_id] = None
        if len(self._begun) > MAX_BEGUN:
            del self._begun[next(iter(self._begun))]

    async def _write(self, task_id: str, update: list[dict[str, Any]], session: Session) -> RawDocument:
        match = {"_id": generation_id(task_id)}
        written: RawDocument = await self._generations.find_one_and_update(
            match, update, upsert=True, return_document=AFTER, session=session
        )
        return written

    async def ensure_generation(self, task: Task, session: Session) -> None:
        """Write the generation of *task* if there is none; no round trip where it is known."""
        if task.id in self._begun:
            return
        # An actor may store an item without having begun a generation.
        named = {"owner_id": task.owner_id, "task_id": task.id, "provider": "", "operation": task.actor}
        fields = named | {"request": task.payload, "source_data": {}} | asdict(Origin.of(task))
        match = {"_id": generation_id(task.id)}
        # One that is there keeps what it has.
        await self._generations.update_one(match, generation_queries.record(fields), upsert=True, session=session)

    async def report_generation(self, lease: Lease, changes: Mapping[str, Any]) -> Generation:
        """Set *changes* behind the fence."""
        if "provider_task_id" in changes:
            accept(Text, changes["provider_task_id"], "provider_task_id")
        check_size("usage", changes.get("usage") or {}, MAX_USAGE_BYTES)
        update = generation_queries.report(changes)

        async def body(session: Session) -> RawDocument:
            await hold_task(self._log, lease, session)
            match = {"_id": generation_id(lease.task_id)}
            found: RawDocument | None = await self._generations.find_one_and_update(
                match, update, return_document=AFTER, session=session
            )
            if found is None:
                raise NotFoundError("generation of task", lease.task_id)
            return found

        return Generation.from_document(await self._connection.transaction(body))

    async def find_generation(
        self, match: RawDocument, kind: str, asked_id: str, session: Session | None
    ) -> Generation:
        """Return the one generation that *match* finds."""
        found = await self._generations.find_one(match, session=session)
        if found is None:
            raise NotFoundError(kind, asked_id)
        return Generation.from_document(found)

    async def page_of_run(
        self, run_id: str, owner_id: str, before: str | None, limit: int, session: Session | None
    ) -> list[GenerationWithItems]:
        """Return a page of the generations of the owner's run, newest first."""
        match = generation_queries.generations(owner_id, run_id=run_id)
        found = await self.page_with_items(match, before, limit, session)
        await self._run_lock.check_run(run_id, owner_id, session)
        return found

    async def page_with_items(
        self, match: RawDocument, before: str | None, limit: int, session: Session | None
    ) -> list[GenerationWithItems]:
        """Return a page of what *match* finds, newest first: one aggregation, and a look at *before*."""
        if before is not None:
            last = await self._generations.find_one(match | {"_id": before}, {"created_at": 1}, session=session)
            if last is None:
                raise NotFoundError("generation", before)
            match = match | older_than(last)

        def look(most: int) -> Awaitable[Sequence[RawDocument]]:
            stages = generation_queries.with_items(match, most)
            return self._generations.aggregate(stages, session=session).to_list(None)

        return await first_readable(_with_items, look, limit)


def _with_items(row: RawDocument) -> GenerationWithItems:
    return GenerationWithItems.from_document(row | {"items": readable(Content.from_document, row["items"])})


def place_of(origin: Origin, task: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the fields of *origin*, with those that it leaves out from the labels of *task*."""
    place: dict[str, str | None] = asdict(origin)
    return place | handed_on(place, task)


def generation_id(task_id: str) -> str:
    """Return the id of the generation of a task; a re-run has the same."""
    return derived_id("cgm_", task_id)
