"""Taking: due tasks become the claimer's, under a token that is new at each claim."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from appdb._driver import AFTER, PyMongoError, RawDocument, Session, with_local_reads
from appdb._queries import task_claims as queries
from appdb._queries.tasks import WITHOUT_LOG, all_held, held
from appdb._queries.types import Filter
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import UnreadableError
from appdb.models.tasks import Task, TaskState
from appdb.queue.contention import ContendedError, Contention
from appdb.queue.fairness import Candidate
from appdb.queue.lease import Claimer, handler
from appdb.queue.limiter import Grants, Limiter
from appdb.queue.unreadable_tasks import UnreadableTasks


class TaskTaker:
    """Takes due tasks for a claimer, and sets those aside that cannot be read."""

    def __init__(self, connection: Connection, limiter: Limiter, lease: timedelta) -> None:
        self._connection = connection
        self._tasks = connection.collection(collections.TASKS)
        self._limiter = limiter
        self._unreadable = UnreadableTasks(connection)
        self._lease = lease
        self.has_set_aside = False
        """Whether a task that cannot be read was set aside since this was ``False``. Tasks behind it may be due."""

    async def take_first(self, match: Filter, claimer: Claimer) -> list[Task]:
        """Take the first task in claim order that *match* finds; one atomic ``findAndModify``."""
        # New at each claim: a worker that lost its lease must not pass the fence with the token of an earlier one.
        token = secrets.token_hex(16)
        taken: RawDocument | None = await self._tasks.find_one_and_update(
            match,
            queries.take(claimer.worker_id, token, self._lease),
            sort=queries.CLAIM_ORDER,
            return_document=AFTER,
            projection=WITHOUT_LOG,
        )
        return [] if taken is None else await self._readable([taken], claimer, token)

    async def take_ids(self, ids: Sequence[str], claimer: Claimer) -> list[Task]:
        """Take those of *ids* that are still due, and return them in that order; two round trips."""
        token = secrets.token_hex(16)
        update = queries.take(claimer.worker_id, token, self._lease)
        failure: PyMongoError | None = None
        try:
            await self._tasks.update_many(queries.still_due(ids), update)
        except PyMongoError as exc:
            # Drivers do not repeat an update of many documents. Its outcome is seen by the tasks that the token holds.
            failure = exc
        # A claim whose majority was not waited for is still ours: the fence of every later write decides.
        taken = await self._taken_with(ids, claimer, token)
        if failure is not None and not taken:
            raise failure
        return taken

    async def take_limited(
        self, candidates: Sequence[Candidate], most: int, claimer: Claimer
    ) -> tuple[Grants, list[Task]]:
        """Take up to *most* of *candidates* that limits allow, in a transaction that counts what runs."""
        token = secrets.token_hex(16)
        update = queries.take(claimer.worker_id, token, self._lease)
        contention = Contention()

        async def body(session: Session) -> Grants:
            contention.try_again()
            grants = await self._limiter.grant_up_to(candidates, most, session)
            if grants.limited:
                await self._tasks.update_many(queries.still_due(grants.limited), update, session=session)
            return grants

        try:
            grants: Grants = await self._connection.transaction(body)
        except ContendedError:
            self._limiter.block({limit for one in candidates for limit in one.limits})
            return Grants(granted=[], denied=candidates), []
        return grants, await self._taken_with(grants.limited, claimer, token) if grants.limited else []

    async def _taken_with(self, ids: Sequence[str], claimer: Claimer, token: str) -> list[Task]:
        """Return those of *ids* that *token* holds."""
        mine = with_local_reads(self._tasks).find(all_held([(task_id, token) for task_id in ids]), WITHOUT_LOG)
        rows = [row async for row in mine.batch_size(len(ids) + 1)]
        taken = {task.id: task for task in await self._readable(rows, claimer, token)}
        return [taken[task_id] for task_id in ids if task_id in taken]

    async def _readable(self, rows: Sequence[RawDocument], claimer: Claimer, token: str) -> list[Task]:
        """Return what was taken, and set aside what of it no worker can run."""
        taken = []
        for row in rows:
            try:
                taken.append(_task_for(claimer, row))
            except UnreadableError as exc:
                self.has_set_aside |= await self._unreadable.set_aside(held(row["_id"], token), exc)
        return taken

    async def with_text_ids(self, rows: Sequence[RawDocument]) -> list[RawDocument]:
        """Return those of *rows* whose id is text, and set the others aside."""
        for row in rows:
            if not isinstance(row["_id"], str):
                found = UnreadableError("Task", repr(row["_id"]), "its id is no text")
                match = {"_id": row["_id"], "state": TaskState.QUEUED}
                self.has_set_aside |= await self._unreadable.set_aside(match, found)
        return [row for row in rows if isinstance(row["_id"], str)]


def _task_for(claimer: Claimer, row: RawDocument) -> Task:
    task = Task.from_document(row)
    if (wanted := handler(task.actor, task.actor_version)) not in claimer.handlers:
        raise UnreadableError("Task", task.id, f"it is for {wanted}, and has the claim key {row.get('lane')!r}")
    return task
