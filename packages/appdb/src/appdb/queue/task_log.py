"""The task log: appended to in one write with its task, read by pages, and archived when the task carries too much."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from appdb._driver import AFTER, BulkWriteError, RawDocument, Session, UpdateOne, refused
from appdb._queries import task_events as queries
from appdb._queries import tasks as task_queries
from appdb._queries.filters import by_ids
from appdb._schema import collections
from appdb.connection import Connection
from appdb.models.task_events import NewEvent
from appdb.queue.log_events import latest_progress, length_of_page, stored_events, weight_of
from appdb.size_limits import DUPLICATE_KEY, PAGE_BYTES


class TaskLog:
    """The log of every task: its recent events in the task itself, the archived ones in ``task_events``."""

    def __init__(self, connection: Connection) -> None:
        self._tasks = connection.collection(collections.TASKS)
        self._events = connection.collection(collections.TASK_EVENTS)

    async def append_to(
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
        # One write of one document for fence, events and state: no transaction is needed (decision 0005).
        update = task_queries.logged(stored_events(events), latest_progress(events), changes)
        task: RawDocument | None = await self._tasks.find_one_and_update(
            match, update, return_document=AFTER, projection={"tail": 0}, session=session
        )
        return task

    async def read_page(self, task_id: str, after: int, limit: int) -> list[RawDocument]:
        """Return a page of events with a number above *after*: at most *limit*, up to the one that fills its bytes.

        One round trip for the recent ones, two for others.
        """
        # The task first: what is archived meanwhile is found in the archive, and nothing is missed between.
        task = await self._tasks.find_one({"_id": task_id}, queries.TAIL) or {}
        recent = queries.rows(task_id, task.get("tail"))
        count = task.get("event_count", 0)
        begins = recent[0]["seq"] if recent else count if isinstance(count, int) else sys.maxsize
        archived: list[RawDocument] = []
        if after + 1 < begins:
            wanted = queries.page(task_id, after, begins, limit, PAGE_BYTES)
            archived = [row async for row in self._events.aggregate(wanted)]
        found = [*archived, *(row for row in recent if row["seq"] > after)][:limit]
        return found[: length_of_page(row.pop("bytes", None) or weight_of(row["data"]) for row in found)]

    async def archive(self, task_ids: Collection[str], session: Session | None = None) -> None:
        """Move the recent events of *task_ids* to the archive; three round trips, or four with *session*."""
        found = self._tasks.find(by_ids(task_ids), queries.TAIL, session=session)
        recent = {row["_id"]: queries.rows(row["_id"], row.get("tail")) async for row in found}
        rows = [row for events in recent.values() for row in events]
        if rows:
            # Copied first and dropped then: a host that is killed in between leaves events twice, and readers take one.
            await (self._copy(rows) if session is None else self._copy_within(rows, session))
            drops = [UpdateOne({"_id": key}, queries.dropped(log[-1]["seq"] + 1)) for key, log in recent.items() if log]
            await self._tasks.bulk_write(drops, ordered=False, session=session)

    async def _copy(self, rows: Sequence[RawDocument]) -> None:
        try:
            await self._events.insert_many(rows, ordered=False)
        except BulkWriteError as exc:
            # What an earlier call has copied stays; a copy that no majority has is none, and the original must stay.
            if any(code != DUPLICATE_KEY for code in refused(exc).values()):
                raise

    async def _copy_within(self, rows: Sequence[RawDocument], session: Session) -> None:
        # A duplicate key would end the caller's transaction.
        there = self._events.find(by_ids(row["_id"] for row in rows), {"_id": 1}, session=session)
        copied = {row["_id"] async for row in there}
        if missing := [row for row in rows if row["_id"] not in copied]:
            await self._events.insert_many(missing, session=session)
