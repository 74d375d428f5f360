"""The attempt committer: writes the events and outcomes of many attempts in a few statements."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from appdb._driver import AFTER, PyMongoError, RawDocument, Session, UpdateMany, UpdateOne
from appdb._queries import task_commits as queries
from appdb._queries.filters import by_ids
from appdb._queries.tasks import all_held, without_dependents
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import DatabaseUnavailableError
from appdb.queue.attempt_write import AttemptWrite
from appdb.queue.finalize import TaskFinalizer
from appdb.queue.lease import Lease
from appdb.queue.log_events import is_heavy
from appdb.queue.prepared_write import PreparedWrite
from appdb.queue.task_log import TaskLog
from appdb.size_limits import KIB

MAX_STATEMENT_BYTES = 8 * 1024 * KIB
"""Events and results of one statement: the server takes documents of 16 MiB, and what is around them weighs too."""


class AttemptCommitter:
    """
    Writes for holders of leases.

    Each task's part is one atomic write of one document, fence, events and outcome together, so no transaction is
    needed, and a holder that is killed leaves nothing locked. Only where the end of a task concerns other documents
    (content, a parent, continuations) is it a transaction of its own.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks = connection.collection(collections.TASKS)
        self._finalizer = TaskFinalizer(connection)
        self._log = TaskLog(connection)
        self._carried: dict[str, tuple[int, int]] = {}
        """How many events and bytes this committer has added to what a task carries of its log."""

    async def commit_all(self, writes: Sequence[AttemptWrite]) -> set[Lease]:
        """Write all of *writes* whose leases hold, and return the leases that do not.

        One round trip (for each 8 MiB) when all hold and nothing depends on a task that ends; a second one to look
        otherwise.
        """
        prepared = [PreparedWrite(write) for write in writes]
        lost: set[Lease] = set()
        for part in _parts(prepared):
            lost |= await self._write(part)
        for lease in lost:
            self._carried.pop(lease.task_id, None)
        if heavy := self._heavy_logs([write for write in prepared if write.lease not in lost]):
            await self._log.archive(heavy)
        return lost

    async def commit_within(self, write: AttemptWrite, session: Session) -> bool:
        """Write *write* in the caller's transaction, and return whether its lease holds; one round trip or more."""
        prepared = PreparedWrite(write)
        holds = await self._write_within(prepared, secrets.token_hex(8), session)
        if prepared.ends or not holds:
            # No later write would forget it. If the transaction aborts, the next write counts from 0 again.
            self._carried.pop(prepared.lease.task_id, None)
        # Nothing is added: counts of a transaction that aborts would be wrong.
        if holds and prepared.is_heavy:
            await self._log.archive([prepared.lease.task_id], session)
        return holds

    async def _write(self, writes: Sequence[PreparedWrite]) -> set[Lease]:
        # The mark tells afterwards which tasks this very commit has written, whatever became of its answer.
        mark = secrets.token_hex(8)
        alone = [write for write in writes if not write.ends_with_dependents]
        lost = await self._write_together(alone, mark) if alone else set()
        for write in writes:
            if write.ends_with_dependents:
                lost |= await self._end_with_dependents(write, mark)
        return lost

    async def _write_together(self, writes: Sequence[PreparedWrite], mark: str) -> set[Lease]:
        failure: PyMongoError | None = None
        try:
            written = await self._tasks.bulk_write(_statements(writes, mark), ordered=False)
        except PyMongoError as exc:
            # Drivers do not repeat a many-document update; a look settles what became of it.
            failure = exc
        else:
            if written.matched_count == len(writes):
                return set()
        rest = await self._unwritten(writes, mark)
        lost = {write.lease for write, task in rest if not write.may_write(task)}
        for write, task in rest:
            if write.may_write(task) and write.ends and task is not None and task.get("attached"):
                lost |= await self._end_with_dependents(write, mark)
            elif write.may_write(task):
                raise failure or _unconfirmed(write)
        return lost

    async def _unwritten(
        self, writes: Sequence[PreparedWrite], mark: str
    ) -> list[tuple[PreparedWrite, RawDocument | None]]:
        """Return the writes that this commit has not written and no earlier try of it, each with its task now."""
        # Read as a majority has it: what may yet be rolled back must not be reported as written.
        found = self._tasks.find(by_ids(write.lease.task_id for write in writes), queries.WRITTEN_FIELDS)
        tasks = {row["_id"]: row async for row in found}
        looked = [(write, tasks.get(write.lease.task_id)) for write in writes]
        return [(write, task) for write, task in looked if not write.is_in(task, mark)]

    async def _end_with_dependents(self, write: PreparedWrite, mark: str) -> set[Lease]:
        written = await self._connection.transaction(partial(self._write_within, write, mark))
        return set() if written else {write.lease}

    async def _write_within(self, write: PreparedWrite, mark: str, session: Session) -> bool:
        written: RawDocument | None = await self._tasks.find_one_and_update(
            *write.change(mark), projection=queries.WRITTEN_FIELDS, return_document=AFTER, session=session
        )
        if written is None:
            # An earlier try whose answer was lost has finalized the task already.
            found = await self._tasks.find_one({"_id": write.lease.task_id}, queries.WRITTEN_FIELDS, session=session)
            return write.is_in(found, mark)
        if write.ends:
            await self._finalizer.finalize([written], session)
        return True

    def _heavy_logs(self, writes: Sequence[PreparedWrite]) -> list[str]:
        """Return the tasks of *writes* that carry too much of their logs themselves, and forget what these carry."""
        heavy = []
        for write in writes:
            events, size = self._carried.pop(write.lease.task_id, (0, 0))
            events, size = events + write.event_count, size + write.event_bytes
            if write.fills_log or is_heavy(events, size):
                heavy.append(write.lease.task_id)
            elif not write.ends:
                self._carried[write.lease.task_id] = (events, size)
        return heavy


def _parts(writes: Sequence[PreparedWrite]) -> Iterator[list[PreparedWrite]]:
    """Yield *writes* in parts that a statement can hold, each with one write of a task: of one lease, then the next."""
    part: dict[str, PreparedWrite] = {}
    size = 0
    for write in writes:
        if part and (size + write.weight > MAX_STATEMENT_BYTES or write.lease.task_id in part):
            yield list(part.values())
            part, size = {}, 0
        part[write.lease.task_id] = write
        size += write.weight
    if part:
        yield list(part.values())


def _statements(writes: Sequence[PreparedWrite], mark: str) -> list[UpdateMany | UpdateOne]:
    if len(writes) == 1:
        # One document's update is what drivers repeat by themselves when a primary is lost.
        return [write.statement(mark, without_dependents() if write.ends else {}) for write in writes]
    # Releases and failures are rare, and each differs from the next: they have a statement each.
    statements: list[UpdateMany | UpdateOne] = []
    # Planning a statement costs the server more than applying it to one more task.
    if those := [write for write in writes if not write.ends]:
        statements.append(UpdateMany(_fences(those), queries.append_events([write.batch_row for write in those], mark)))
    if those := [write for write in writes if write.completes]:
        match = _fences(those) | without_dependents()
        statements.append(UpdateMany(match, queries.complete([write.batch_row for write in those], mark)))
    return [
        *statements,
        *(write.statement(mark, without_dependents()) for write in writes if write.ends and not write.completes),
    ]


def _fences(writes: Sequence[PreparedWrite]) -> dict[str, Any]:
    # One filter for all: each task is fenced by its own token and by the length of its log.
    tokens = [(write.lease.task_id, write.lease.token) for write in writes]
    return all_held(tokens, {write.lease.task_id: write.seq for write in writes})


def _unconfirmed(write: PreparedWrite) -> DatabaseUnavailableError:
    """Return the error for a write that an earlier try made, and that no majority has confirmed yet."""
    return DatabaseUnavailableError(
        f"writing to task {write.lease.task_id}", "a majority has not confirmed an earlier write yet; repeat it"
    )
