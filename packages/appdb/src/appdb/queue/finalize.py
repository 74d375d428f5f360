"""What else happens in the transaction that ends a task: its generations close, its parent hears, others follow."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from appdb._driver import RawDocument, Session, UpdateOne
from appdb._queries import tasks as queries
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.errors import NotFoundError, UnreadableError
from appdb.models.content_generation_metadata import GenerationStatus
from appdb.models.tasks import Following, TaskState
from appdb.models.vocabulary import word
from appdb.queue.enqueue import stored_insert
from appdb.run_lock import RunLock

logger = logging.getLogger(__name__)


class TaskFinalizer(BaseRepository):
    """Closes what hangs on tasks that have just become final; every method needs the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._tasks = self._collection(collections.TASKS)
        self._generations = self._collection(collections.GENERATIONS)
        self._run_lock = RunLock(connection)

    async def close(self, tasks: Sequence[RawDocument], session: Session) -> None:
        """Close what hangs on those of *tasks* that are final; no round trip when nothing does."""
        final = [task for task in tasks if word(TaskState, task["state"]).final]
        await self._close_generations(final, session)
        await self._notify_parents(final, session)
        for task in final:
            if task["state"] == TaskState.COMPLETED:
                await self._continue(task, session)

    async def _close_generations(self, tasks: Sequence[RawDocument], session: Session) -> None:
        alike: dict[tuple[str, str | None], list[RawDocument]] = {}
        for task in tasks:
            if task.get("has_content"):
                error = task.get("error") if task["state"] == TaskState.FAILED else None
                alike.setdefault((task["state"], error["message"] if error else None), []).append(task)
        for (state, error_message), made in alike.items():
            closed = {"status": GenerationStatus(state), "completed_at": made[0]["updated_at"], "error": error_message}
            match = {"task_id": {"$in": [task["_id"] for task in made]}, "status": GenerationStatus.PENDING}
            await self._generations.update_many(match, {"$set": closed}, session=session)

    async def _notify_parents(self, tasks: Sequence[RawDocument], session: Session) -> None:
        ended = Counter(task["parent_id"] for task in tasks if isinstance(task.get("parent_id"), str))
        for parent_id, count in sorted(ended.items()):
            await self._tasks.update_one({"_id": parent_id}, queries.child_finished(count), session=session)

    async def _continue(self, task: RawDocument, session: Session) -> None:
        following = [one for one in _following(task) if await self._inherits_run(one.fields, task, session)]
        keys = {key for one in following if (key := one.unique_key) is not None}
        taken = await self._standing(task["owner_id"], keys, session) if keys else set()
        statements = []
        for one in following:
            key = one.unique_key
            # A key that stands for a task already is an answer too; an error here would undo the completion.
            if key is None or key not in taken:
                taken.add(key)
                statements.append(UpdateOne(*stored_insert(one), upsert=True))
        if statements:
            await self._tasks.bulk_write(statements, session=session)

    async def _inherits_run(self, fields: RawDocument, task: RawDocument, session: Session) -> bool:
        """Let what follows work for the run of *task* unless it names its own, and return whether that is there."""
        run_id = task.get("run_id")
        if fields.get("run_id") in (None, run_id):
            fields |= {} if run_id is None else {"run_id": run_id}
            return True  # whoever deletes the run cancels its tasks, until none has followed another
        try:
            await self._run_lock.lock(fields["run_id"], task["owner_id"], session)
        except NotFoundError:
            return False
        return True

    async def _standing(self, owner_id: str, unique_keys: set[str], session: Session) -> set[str | None]:
        """Return those of *unique_keys* that stand for a task, after freeing those that do no longer."""
        released = {"$unset": {"unique_key": ""}}
        await self._tasks.update_many(queries.released_keys(owner_id, unique_keys), released, session=session)
        found = self._tasks.find(queries.by_unique_keys(owner_id, unique_keys), {"unique_key": 1}, session=session)
        return {row["unique_key"] async for row in found}


def _following(task: RawDocument) -> list[Following]:
    """Return what follows *task*; what other software has written there must not keep the task from ending."""
    stored = task.get("then") or []
    found = stored if isinstance(stored, list) else [stored]
    whole = []
    for one in found:
        try:
            whole.append(Following.from_document(one))
        except UnreadableError as exc:
            told = {"task_id": task["_id"], "problem": exc.problem}
            logger.error("what follows a task cannot be read and is not enqueued", extra=told)  # noqa: TRY400
    return whole
