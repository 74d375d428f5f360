"""Control from outside: tasks are cancelled, retried and replayed, one or many, and queues are paused."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from appdb._driver import RawDocument, Session
from appdb._queries import queues as queue_queries
from appdb._queries import tasks as queries
from appdb._queries.paging import BY_ID
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError
from appdb.models.bounds import at_most, bounded_duration
from appdb.models.task_filters import CancelledTasks, TaskFilter
from appdb.models.tasks import FINAL_STATES, LIVE_STATES, NewTask, Task, TaskState
from appdb.queue.admission import Admission
from appdb.queue.cancel import TaskCanceller
from appdb.queue.labels import labels_of
from appdb.queue.task_document import NewTaskDocument, same_replay
from appdb.reading import readable
from appdb.utils import derived_id

REPLAYABLE = frozenset({TaskState.FAILED, TaskState.CANCELLED})


class Control:
    """Changes tasks and queues for owners and operators, who hold no lease."""

    def __init__(self, connection: Connection, admission: Admission) -> None:
        self._tasks = connection.collection(collections.TASKS)
        self._queues = connection.collection(collections.QUEUES)
        self._admission = admission
        self._canceller = TaskCanceller(connection)

    async def find_task(
        self,
        task_id: str,
        owner_id: str,
        session: Session | None = None,
        fields: Mapping[str, int] = queries.WITHOUT_LOG,
    ) -> RawDocument:
        """Return the owner's task; one round trip."""
        found = await self._tasks.find_one(queries.owned(task_id, owner_id), fields, session=session)
        if found is None:
            raise NotFoundError("task", task_id)
        return found

    async def cancel(self, task_id: str, owner_id: str, session: Session | None = None) -> RawDocument:
        """Cancel a task and all below it: an atomic write each, or a transaction where more depends on it."""
        cancelled = await self._canceller.cancel_alone(task_id, owner_id, session)
        task = cancelled or await self.find_task(task_id, owner_id, session)
        if (state := task.get("state")) != TaskState.CANCELLED:
            raise ConflictError("task", task_id, f"it is already {state}, so it cannot be cancelled")
        await self._canceller.cancel_below(task_id, owner_id, session)
        return task

    async def cancel_many(self, wanted: TaskFilter, limit: int, session: Session | None) -> CancelledTasks:
        """Cancel live tasks, oldest first; by themselves, each in a write or a transaction of its own."""
        found = await self._matching(wanted, LIVE_STATES, at_most(limit) + 1, queries.CANCELLABLE, session)
        rows, more = found[:limit], len(found) > limit
        if session is not None:
            await self._canceller.cancel_together(rows, session)
            return CancelledTasks(count=len(rows), more=more)
        count = 0
        for row in rows:
            try:
                await self.cancel(row["_id"], row["owner_id"])
            except (ConflictError, NotFoundError):
                # It became final, or was pruned, between the look and the cancel.
                continue
            count += 1
        return CancelledTasks(count=count, more=more)

    async def retry(self, task_id: str, owner_id: str) -> Task:
        """Let a waiting task run now, or repeat a failed or cancelled one."""
        hurried: RawDocument | None = await self._tasks.find_one_and_update(
            queries.scheduled_by_time(task_id, owner_id), queries.run_now()
        )
        row = await self.find_task(task_id, owner_id, fields=queries.REPEATABLE)
        task = Task.from_document(row)
        if hurried is not None:
            return task
        if task.state in REPLAYABLE:
            return await self._repeat(row, None, None)
        raise ConflictError(
            "task", task_id, f"it is {task.state}; only a scheduled, failed or cancelled task is retried"
        )

    async def replay(
        self, task_id: str, owner_id: str, payload: Mapping[str, JsonValue] | None, key: str | None
    ) -> Task:
        """Enqueue a new task that repeats a final one; two round trips."""
        row = await self.find_task(task_id, owner_id, fields=queries.REPEATABLE)
        task = Task.from_document(row)
        if not task.state.final:
            raise ConflictError("task", task_id, f"it is {task.state}; only a final task can be replayed")
        return same_replay(await self._repeat(row, payload, key), task.payload if payload is None else payload, key)

    async def replay_many(self, wanted: TaskFilter, key: str, limit: int) -> list[str]:
        """Repeat final tasks, oldest first, and return the ids of the new ones."""
        states = (wanted.states or REPLAYABLE) & FINAL_STATES
        rows = await self._matching(wanted, states, at_most(limit), queries.REPEATABLE)
        found = readable(_repeatable, rows)
        return [again.id for row in found if (again := await self._repeat_if_possible(row, key)) is not None]

    async def _repeat_if_possible(self, row: RawDocument, key: str) -> Task | None:
        try:
            return await self._repeat(row, None, key)
        except NotFoundError:
            # Its run was deleted.
            return None

    async def _matching(
        self,
        wanted: TaskFilter,
        states: frozenset[TaskState],
        limit: int,
        fields: Mapping[str, int],
        session: Session | None = None,
    ) -> list[RawDocument]:
        match = queries.matching(wanted, states & wanted.states if wanted.states else states)
        found = self._tasks.find(match, fields, session=session).sort(BY_ID).limit(limit).batch_size(limit)
        return [row async for row in found]

    async def _repeat(self, row: RawDocument, payload: Mapping[str, JsonValue] | None, key: str | None) -> Task:
        task = Task.from_document(row)
        repeated = NewTask(
            owner_id=task.owner_id,
            actor=task.actor,
            actor_version=task.actor_version,
            payload=dict(task.payload if payload is None else payload),
            queue=task.queue,
            priority=task.priority,
            max_attempts=task.max_attempts,
            timeout=None if task.timeout_seconds is None else bounded_duration(task.timeout_seconds),
            limits=tuple(limit.limit() for limit in task.limits),
            task_id=None if key is None else derived_id("tq_", task.id, "replay", key),
            **labels_of(task),
        )
        kept = {"on_end": row["on_end"], "attached": True} if row.get("on_end") else {}
        caused = {} if task.cause_id is None else {"cause_id": task.cause_id}
        new = NewTaskDocument.of(repeated, replay_of=task.id, **kept, **caused)
        return await self._admission.admit(new, None)

    async def pause(self, queue: str, *, paused: bool) -> None:
        """Stop or start handing out tasks of *queue*; one round trip."""
        await self._queues.update_one(queue_queries.named(queue), queue_queries.pause(paused=paused), upsert=True)

    async def paused(self) -> set[str]:
        """Return the queues that hand out nothing; one round trip."""
        return {row["_id"] async for row in self._queues.find(queue_queries.paused(), {"_id": 1})}


def _repeatable(row: RawDocument) -> RawDocument:
    """Return *row*, which a model can read.

    Raises:
        UnreadableError: None can.
    """
    Task.from_document(row)
    return row
