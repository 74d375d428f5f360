"""Finalizing: a task ends, and with it its generations close, its parent is notified and its continuations begin."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from appdb._driver import RawDocument, Session, UpdateOne
from appdb._queries import content_generation_metadata as generation_queries
from appdb._queries import tasks as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import NotFoundError, UnreadableError
from appdb.models.content_generation_metadata import GenerationStatus
from appdb.models.task_events import NewEvent
from appdb.models.tasks import StoredContinuation, TaskState
from appdb.models.vocabulary import word
from appdb.queue.task_document import continuation_upsert
from appdb.queue.task_log import TaskLog
from appdb.run_lock import RunLock

logger = logging.getLogger(__name__)


class TaskFinalizer:
    """Ends tasks together with what depends on them: content that is being made, a parent, continuations."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks = connection.collection(collections.TASKS)
        self._generations = connection.collection(collections.GENERATIONS)
        self._run_lock = RunLock(connection)
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
        for task in final:
            if task["state"] == TaskState.COMPLETED:
                await self._begin_continuations(task, session)

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

    async def _begin_continuations(self, task: RawDocument, session: Session) -> None:
        following = [one for one in _continuations_of(task) if await self._inherits_run(one.fields, task, session)]
        keys = {key for one in following if (key := one.unique_key) is not None}
        taken = await self._taken_keys(task["owner_id"], keys, session) if keys else set()
        statements = []
        for one in following:
            key = one.unique_key
            # If the unique key is taken, the continuation is there already. An error would undo the completion.
            if key is None or key not in taken:
                taken.add(key)
                statements.append(UpdateOne(*continuation_upsert(one), upsert=True))
        if statements:
            await self._tasks.bulk_write(statements, session=session)

    async def _inherits_run(self, fields: RawDocument, task: RawDocument, session: Session) -> bool:
        """Let what follows work for the run of *task* unless it names its own, and return whether that is there."""
        run_id = task.get("run_id")
        if fields.get("run_id") in (None, run_id):
            fields |= {} if run_id is None else {"run_id": run_id}
            # The deletion of the run cancels its tasks until none has followed another, so no lock is needed.
            return True
        try:
            await self._run_lock.lock(fields["run_id"], task["owner_id"], session)
        except NotFoundError:
            return False
        return True

    async def _taken_keys(self, owner_id: str, unique_keys: set[str], session: Session) -> set[str | None]:
        """Return those of *unique_keys* that stand for a task, after freeing those that do no longer."""
        released = queries.released_keys(owner_id, unique_keys)
        await self._tasks.update_many(released, queries.free_key(), session=session)
        found = self._tasks.find(queries.by_unique_keys(owner_id, unique_keys), {"unique_key": 1}, session=session)
        return {row["unique_key"] async for row in found}


def _continuations_of(task: RawDocument) -> list[StoredContinuation]:
    """Return the continuations of *task*; what other software has written there must not keep the task from ending."""
    stored = task.get("then") or []
    found = stored if isinstance(stored, list) else [stored]
    whole = []
    for one in found:
        try:
            whole.append(StoredContinuation.from_document(one))
        except UnreadableError as exc:
            told = {"task_id": task["_id"], "problem": exc.problem}
            logger.error("what follows a task cannot be read and is not enqueued", extra=told)  # noqa: TRY400
    return whole
