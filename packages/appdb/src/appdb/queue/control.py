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
from appdb.models.tasks import FINAL_STATES, LIVE_STATES, NewTask, Task, TaskFilter, TaskState
from appdb.queue.admission import Admission
from appdb.queue.cancel import TaskCanceller
from appdb.queue.task_document import NewTaskDocument
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

    async def find_task(self, task_id: str, owner_id: str, session: Session | None = None) -> RawDocument:
        """Return the owner's task; one round trip."""
        found = await self._tasks.find_one(queries.owned(task_id, owner_id), queries.WITHOUT_LOG, session=session)
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

    async def cancel_many(self, wanted: TaskFilter, limit: int) -> int:
        """Cancel live tasks, oldest first, and return how many; what ended meanwhile is passed over."""
        count = 0
        for row in await self._matching(wanted, LIVE_STATES, limit):
            try:
                await self.cancel(row["_id"], row["owner_id"])
            except (ConflictError, NotFoundError):
                # It became final, or was pruned, between the look and the cancel.
                continue
            count += 1
        return count

    async def retry(self, task_id: str, owner_id: str) -> Task:
        """Let a waiting task run now, or repeat a failed or cancelled one."""
        hurried: RawDocument | None = await self._tasks.find_one_and_update(
            queries.scheduled_by_time(task_id, owner_id), queries.run_now()
        )
        task = Task.from_document(await self.find_task(task_id, owner_id))
        if hurried is not None:
            return task
        if task.state in REPLAYABLE:
            return await self._repeat(task, None, None)
        raise ConflictError(
            "task", task_id, f"it is {task.state}; only a scheduled, failed or cancelled task is retried"
        )

    async def replay(
        self, task_id: str, owner_id: str, payload: Mapping[str, JsonValue] | None, key: str | None
    ) -> Task:
        """Enqueue a new task that repeats a final one; two round trips."""
        task = Task.from_document(await self.find_task(task_id, owner_id))
        if not task.state.final:
            raise ConflictError("task", task_id, f"it is {task.state}; only a final task can be replayed")
        return await self._repeat(task, payload, key)

    async def replay_many(self, wanted: TaskFilter, key: str, limit: int) -> list[str]:
        """Repeat final tasks, oldest first, and return the ids of the new ones."""
        states = (wanted.states or REPLAYABLE) & FINAL_STATES
        rows = await self._matching(wanted, states, limit, {})
        tasks = readable(Task.from_document, rows)
        return [again.id for task in tasks if (again := await self._repeat_if_possible(task, key)) is not None]

    async def _repeat_if_possible(self, task: Task, key: str) -> Task | None:
        try:
            return await self._repeat(task, None, key)
        except NotFoundError:
            # Its run was deleted.
            return None

    async def _matching(
        self,
        wanted: TaskFilter,
        states: frozenset[TaskState],
        limit: int,
        fields: dict[str, int] | None = None,
    ) -> list[RawDocument]:
        possible = states & wanted.states if wanted.states else states
        projection = {"_id": 1, "owner_id": 1} if fields is None else queries.WITHOUT_LOG
        found = self._tasks.find(queries.matching(wanted, possible), projection).sort(BY_ID).limit(at_most(limit))
        return [row async for row in found]

    async def _repeat(self, task: Task, payload: Mapping[str, JsonValue] | None, key: str | None) -> Task:
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
            run_id=task.run_id,
            task_id=None if key is None else derived_id("tq_", task.id, "replay", key),
        )
        return await self._admission.admit(NewTaskDocument.of(repeated, replay_of=task.id), None)

    async def pause(self, queue: str, *, paused: bool) -> None:
        """Stop or start handing out tasks of *queue*; one round trip."""
        await self._queues.update_one(queue_queries.named(queue), queue_queries.pause(paused=paused), upsert=True)

    async def paused(self) -> set[str]:
        """Return the queues that hand out nothing; one round trip."""
        return {row["_id"] async for row in self._queues.find(queue_queries.paused(), {"_id": 1})}
