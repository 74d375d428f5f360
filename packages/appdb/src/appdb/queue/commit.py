"""Commits: what many attempts write, events and outcomes, in as few statements as there are kinds of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from appdb._driver import PyMongoError, RawDocument, Session, UpdateMany, UpdateOne
from appdb._queries import commits as queries
from appdb._queries.tasks import all_held, ids, loose
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.errors import DatabaseUnavailableError
from appdb.queue.attempt_write import AttemptWrite
from appdb.queue.finalize import Closing
from appdb.queue.lease import Lease
from appdb.queue.prepared_write import Plan
from appdb.queue.task_log import Journal
from appdb.size_limits import KIB, MAX_TAIL_BYTES, MAX_TAIL_EVENTS

MAX_STATEMENT_BYTES = 8 * 1024 * KIB
"""Of events and results; the server takes documents of 16 MiB, and what is around them weighs something too."""


class Commits(BaseRepository):
    """
    Writes for holders of leases.

    Each task's part is one atomic write of one document, fence, events and outcome together, so no transaction is
    needed, and a holder that is killed leaves nothing locked. Only where the end of a task concerns other documents
    (content, a parent, continuations) is it a transaction of its own.
    """

    def __init__(self, connection: Connection, journal: Journal) -> None:
        super().__init__(connection)
        self._tasks = self._collection(collections.TASKS)
        self._closing = Closing(connection)
        self._journal = journal
        self._carried: dict[str, tuple[int, int]] = {}

    async def commit(self, writes: Sequence[AttemptWrite]) -> set[Lease]:
        """Write all of *writes* whose leases hold, and return the leases that do not.

        One round trip (for each 8 MiB) when all hold and nothing hangs on a task that ends; a second one to look
        otherwise.
        """
        plans = [Plan(write) for write in writes]
        lost: set[Lease] = set()
        for part in _parts(plans):
            lost |= await self._write(part)
        await self._move_logs([plan for plan in plans if plan.lease not in lost])
        return lost

    async def _write(self, plans: Sequence[Plan]) -> set[Lease]:
        mark = secrets.token_hex(8)
        failure: PyMongoError | None = None
        try:
            written = await self._tasks.bulk_write(_statements(plans, mark), ordered=False)
        except PyMongoError as exc:
            failure = exc  # drivers do not repeat a many-document update; a look settles what became of it
        else:
            if written.matched_count == len(plans):
                return set()
        rest = await self._unwritten(plans, mark)
        lost = {plan.lease for plan, task in rest if not plan.holds(task)}
        for plan, task in rest:
            if plan.holds(task) and plan.ends and task is not None and task.get("attached"):
                lost |= await self._end_attached(plan, mark)
            elif plan.holds(task):
                raise failure or _unconfirmed(plan)
        return lost

    async def _unwritten(self, plans: Sequence[Plan], mark: str) -> list[tuple[Plan, RawDocument | None]]:
        """Return the plans that this commit has not written and no earlier try of it, each with its task now."""
        # Read as a majority has it: what may yet be rolled back must not be reported as written.
        found = self._tasks.find(ids(plan.lease.task_id for plan in plans), queries.WRITTEN_FIELDS)
        tasks = {row["_id"]: row async for row in found}
        looked = [(plan, tasks.get(plan.lease.task_id)) for plan in plans]
        return [(plan, task) for plan, task in looked if not plan.done(task, mark)]

    async def _end_attached(self, plan: Plan, mark: str) -> set[Lease]:
        async def body(session: Session) -> set[Lease]:
            await self._tasks.bulk_write([plan.statement(mark)], session=session)
            found = await self._tasks.find_one({"_id": plan.lease.task_id}, queries.WRITTEN_FIELDS, session=session)
            if plan.done(found, mark):
                if found is not None and found.get("commit") == mark:
                    await self._closing.close([found], session)
                return set()
            return {plan.lease}

        result: set[Lease] = await self._connection.transaction(body)
        return result

    async def _move_logs(self, plans: Sequence[Plan]) -> None:
        """Keep the part of the log that a task carries itself small."""
        heavy = []
        for plan in plans:
            events, size = self._carried.pop(plan.lease.task_id, (0, 0))
            events, size = events + plan.event_count, size + plan.event_bytes
            # An attempt may carry little, and yet there may be many attempts, each by another holder.
            if events > MAX_TAIL_EVENTS or size > MAX_TAIL_BYTES or plan.turns_page:
                heavy.append(plan.lease.task_id)
            elif not plan.ends:
                self._carried[plan.lease.task_id] = (events, size)
        if heavy:
            await self._journal.spill(heavy)


def _parts(plans: Sequence[Plan]) -> Iterator[list[Plan]]:
    """Yield *plans* in parts that a statement can hold, each with one write of a task: of one lease, then the next."""
    part: dict[str, Plan] = {}
    size = 0
    for plan in plans:
        weight = plan.event_bytes + plan.result_bytes
        if part and (size + weight > MAX_STATEMENT_BYTES or plan.lease.task_id in part):
            yield list(part.values())
            part, size = {}, 0
        part[plan.lease.task_id] = plan
        size += weight
    if part:
        yield list(part.values())


def _statements(plans: Sequence[Plan], mark: str) -> list[UpdateMany | UpdateOne]:
    if len(plans) == 1:
        # One document's update is what drivers repeat by themselves when a primary is lost.
        return [plan.statement(mark, loose() if plan.ends else {}) for plan in plans]
    statements: list[UpdateMany | UpdateOne] = []
    # Planning a statement costs the server more than applying it to one more task.
    if those := [plan for plan in plans if not plan.ends]:
        statements.append(UpdateMany(_fences(those), queries.record([plan.written for plan in those], mark)))
    if those := [plan for plan in plans if plan.completes]:
        match = _fences(those) | loose()
        statements.append(UpdateMany(match, queries.complete([plan.written for plan in those], mark)))
    return [*statements, *(plan.statement(mark, loose()) for plan in plans if plan.ends and not plan.completes)]


def _fences(plans: Sequence[Plan]) -> dict[str, Any]:
    tokens = [(plan.lease.task_id, plan.lease.token) for plan in plans]
    return all_held(tokens, {plan.lease.task_id: plan.seq for plan in plans})


def _unconfirmed(plan: Plan) -> DatabaseUnavailableError:
    """Return the error for a write that an earlier try made, and that no majority has confirmed yet."""
    return DatabaseUnavailableError(
        f"writing to task {plan.lease.task_id}", "a majority has not confirmed an earlier write yet; repeat it"
    )
