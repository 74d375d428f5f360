"""Follow-ups: what a task's end enqueues, in the transaction that ends it: continuations, and what follows any end."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from appdb._driver import RawDocument, Session, UpdateOne
from appdb._queries import tasks as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import NotFoundError, UnreadableError
from appdb.models.continuations import StoredContinuation
from appdb.models.tasks import TaskState
from appdb.queue.labels import handed_on, runs_above
from appdb.queue.task_document import continuation_upsert
from appdb.run_lock import RunLock
from appdb.utils import derived_id

logger = logging.getLogger(__name__)


class FollowUps:
    """Enqueues what waits in tasks for their end."""

    def __init__(self, connection: Connection) -> None:
        self._tasks = connection.collection(collections.TASKS)
        self._run_lock = RunLock(connection)

    async def begin(self, tasks: Sequence[RawDocument], session: Session) -> None:
        """Enqueue what follows *tasks*, which are final.

        One round trip for all of them, two more for each owner whose follow-ups have unique keys, and one for each that
        names another run than its task. What other software has written there keeps no task from ending.
        """
        following = [one for task in tasks for one in _due(task) if await self._may_begin(one, task, session)]
        keys: dict[str, set[str]] = {}
        for one in following:
            if one.unique_key is not None:
                keys.setdefault(one.owner_id, set()).add(one.unique_key)
        taken = {(owner, key) for owner in sorted(keys) for key in await self._taken_keys(owner, keys[owner], session)}
        statements = [UpdateOne(*continuation_upsert(one), upsert=True) for one in _unkeyed(following, taken)]
        if statements:
            await self._tasks.bulk_write(statements, session=session)

    async def _may_begin(self, one: StoredContinuation, task: RawDocument, session: Session) -> bool:
        """Return whether the run that *one* names is there; it is that of *task*, or locked here."""
        if one.run_id in (None, task.get("run_id")):
            # The deletion of the run cancels its tasks until none has followed another, so no lock is needed.
            return True
        try:
            await self._run_lock.hold(one.run_id, one.owner_id, session)
        except NotFoundError:
            return False
        return True

    async def _taken_keys(self, owner_id: str, unique_keys: set[str], session: Session) -> set[str]:
        """Return those of *unique_keys* that stand for a task, after freeing those that do no longer."""
        released = queries.released_keys(owner_id, unique_keys)
        await self._tasks.update_many(released, queries.free_key(), session=session)
        found = self._tasks.find(queries.by_unique_keys(owner_id, unique_keys), {"unique_key": 1}, session=session)
        return {row["unique_key"] async for row in found}


def _due(task: RawDocument) -> Iterator[StoredContinuation]:
    """Yield what follows the end of *task*, with what it takes over from that."""
    continuations = _stored(task, "then") if task["state"] == TaskState.COMPLETED else ()
    for _, one in continuations:
        yield _caused(one, task, one.fields)
    for position, one in _stored(task, "on_end"):
        # The same for who ends the task again, and another one for each other end (decision 0024).
        follow_up_id = derived_id("tq_", str(task["_id"]), "end", str(task.get("event_count")), str(position))
        yield _caused(one, task, _renamed(one.fields, follow_up_id))


def _stored(task: RawDocument, field: str) -> Iterator[tuple[int, StoredContinuation]]:
    stored = task.get(field) or []
    for position, one in enumerate(stored if isinstance(stored, list) else [stored]):
        try:
            yield position, StoredContinuation.from_document(one)
        except UnreadableError as exc:
            told = {"task_id": task["_id"], "problem": exc.problem}
            logger.error("what follows a task cannot be read and is not enqueued", extra=told)  # noqa: TRY400


def _caused(one: StoredContinuation, task: RawDocument, fields: RawDocument) -> StoredContinuation:
    taken = handed_on(fields, task) | runs_above(fields, task)
    return one.model_copy(update={"fields": fields | taken | {"cause_id": str(task["_id"])}})


def _renamed(fields: RawDocument, task_id: str) -> RawDocument:
    """Return *fields* under another id, and so what continues them: each end has a chain of its own."""
    following = fields.get("then")
    if not isinstance(following, list):
        return fields | {"_id": task_id}
    renamed = [_renamed_stored(one, derived_id("tq_", task_id, "then", str(at))) for at, one in enumerate(following)]
    return fields | {"_id": task_id, "then": renamed}


def _renamed_stored(stored: Any, task_id: str) -> Any:
    fields = stored.get("fields") if isinstance(stored, dict) else None
    return stored | {"fields": _renamed(fields, task_id)} if isinstance(fields, dict) else stored


def _unkeyed(following: Iterable[StoredContinuation], taken: set[tuple[str, str]]) -> Iterator[StoredContinuation]:
    """Yield those of *following* whose unique keys are free: if one is taken, the follow-up is there already."""
    for one in following:
        key = (one.owner_id, one.unique_key)
        # An error of a duplicate would undo the end.
        if one.unique_key is None or key not in taken:
            taken.add((one.owner_id, one.unique_key or ""))
            yield one
