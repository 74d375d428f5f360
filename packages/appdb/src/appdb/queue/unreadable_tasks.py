"""Unreadable tasks: a task that no model can read is set aside as failed, so that it costs its queue nothing more."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from appdb._driver import PyMongoError
from appdb._queries import tasks as queries
from appdb.connection import Connection
from appdb.errors import AppDbError, UnreadableError
from appdb.models.tasks import TaskState
from appdb.queue.finalize import TaskFinalizer
from appdb.queue.outcome_events import failed_event

logger = logging.getLogger(__name__)

UNREADABLE = "Unreadable"
"""The error's type of a task that was set aside."""


class UnreadableTasks:
    """
    Fails tasks that cannot be read.

    No worker can run such a task, and each claim would meet it again. It ends as failed, like any
    other task, so that its parent and its viewers hear of it; its log and the error say what is wrong with it, and what
    it holds stays as it is until it is pruned.
    """

    def __init__(self, connection: Connection) -> None:
        self._finalizer = TaskFinalizer(connection)

    async def set_aside(self, match: Mapping[str, Any], found: UnreadableError) -> bool:
        """Fail the one task that *match* finds, and return whether that was done; it never raises for the database.

        One round trip, or a transaction where something hangs on the task.
        """
        told = {"document_id": found.document_id, "problem": found.problem}
        error: dict[str, JsonValue] = {
            "type": UNREADABLE,
            "message": f"the stored task cannot be read ({found.problem}); mend it in the database, then replay it",
            "attempt": 0,
        }
        changes = queries.settle(TaskState.FAILED, None, error)
        try:
            ended = await self._finalizer.end_task(match, [failed_event(error)], changes)
        except (PyMongoError, AppDbError) as exc:
            # Tasks beside it must not be held up; the next claim that meets it tries again.
            logger.warning("a task that cannot be read could not be set aside", extra=told | {"error": str(exc)})
            return False
        if ended is not None:
            logger.error("a task cannot be read and was set aside as failed; mend it, then replay it", extra=told)
        return ended is not None
