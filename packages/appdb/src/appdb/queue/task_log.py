"""The log of a task: read it, move its older part out of the task, and change one task together with its log."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from appdb._driver import AFTER, BulkWriteError, RawDocument, Session, UpdateOne, encoded_size, refused
from appdb._queries import task_events as queries
from appdb._queries import tasks as task_queries
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.errors import InvalidDataError
from appdb.events import TaskEventType
from appdb.models.bounds import accept
from appdb.models.task_events import NewEvent
from appdb.models.tasks import Progress
from appdb.queue.finalize import TaskFinalizer
from appdb.size_limits import DUPLICATE_KEY, MAX_EVENT_BYTES, PAGE_BYTES, check_size


class TaskLog(BaseRepository):
    """Writes to a task and its log together."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._tasks = self._collection(collections.TASKS)
        self._events = self._collection(collections.TASK_EVENTS)
        self._finalizer = TaskFinalizer(connection)

    async def append(
        self,
        match: Mapping[str, Any],
        events: Sequence[NewEvent],
        *,
        session: Session | None,
        changes: Mapping[str, Any],
    ) -> RawDocument | None:
        """Change the one task that *match* finds, and append *events* to its log, in one atomic write.

        It conflicts with every other writer of the task, so two writers can never number the same event. The last
        progress among *events* becomes the task's own.

        Args:
            match: The filter of the task; it holds the fence.
            events: What to append, in order; at most 64 KiB each.
            session: The caller's transaction, if it writes elsewhere too.
            changes: Expressions to set on the task.

        Returns:
            The task after the change, or ``None`` when nothing matched and nothing was written.
        """
        update = task_queries.logged(stored_form(events), latest_progress(events), changes)
        task: RawDocument | None = await self._tasks.find_one_and_update(
            match, update, return_document=AFTER, projection={"tail": 0}, session=session
        )
        return task

    async def end(
        self, match: Mapping[str, Any], events: Sequence[NewEvent], changes: Mapping[str, Any]
    ) -> RawDocument | None:
        """Do what ``append`` does, and close what hangs on the task when it becomes final.

        One round trip when nothing hangs on it, else a transaction: a host that is killed in one keeps the task
        locked until the server gives it up, so there is none without need.
        """
        without_dependents = {**match, **task_queries.without_dependents()}
        task = await self.append(without_dependents, events, session=None, changes=changes)
        if task is not None:
            return task

        async def body(session: Session) -> RawDocument | None:
            taken = await self.append(match, events, session=session, changes=changes)
            if taken is not None:
                await self._finalizer.close([taken], session)
            return taken

        result: RawDocument | None = await self._connection.transaction(body)
        return result

    async def read(self, task_id: str, after: int, limit: int) -> list[RawDocument]:
        """Return a page of events with a number above *after*: at most *limit*, up to the one that fills its bytes.

        One round trip for the newest, two for others.
        """
        # The task first: what moves out of it meanwhile is found where it goes, and nothing is missed between.
        task = await self._tasks.find_one({"_id": task_id}, queries.TAIL) or {}
        newest = queries.rows(task_id, task.get("tail"))
        count = task.get("event_count", 0)
        begins = newest[0]["seq"] if newest else count if isinstance(count, int) else sys.maxsize
        older: list[RawDocument] = []
        if after + 1 < begins:
            wanted = queries.page(task_id, after, begins, limit, PAGE_BYTES)
            older = [row async for row in self._events.aggregate(wanted)]
        found = [*older, *(row for row in newest if row["seq"] > after)][:limit]
        return found[: length_of_page(row.pop("bytes", None) or weight_of(row["data"]) for row in found)]

    async def archive(self, task_ids: Collection[str]) -> None:
        """Move the logs of *task_ids* out of the tasks; three round trips, and safe to repeat."""
        found = self._tasks.find(task_queries.ids(task_ids), queries.TAIL)
        tails = {row["_id"]: queries.rows(row["_id"], row.get("tail")) async for row in found}
        rows = [row for tail in tails.values() for row in tail]
        if not rows:
            return
        try:
            await self._events.insert_many(rows, ordered=False)
        except BulkWriteError as exc:
            # What an earlier call has copied stays; a copy that no majority has is none, and the original must stay.
            if any(code != DUPLICATE_KEY for code in refused(exc).values()):
                raise
        drops = [UpdateOne({"_id": key}, queries.dropped(tail[-1]["seq"] + 1)) for key, tail in tails.items() if tail]
        await self._tasks.bulk_write(drops, ordered=False)


def length_of_page(weights: Iterable[int]) -> int:
    """Return how many events of these *weights* are read at once: all up to the one that fills a page's bytes."""
    total = length = 0
    for weight in weights:
        length += 1
        total += weight
        if total >= PAGE_BYTES:
            break
    return length


def weight_of(data: object) -> int:
    """Return what an event's *data* counts for on a page, in bytes; nothing where other software wrote no object."""
    return encoded_size("event", data) if isinstance(data, Mapping) else 0


def check_events(events: Sequence[NewEvent]) -> int:
    """Check that every event fits, before anything is written, and return what they weigh together, in bytes.

    Raises:
        TooLargeError: An event is over 64 KiB.
        InvalidDataError: An event holds a value that cannot be stored, or a progress that a task cannot show.
    """
    size = 0
    for event in events:
        accept(NewEvent, event)
        size += check_size(f"{event.type} event", event.data, MAX_EVENT_BYTES)
        if event.type is TaskEventType.PROGRESS:
            _check_progress(event.data)
    return size


def _check_progress(data: Mapping[str, Any]) -> None:
    # It becomes a part of the task, which nobody could read any more.
    try:
        Progress.model_validate(data)
    except ValidationError as exc:
        raise InvalidDataError("progress event", "give a fraction from 0 to 1, and a message as text") from exc


def stored_form(events: Sequence[NewEvent]) -> list[RawDocument]:
    """Return *events* as they are appended; the server numbers and times them."""
    return [{"type": event.type.value, "data": dict(event.data)} for event in events]


def latest_progress(events: Sequence[NewEvent]) -> Mapping[str, Any] | None:
    """Return the data of the last progress among *events*: what the task itself shows."""
    return next((event.data for event in reversed(events) if event.type is TaskEventType.PROGRESS), None)
