"""The log of a task: numbered events, written only behind the fence, in one transaction with what they tell about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from appdb._driver import AFTER, RawDocument, Session
from appdb._queries import tasks as queries
from appdb._queries.clock import literal
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.events import TaskEventType
from appdb.models.task import NewEvent
from appdb.queue.sizes import MAX_EVENT_BYTES, check_size


class Journal(BaseRepository):
    """Writes to a task and its log together; every method needs the caller's transaction."""

    async def append(
        self,
        match: Mapping[str, Any],
        events: Sequence[NewEvent],
        *,
        session: Session,
        changes: Mapping[str, Any] | None = None,
    ) -> RawDocument | None:
        """Change the one task that *match* finds, and append *events* to its log.

        The update of the task comes first and is the fence: it conflicts with every other writer of the task, so
        two writers can never number the same event. The last progress among *events* becomes the task's own.

        Args:
            match: The filter of the task; it holds the fence.
            events: What to append, in order; at most 64 KiB each.
            session: The transaction.
            changes: Expressions to set on the task.

        Returns:
            The task after the change, or ``None`` when nothing matched and nothing was written.
        """
        options: dict[str, Any] = {"return_document": AFTER, "session": session}
        task: RawDocument | None = await self._collection(collections.TASKS).find_one_and_update(
            match, queries.logged(len(events), _shown(events) | dict(changes or {})), **options
        )
        if task is not None and events:
            first = task["event_count"] - len(events)
            rows = [row_of(task, first + offset, event) for offset, event in enumerate(events)]
            await self._collection(collections.TASK_EVENTS).insert_many(rows, session=session)
        return task


def check_events(events: Sequence[NewEvent]) -> None:
    """Check that every event fits, before a transaction begins.

    Raises:
        TooLargeError: An event is over 64 KiB.
        InvalidDataError: An event holds a value that cannot be stored.
    """
    for event in events:
        check_size(f"{event.type} event", event.data, MAX_EVENT_BYTES)


def latest_progress(events: Sequence[NewEvent]) -> Mapping[str, Any] | None:
    """Return the data of the last progress among *events*: what the task itself shows."""
    return next((event.data for event in reversed(events) if event.type is TaskEventType.PROGRESS), None)


def _shown(events: Sequence[NewEvent]) -> dict[str, Any]:
    latest = latest_progress(events)
    return {} if latest is None else {"progress": literal(latest)}


def row_of(task: RawDocument, seq: int, event: NewEvent) -> RawDocument:
    """Return *event* as it is stored: number *seq* in the log of *task*, at the time of the task's last change."""
    at: datetime = task["updated_at"]
    return {
        "_id": f"{task['_id']}:{seq}",
        "task_id": task["_id"],
        "seq": seq,
        "type": event.type,
        "attempt": task["attempt"],
        "at": at,
        "data": dict(event.data),
    }
