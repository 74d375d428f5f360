"""Finalizing: a task ends, and with it its generations close, its parent is notified and its follow-ups begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from appdb._driver import RawDocument, Session
from appdb._queries import content_generation_metadata as generation_queries
from appdb._queries import tasks as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.models.content_generation_metadata import GenerationStatus
from appdb.models.task_events import NewEvent
from appdb.models.tasks import TaskState
from appdb.models.vocabulary import word
from appdb.queue.follow_ups import FollowUps
from appdb.queue.task_log import TaskLog


class TaskFinalizer:
    """Ends tasks together with what depends on them: content that is being made, a parent, follow-ups."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks = connection.collection(collections.TASKS)
        self._generations = connection.collection(collections.GENERATIONS)
        self._follow_ups = FollowUps(connection)
        self._log = TaskLog(connection)

    async def end_task(
        self,
        match: Mapping[str, Any],
        events: Sequence[NewEvent],
        changes: Mapping[str, Any],
        session: Session | None = None,
    ) -> RawDocument | None:
        """Change the one task that *match* finds with its log, and finalize it when the change ends it.

        One round trip for a task without dependents. Otherwise a transaction; it is avoided where possible, because a
        host killed inside one leaves the task locked for about a minute.

        Args:
            match: The filter of the task; it holds the fence.
            events: What to append to its log.
            changes: Expressions to set on it.
            session: The caller's transaction, if there is one.

        Returns:
            The task after the change, or ``None`` when nothing matched and nothing was written.
        """
        # Transactions cost the server three times the computing for the same writes (decision 0005).
        if session is None:
            alone = {**match, **queries.without_dependents()}
            task = await self._log.append_to(alone, events, session=None, changes=changes)
            if task is not None:
                return task

        async def body(joined: Session) -> RawDocument | None:
            ended = await self._log.append_to(match, events, session=joined, changes=changes)
            if ended is not None:
                await self.finalize([ended], joined)
            return ended

        return await self._connection.joined(body, session)

    async def finalize(self, tasks: Sequence[RawDocument], session: Session) -> None:
        """Close what depends on those of *tasks* that are final; no round trip where nothing does.

        It needs the transaction that made them final.
        """
        # The change may also have sent the task to another attempt, which closes nothing.
        final = [task for task in tasks if word(TaskState, task["state"]).final]
        await self._close_generations(final, session)
        await self._notify_parents(final, session)
        await self._follow_ups.begin(final, session)

    async def _close_generations(self, tasks: Sequence[RawDocument], session: Session) -> None:
        alike: dict[tuple[str, str | None], list[RawDocument]] = {}
        for task in tasks:
            if task.get("has_content"):
                error = task.get("error") if task["state"] == TaskState.FAILED else None
                alike.setdefault((task["state"], error["message"] if error else None), []).append(task)
        for (state, error_message), made in alike.items():
            match = generation_queries.pending_of([task["_id"] for task in made])
            closed = generation_queries.close(GenerationStatus(state), made[0]["updated_at"], error_message)
            await self._generations.update_many(match, closed, session=session)

    async def _notify_parents(self, tasks: Sequence[RawDocument], session: Session) -> None:
        ended = Counter(task["parent_id"] for task in tasks if isinstance(task.get("parent_id"), str))
        for parent_id, count in sorted(ended.items()):
            await self._tasks.update_one({"_id": parent_id}, queries.child_finished(count), session=session)
