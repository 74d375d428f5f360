"""Enqueueing: the document of a new task is stored once, whatever is repeated, and a taken key gives the first task."""

from __future__ import annotations

from collections.abc import Sequence

from appdb._driver import (
    AFTER,
    BulkWriteError,
    DuplicateKeyError,
    PyMongoError,
    RawDocument,
    Session,
    UpdateOne,
    refused,
)
from appdb._queries import tasks as queries
from appdb._queries.filters import by_ids
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import AppDbError, DatabaseUnavailableError
from appdb.models.tasks import Task
from appdb.queue.batching import GroupCommit
from appdb.queue.task_document import NewTaskDocument, has_times, same_request
from appdb.size_limits import DUPLICATE_KEY

MAX_TRIES = 3
"""How often a task is stored whose key others take and free at the same time, before its caller is asked to repeat."""


class Enqueuer:
    """Stores the documents of new tasks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks = connection.collection(collections.TASKS)
        self._arrivals: GroupCommit[NewTaskDocument, Task] = GroupCommit(
            self._insert_together, connection.operation_timeout
        )

    async def enqueue_one(self, new: NewTaskDocument, session: Session | None) -> Task:
        """Store *new*, or return the task that its id or its unique key stands for already.

        One round trip; with a unique key two in a caller's transaction, and up to three more where a key was taken.
        """
        if session is not None:
            return await self._enqueue_within(new, session)
        # Only the server may work out times, which takes an upsert of its own.
        if not has_times(new.task):
            return await self._enqueue_with_others(new)
        try:
            return await self._upsert(new, None)
        except DuplicateKeyError:
            return await self._resolve_duplicate(new)

    async def enqueue_all(self, new: Sequence[NewTaskDocument], session: Session | None) -> list[str]:
        """Store *new* and return the ids of their tasks, in order; one round trip, and up to three more for each taken.

        In a caller's transaction one round trip for all without a unique key, and up to three for each other one.
        """
        if not new:
            return []
        if session is not None:
            return await self._enqueue_all_within(new, session)
        with self._connection.within_timeout():
            now = await self._connection.clock.now()
            rows = [one.stored_at(now) for one in new]
            errors = await self._insert(rows)
        stored = [one.id for one in new]
        for position, code in errors.items():
            outcome = await self._outcome(new[position], rows[position], code)
            if isinstance(outcome, Exception):
                raise outcome
            stored[position] = outcome.id
        return stored

    async def _enqueue_with_others(self, new: NewTaskDocument) -> Task:
        try:
            return await self._arrivals.add(new)
        except TimeoutError as exc:
            waited = "those before it got no answer within the operation timeout; repeat it with the same id or key"
            raise DatabaseUnavailableError(f"enqueueing task {new.id}", waited) from exc

    async def _insert_together(self, new: Sequence[NewTaskDocument]) -> list[Task | Exception]:
        """Store what several callers want to store now, each as if it were alone."""
        # An insert costs the server a fifth less than an upsert. It cannot ask for the server's time, which decides
        # nothing but the order where a task has no times of its own.
        with self._connection.within_timeout():
            now = await self._connection.clock.now()
            rows = [one.stored_at(now) for one in new]
            errors = await self._insert(rows)
        return [
            Task.from_document(row) if (code := errors.get(at)) is None else await self._outcome(new[at], row, code)
            for at, row in enumerate(rows)
        ]

    async def _insert(self, rows: Sequence[RawDocument]) -> dict[int, int]:
        """Insert *rows*, and return the positions of those that were refused, each with the server's code."""
        try:
            await self._tasks.insert_many(rows, ordered=False)
        except BulkWriteError as exc:
            return refused(exc)
        return {}

    async def _outcome(self, new: NewTaskDocument, row: RawDocument, code: int) -> Task | Exception:
        try:
            if code == DUPLICATE_KEY:
                return await self._resolve_duplicate(new)
            await self._tasks.insert_one(row)
        except (AppDbError, PyMongoError) as exc:
            # The others' tasks are stored, and must not fail with this one.
            return exc
        return Task.from_document(row)

    async def _resolve_duplicate(self, new: NewTaskDocument) -> Task:
        """Return the task that *new* stands for and that kept it from being stored, or store it if that is gone."""
        for _ in range(MAX_TRIES):
            try:
                first = await self._first_task(new, None)
                return first or await self._upsert(new, None)
            except DuplicateKeyError:
                # Another caller has taken the key meanwhile, or no majority has confirmed yet who has.
                continue
        unconfirmed = "no majority has confirmed yet what its key stands for; repeat it with the same id or key"
        raise DatabaseUnavailableError(f"enqueueing task {new.id}", unconfirmed)

    async def _enqueue_within(self, new: NewTaskDocument, session: Session) -> Task:
        # A duplicate key would end the caller's transaction, so what the key stands for is looked up before.
        first = None if new.task.unique_key is None else await self._first_task(new, session)
        return first or await self._upsert(new, session)

    async def _enqueue_all_within(self, new: Sequence[NewTaskDocument], session: Session) -> list[str]:
        if keyless := [one for one in new if one.task.unique_key is None]:
            statements = [UpdateOne(*one.upsert(), upsert=True) for one in keyless]
            written = await self._tasks.bulk_write(statements, session=session)
            made = written.upserted_ids or {}
            await self._check_owners([one for at, one in enumerate(keyless) if at not in made], session)
        keyed = [one for one in new if one.task.unique_key is not None]
        first = {one.id: (await self._enqueue_within(one, session)).id for one in keyed}
        return [first.get(one.id, one.id) for one in new]

    async def _check_owners(self, new: Sequence[NewTaskDocument], session: Session) -> None:
        """Check that the tasks that were there before under the ids of *new* are their owners'."""
        if new:
            match = by_ids(one.id for one in new)
            found = {row["_id"]: row async for row in self._tasks.find(match, session=session)}
            for one in new:
                one.own(found[one.id])

    async def _upsert(self, new: NewTaskDocument, session: Session | None) -> Task:
        # An upsert, so that a repeated one finds the task and changes nothing.
        match, update = new.upsert()
        stored = await self._tasks.find_one_and_update(
            match, update, upsert=True, return_document=AFTER, session=session
        )
        return new.own(stored)

    async def _first_task(self, new: NewTaskDocument, session: Session | None) -> Task | None:
        """Return the task that *new*'s id or unique key stands for, and free a key that stands for it no longer.

        One round trip, and one more for a key that may have to be freed.
        """
        match = queries.standing(new.id, new.task.owner_id, new.task.unique_key)
        found = {row["_id"]: row async for row in self._tasks.find(match, session=session)}
        if new.id in found:
            return new.own(found[new.id])
        for row in found.values():
            if (row.get("unique_while_live") or row.get("unique_until")) and await self._free_key(row, session):
                return None
            return same_request(Task.from_document(row), new.task)
        return None

    async def _free_key(self, row: RawDocument, session: Session | None) -> bool:
        match = queries.released_keys(row["owner_id"], [row["unique_key"]]) | {"_id": row["_id"]}
        freed = await self._tasks.update_one(match, queries.free_key(), session=session)
        return bool(freed.modified_count)
