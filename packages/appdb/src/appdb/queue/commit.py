"""AttemptCommitter: what many attempts write, events and outcomes, in as few statements as there are kinds of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from appdb._driver import PyMongoError, RawDocument, Session, UpdateMany, UpdateOne
from appdb._queries import task_commits as queries
from appdb._queries.tasks import all_held, ids, without_dependents
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.errors import DatabaseUnavailableError
from appdb.queue.attempt_write import AttemptWrite
from appdb.queue.finalize import TaskFinalizer
from appdb.queue.lease import Lease
from appdb.queue.prepared_write import PreparedWrite
from appdb.queue.task_log import TaskLog
from appdb.size_limits import KIB, MAX_RECENT_BYTES, MAX_RECENT_EVENTS

MAX_STATEMENT_BYTES = 8 * 1024 * KIB
"""Of events and results; the server takes documents of 16 MiB, and what is around them weighs something too."""


class AttemptCommitter(BaseRepository):
    """
    Writes for holders of leases.

    Each task's part is one atomic write of one document, fence, events and outcome together, so no transaction is
    needed, and a holder that is killed leaves nothing locked. Only where the end of a task concerns other documents
    (content, a parent, continuations) is it a transaction of its own.
    """

    def __init__(self, connection: Connection, task_log: TaskLog) -> None:
        super().__init__(connection)
        self._tasks = self._collection(collections.TASKS)
        self._finalizer = TaskFinalizer(connection)
        self._log = task_log
        self._carried: dict[str, tuple[int, int]] = {}

    async def commit(self, writes: Sequence[AttemptWrite]) -> set[Lease]:
        """Write all of *writes* whose leases hold, and return the leases that do not.

        One round trip (for each 8 MiB) when all hold and nothing hangs on a task that ends; a second one to look
        otherwise.
        """
        prepared = [PreparedWrite(write) for write in writes]
        lost: set[Lease] = set()
        for part in _parts(prepared):
            lost |= await self._write(part)
        await self._move_logs([write for write in prepared if write.lease not in lost])
        return lost

    async def _write(self, writes: Sequence[PreparedWrite]) -> set[Lease]:
        mark = secrets.token_hex(8)
        failure: PyMongoError | None = None
        try:
            written = await self._tasks.bulk_write(_statements(writes, mark), ordered=False)
        except PyMongoError as exc:
            failure = exc  # drivers do not repeat a many-document update; a look settles what became of it
        else:
            if written.matched_count == len(writes):
                return set()
        rest = await self._unwritten(writes, mark)
        lost = {write.lease for write, task in rest if not write.holds(task)}
        for write, task in rest:
            if write.holds(task) and write.ends and task is not None and task.get("attached"):
                lost |= await self._end_attached(write, mark)
            elif write.holds(task):
                raise failure or _unconfirmed(write)
        return lost

    async def _unwritten(
        self, writes: Sequence[PreparedWrite], mark: str
    ) -> list[tuple[PreparedWrite, RawDocument | None]]:
        """Return the writes that this commit has not written and no earlier try of it, each with its task now."""
        # Read as a majority has it: what may yet be rolled back must not be reported as written.
        found = self._tasks.find(ids(write.lease.task_id for write in writes), queries.WRITTEN_FIELDS)
        tasks = {row["_id"]: row async for row in found}
        looked = [(write, tasks.get(write.lease.task_id)) for write in writes]
        return [(write, task) for write, task in looked if not write.done(task, mark)]

    async def _end_attached(self, write: PreparedWrite, mark: str) -> set[Lease]:
        async def body(session: Session) -> set[Lease]:
            await self._tasks.bulk_write([write.statement(mark)], session=session)
            found = await self._tasks.find_one({"_id": write.lease.task_id}, queries.WRITTEN_FIELDS, session=session)
            if write.done(found, mark):
                if found is not None and found.get("commit") == mark:
                    await self._finalizer.close([found], session)
                return set()
            return {write.lease}

        result: set[Lease] = await self._connection.transaction(body)
        return result

    async def _move_logs(self, writes: Sequence[PreparedWrite]) -> None:
        """Keep the part of the log that a task carries itself small."""
        heavy = []
        for write in writes:
            events, size = self._carried.pop(write.lease.task_id, (0, 0))
            events, size = events + write.event_count, size + write.event_bytes
            # An attempt may carry little, and yet there may be many attempts, each by another holder.
            if events > MAX_RECENT_EVENTS or size > MAX_RECENT_BYTES or write.fills_log:
                heavy.append(write.lease.task_id)
            elif not write.ends:
                self._carried[write.lease.task_id] = (events, size)
        if heavy:
            await self._log.archive(heavy)


def _parts(writes: Sequence[PreparedWrite]) -> Iterator[list[PreparedWrite]]:
    """Yield *writes* in parts that a statement can hold, each with one write of a task: of one lease, then the next."""
    part: dict[str, PreparedWrite] = {}
    size = 0
    for write in writes:
        weight = write.event_bytes + write.result_bytes
        if part and (size + weight > MAX_STATEMENT_BYTES or write.lease.task_id in part):
            yield list(part.values())
            part, size = {}, 0
        part[write.lease.task_id] = write
        size += weight
    if part:
        yield list(part.values())


def _statements(writes: Sequence[PreparedWrite], mark: str) -> list[UpdateMany | UpdateOne]:
    if len(writes) == 1:
        # One document's update is what drivers repeat by themselves when a primary is lost.
        return [write.statement(mark, without_dependents() if write.ends else {}) for write in writes]
    statements: list[UpdateMany | UpdateOne] = []
    # Planning a statement costs the server more than applying it to one more task.
    if those := [write for write in writes if not write.ends]:
        statements.append(UpdateMany(_fences(those), queries.record([write.batch_row for write in those], mark)))
    if those := [write for write in writes if write.completes]:
        match = _fences(those) | without_dependents()
        statements.append(UpdateMany(match, queries.complete([write.batch_row for write in those], mark)))
    return [
        *statements,
        *(write.statement(mark, without_dependents()) for write in writes if write.ends and not write.completes),
    ]


def _fences(writes: Sequence[PreparedWrite]) -> dict[str, Any]:
    tokens = [(write.lease.task_id, write.lease.token) for write in writes]
    return all_held(tokens, {write.lease.task_id: write.seq for write in writes})


def _unconfirmed(write: PreparedWrite) -> DatabaseUnavailableError:
    """Return the error for a write that an earlier try made, and that no majority has confirmed yet."""
    return DatabaseUnavailableError(
        f"writing to task {write.lease.task_id}", "a majority has not confirmed an earlier write yet; repeat it"
    )
