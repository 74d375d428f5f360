"""The task queue, in the order of a task's life: enqueue, read, claim, write, end; then control and maintenance."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import JsonValue

from appdb._driver import Session, retried, translates_errors
from appdb._queries import tasks as queries
from appdb._queries.paging import NEWEST_FIRST, OLDEST_FIRST, and_older_than
from appdb._queries.types import Filter
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.errors import LeaseLostError, NotFoundError
from appdb.models.bounds import Duration, Name, accept, at_most
from appdb.models.limits import Limit
from appdb.models.queues import QueueStats
from appdb.models.task_events import NewEvent, TaskEvent
from appdb.models.task_filters import CancelledTasks, TaskFilter
from appdb.models.tasks import NewTask, Task, TaskState
from appdb.queue.admission import Admission
from appdb.queue.attempt_write import AttemptOutcome, AttemptWrite, Completed, Failed, Released, Suspended
from appdb.queue.claim import Claiming
from appdb.queue.commit import AttemptCommitter
from appdb.queue.control import Control
from appdb.queue.lease import DEFAULT_LEASE, Claimer, Lease
from appdb.queue.limiter import Limiter
from appdb.queue.maintenance import MaintenanceDue, TaskMaintenance
from appdb.queue.queued_completion import QueuedCompletion
from appdb.queue.statistics import QueueStatistics
from appdb.queue.steps import TaskSteps
from appdb.queue.task_document import NewTaskDocument
from appdb.queue.task_log import TaskLog
from appdb.reading import page_of, readable

STATS_WINDOW = timedelta(hours=1)


class TaskQueue(BaseRepository):
    """
    Durable tasks, each run by one worker at a time under a lease.

    Every time is the database's. After ``DatabaseUnavailableError`` the outcome of a write is unknown, and the same
    call settles it. While no primary answers, most methods retry by themselves for the database's retry timeout. In a
    caller's transaction (``session=``) none does: the transaction is repeated as a whole.

    ==================================  =======  ================================================================
    Method                              Retried  Why not
    ==================================  =======  ================================================================
    ``claim``                           no       Its caller claims again; the lease frees what was taken unseen.
    ``promote``, ``recover``            no       Maintenance runs them again soon.
    ``expire``, ``prune``               no       Maintenance runs them again soon.
    ``fill_claim_keys``                 no       Maintenance runs it again soon.
    ``cancel_many``                     no       The count would be that of the last try only.
    ``retry``                           no       A second try could enqueue a second task.
    ``replay`` without *key*            no       A second try would enqueue a second task.
    ``commit`` of events without *seq*  no       A second try would append the events twice.
    all others                          yes
    ==================================  =======  ================================================================

    Args:
        connection: An open ``Database``.

        lease: How long a claim holds without being renewed. It must exceed the worst election (12 s) and the
            operation timeout.
    """

    def __init__(self, connection: Connection, *, lease: timedelta = DEFAULT_LEASE) -> None:
        super().__init__(connection)
        accept(Duration, lease, "lease")
        self.lease = lease
        self._tasks = self._connection.collection(collections.TASKS)
        self._limiter = Limiter(connection)
        self._admission = Admission(connection)
        self._log = TaskLog(connection)
        self._claiming = Claiming(connection, self._limiter, lease)
        self._committer = AttemptCommitter(connection)
        self._steps = TaskSteps(connection)
        self._queued_completion = QueuedCompletion(connection)
        self._control = Control(connection, self._admission)
        self._maintenance = TaskMaintenance(connection, lease)
        self._statistics = QueueStatistics(connection)

    async def enqueue(self, task: NewTask, *, session: Session | None = None) -> Task:
        """Store a task so that it survives any single failure, and return it.

        One round trip. With *session* it joins the caller's transaction; a unique key is looked up there before, in
        one round trip more, since a duplicate would end the transaction. Calling it again with the same ``task_id``,
        or the same owner and ``unique_key``, returns the first task. A task of a run costs another round trip in a
        transaction that has not written to the run before, two elsewhere.

        Raises:
            NotFoundError: The owner has no run of that id, or it is being deleted.
            TooLargeError: The payload is over 256 KiB as BSON.
            InvalidDataError: The payload holds a value that cannot be stored.
            ConflictError: The unique key stands for a task with another actor or payload, or the id is another owner's.
        """
        return await self._admit(NewTaskDocument.of(task), session=session)

    @retried
    async def _admit(self, new: NewTaskDocument, *, session: Session | None) -> Task:
        return await self._admission.admit(new, session)

    async def enqueue_many(self, tasks: Sequence[NewTask], *, session: Session | None = None) -> list[str]:
        """Store many tasks and return their ids, in order; those whose id or unique key was taken give the first's.

        One round trip for a thousand, and up to three more for each id or key that was taken. It is not one
        transaction: after an error some may be stored, and the same call, with ids or keys given, stores the rest.
        With *session* it joins the caller's transaction, and all are stored or none; each unique key then costs a look
        before. Where some are tasks of runs, it takes two round trips more; with *session*, one for each run to which
        the transaction has not written before.

        Raises:
            NotFoundError: An owner has no run of that id, or it is being deleted.
            TooLargeError: A payload is over 256 KiB as BSON; nothing was stored.
            InvalidDataError: A payload holds a value that cannot be stored; nothing was stored.
            ConflictError: A unique key stands for a task with another actor or payload.
        """
        return await self._admit_all([NewTaskDocument.of(task) for task in tasks], session=session)

    @retried
    async def _admit_all(self, new: Sequence[NewTaskDocument], *, session: Session | None) -> list[str]:
        return await self._admission.admit_all(new, session)

    @retried
    async def get(self, task_id: str, *, owner_id: str, session: Session | None = None) -> Task:
        """Return the owner's task; with *session*, as the caller's transaction sees it.

        Raises:
            NotFoundError: The owner has no such task.
        """
        return Task.from_document(await self._control.find_task(task_id, owner_id, session))

    @retried
    async def page(
        self, *, owner_id: str, states: Collection[TaskState] = (), before: str | None = None, limit: int = 50
    ) -> list[Task]:
        """Return the owner's tasks, newest first.

        Args:
            owner_id: Whose tasks.
            states: Only these states; empty for all.
            before: The id of the last task of the page before; looked up by one more query.
            limit: The most tasks to return.

        Raises:
            NotFoundError: The owner has no task *before*.
        """
        return await self._newest(queries.page(owner_id, states), before, limit)

    @retried
    async def find(self, match: TaskFilter, *, before: str | None = None, limit: int = 50) -> list[Task]:
        """Return the tasks that *match* describes, newest first; see ``page`` for *before* and *limit*."""
        return await self._newest(queries.matching(match, match.states or frozenset(TaskState)), before, limit)

    async def _newest(self, match: Filter, before: str | None, limit: int) -> list[Task]:
        if before is not None:
            owned = {name: match[name] for name in ("owner_id",) if name in match}
            last = await self._tasks.find_one(owned | {"_id": before}, {"created_at": 1})
            if last is None:
                raise NotFoundError("task", before)
            match = and_older_than(match, last)
        found = self._tasks.find(match, queries.WITHOUT_LOG).sort(NEWEST_FIRST)
        return await page_of(Task.from_document, found, limit)

    @retried
    async def children(self, task_id: str, *, owner_id: str) -> list[Task]:
        """Return what the owner's task has spawned, oldest first."""
        found = self._tasks.find(queries.children(task_id, owner_id), queries.WITHOUT_LOG).sort(OLDEST_FIRST)
        return readable(Task.from_document, await found.to_list(None))

    @retried
    async def events(self, task_id: str, *, after: int = -1, limit: int = 500) -> list[TaskEvent]:
        """Return a task's events with a number above *after*, in order: at most *limit*, and about half a MiB of them.

        However heavy they are, the first of them is there, so only an empty list means that there are no more. One
        round trip for the newest events, which are a part of the task; two for older ones.

        The log has no owner of its own: look the task up by its owner first.
        """
        while rows := await self._log.read_page(task_id, after, at_most(limit)):
            if found := readable(TaskEvent.from_document, rows):
                return found
            after = rows[-1]["seq"]
        return []

    @retried
    async def stats(self, *, window: timedelta = STATS_WINDOW) -> list[QueueStats]:
        """Return the counts of every queue, by name, from indexes alone; final tasks of the last *window* only."""
        return await self._statistics.by_queue(window)

    @translates_errors
    async def claim(self, claimer: Claimer, *, limit: int = 1) -> list[Task]:
        """Take up to *limit* due tasks, each for this claimer alone, and hold them for the lease.

        Higher priority first, then the oldest. One task is one atomic ``findAndModify``. Several are three round
        trips: read candidates, mark those that are still free with a token that is new at each claim, read back what
        the token holds. Where other workers claim too, candidates come from a wider, shuffled window, so that claimers
        do not meet. Owners who wait take turns within a priority. Tasks with limits are taken in a transaction that
        counts what runs. About once a second it also looks up, in one round trip, who waits and what is paused.

        Returns:
            The tasks with this attempt already counted; empty when nothing may be taken.

        Raises:
            DatabaseUnavailableError: The claim may have been written; if so, the lease frees the tasks.
            InvalidDataError: A name of the claimer cannot be stored, or *limit* is not positive.
        """
        accept(Claimer, claimer, "claimer")
        with self._connection.within_timeout():
            return await self._claiming.claim(claimer, at_most(limit))

    @property
    def limit_reached(self) -> bool:
        """Whether the last claim left due tasks where they are because of a limit, or lost all to others who were
        quicker: ask again soon."""
        return self._claiming.limit_reached

    def rely_on_change_feed(self) -> None:
        """Look up nothing while idle: the caller calls ``invalidate_snapshot`` when a queue is paused or resumed."""
        self._claiming.relies_on_change_feed = True

    def invalidate_snapshot(self) -> None:
        """Look up who waits and what is paused at the next claim."""
        self._claiming.snapshot.invalidate()

    @retried
    async def renew(self, leases: Collection[Lease]) -> set[Lease]:
        """Renew *leases* for another lease time, and return those that are lost.

        One round trip while none is lost, two otherwise. A lost lease means: stop that attempt.
        """
        if not leases:
            return set()
        match = queries.all_held([(lease.task_id, lease.token) for lease in leases])
        with self._connection.within_timeout():
            renewed = await self._tasks.update_many(match, queries.renewed_leases(self.lease))
            if renewed.matched_count == len(leases):
                return set()
            found = self._tasks.find(match, {"lease.token": 1})
            alive = {(row["_id"], row["lease"]["token"]) async for row in found}
        return {lease for lease in leases if (lease.task_id, lease.token) not in alive}

    async def commit(self, writes: Sequence[AttemptWrite]) -> set[Lease]:
        """Write what many attempts have to say, events and outcomes; each task at most once.

        One round trip, however many there are, when all leases hold; a second one to look otherwise. A task's outcome
        and its last events are one atomic write. Where content, a parent or continuations depend on a task that ends,
        all that is one transaction of its own. What is too large is refused when the write is made.

        Returns:
            The leases that are lost: nothing of theirs was written. The others' writes are all there.
        """
        if all(write.is_repeatable for write in writes):
            return await self._connection.retry(lambda: self._commit(writes))
        return await self._commit(writes)

    @translates_errors
    async def _commit(self, writes: Sequence[AttemptWrite]) -> set[Lease]:
        with self._connection.within_timeout():
            lost = await self._committer.commit_all(writes)
        self._unblock_limits(writes)
        return lost

    @translates_errors
    async def _commit_within(self, write: AttemptWrite, *, session: Session) -> bool:
        holds = await self._committer.commit_within(write, session)
        self._unblock_limits([write])
        return holds

    def _unblock_limits(self, writes: Sequence[AttemptWrite]) -> None:
        self._limiter.unblock({key for write in writes if write.outcome is not None for key in write.lease.limit_keys})

    async def append_events(self, lease: Lease, events: Sequence[NewEvent], *, seq: int) -> None:
        """Append *events* to the task's log behind the fence.

        The last ``progress`` event among them is also what the task itself shows.

        Args:
            lease: The lease that the fence checks.
            events: What to append, in order.
            seq: The number of the first event, counted by the holder. It makes a repeated call harmless.

        Raises:
            LeaseLostError: Another worker may hold the task; nothing was written.
            TooLargeError: An event is over 64 KiB.
        """
        await self._write(AttemptWrite(lease=lease, events=events, seq=seq))

    async def complete(
        self,
        lease: Lease,
        result: Mapping[str, Any] | None = None,
        *,
        events: Sequence[NewEvent] = (),
        session: Session | None = None,
    ) -> None:
        """End the task as completed: result, last events and terminal event become visible together.

        With *session* it joins the caller's transaction, with whose other writes it happens or does not: one round
        trip, and more where something depends on the task.

        Raises:
            LeaseLostError: The task was cancelled, or another worker may hold it; nothing was written. In a caller's
                transaction, let it end that.
            TooLargeError: The result is over 256 KiB, or an event over 64 KiB.
            InvalidDataError: The result holds a value that cannot be stored.
        """
        await self._end(lease, Completed(result=result), events, session)

    @retried
    async def complete_queued(
        self,
        match: TaskFilter,
        result: Mapping[str, Any] | None = None,
        *,
        limit: int = 1_000,
        session: Session | None = None,
    ) -> int:
        """Complete up to *limit* queued tasks that *match* describes, oldest first: their work is done otherwise.

        One transaction, or the caller's: two round trips, however many they are, and more where something hangs on
        their ends. What is claimed already stays, and so does what waits for its time.

        Args:
            match: Which; those that are not queued are passed over.
            result: What each of them gives, such as who has done it.
            limit: The most tasks to complete.
            session: The caller's transaction.

        Returns:
            How many are completed now.

        Raises:
            TooLargeError: The result is over 256 KiB.
            InvalidDataError: The result holds a value that cannot be stored.
        """
        return await self._queued_completion.complete(match, result, at_most(limit), session)

    async def fail(
        self,
        lease: Lease,
        kind: str,
        message: str,
        *,
        retry_in: timedelta | None,
        events: Sequence[NewEvent] = (),
        session: Session | None = None,
    ) -> None:
        """End the attempt with an error: the task runs again after *retry_in*, or fails for good.

        It fails for good when *retry_in* is ``None``, and also when this was the last of its attempts.

        Args:
            lease: The lease that the fence checks.
            kind: The error's type, such as ``ProviderError``.
            message: What went wrong, for the owner; at most 4,000 characters are kept.
            retry_in: The pause before the next attempt, or ``None``.
            events: What to append before.
            session: The caller's transaction, to join it as ``complete`` does.

        Raises:
            LeaseLostError: The task was cancelled, or another worker may hold it; nothing was written.
        """
        await self._end(lease, Failed(kind=kind, message=message, retry_in=retry_in), events, session)

    async def release(self, lease: Lease, *, events: Sequence[NewEvent] = ()) -> None:
        """Hand the task back at once, as if it had not been claimed: the attempt does not count.

        Raises:
            LeaseLostError: The task was cancelled, or another worker may hold it; nothing was written.
        """
        await self._end(lease, Released(), events)

    async def suspend(self, lease: Lease, *, events: Sequence[NewEvent] = ()) -> None:
        """Let the task wait for its children: it is queued again when the last one is final, or now when all are.

        Raises:
            LeaseLostError: The task was cancelled, or another worker may hold it; nothing was written.
        """
        await self._end(lease, Suspended(), events)

    async def _end(
        self, lease: Lease, outcome: AttemptOutcome, events: Sequence[NewEvent], session: Session | None = None
    ) -> None:
        await self._write(AttemptWrite(lease=lease, events=events, outcome=outcome), session)

    async def _write(self, write: AttemptWrite, session: Session | None = None) -> None:
        holds = not await self.commit([write]) if session is None else await self._commit_within(write, session=session)
        if not holds:
            raise LeaseLostError(write.lease.task_id, write.lease.attempt)

    @retried
    async def get_step(self, lease: Lease, key: str) -> tuple[bool, JsonValue]:
        """Return whether an attempt of the task finished the step *key*, and what it gave."""
        return await self._steps.get_step(lease, key)

    @retried
    async def save_step(self, lease: Lease, key: str, value: JsonValue) -> None:
        """Keep *value* as what the step *key* gave, for later attempts; a repeated call replaces it.

        Raises:
            LeaseLostError: Another worker may hold the task; nothing was written.
            TooLargeError: The value is over 256 KiB.
        """
        await self._steps.save_step(lease, key, value)

    @retried
    async def spawn(self, lease: Lease, key: str, task: NewTask) -> str:
        """Enqueue *task* as a child of the held one, once for each *key* over all attempts, and return its id.

        It works for its parent's run, unless it names another.

        Raises:
            NotFoundError: The owner has no run of that other id, or it is being deleted.
            LeaseLostError: Another worker may hold the parent; nothing was written.
            TooLargeError: The payload is over 256 KiB.
            ValueError: The child has another owner than its parent.
        """
        return await self._steps.spawn(lease, key, task)

    @retried
    async def cancel(self, task_id: str, *, owner_id: str, session: Session | None = None) -> Task:
        """Cancel the owner's task and all that lives below it, at once and for good, and return it.

        Again it changes nothing, but for what a host that was killed on the way had not reached. With *session* it
        joins the caller's transaction, with whose other writes it happens or does not; orphaned transactions that lock
        the task are then not ended, so after a killed host it may fail for as long as the operation timeout.

        A running attempt loses its lease in the same transaction, so nothing that it still writes is accepted; its
        worker hears of it from the change feed, or at the next renewal.

        Raises:
            NotFoundError: The owner has no such task.
            ConflictError: The task has already completed or failed.
        """
        return Task.from_document(await self._control.cancel(task_id, owner_id, session))

    @translates_errors
    async def cancel_many(
        self, match: TaskFilter, *, limit: int = 1_000, session: Session | None = None
    ) -> CancelledTasks:
        """Cancel up to *limit* live tasks that *match* describes, oldest first, with all that lives below them.

        What follows the end of these tasks is enqueued, also where it fits *match*: repeat the call until it counts
        none where that is to be cancelled too. Outside of a transaction each task is cancelled by itself. With
        *session* all are cancelled in the caller's transaction, or none: two round trips, however many they are, and
        more where they ran or something hangs on their ends. A worker that writes to one of them at the same moment
        makes the caller's transaction begin again.

        Returns:
            How many of them are cancelled now, and whether more fit than *limit* allowed.
        """
        return await self._control.cancel_many(match, limit, session)

    @translates_errors
    async def retry(self, task_id: str, *, owner_id: str) -> Task:
        """Let a scheduled task run now, or repeat a failed or cancelled one as a new task; return what will run.

        Raises:
            NotFoundError: The owner has no such task.
            ConflictError: The task is queued, runs, or has completed.
        """
        return await self._control.retry(task_id, owner_id)

    async def replay(
        self,
        task_id: str,
        *,
        owner_id: str,
        payload: Mapping[str, JsonValue] | None = None,
        key: str | None = None,
    ) -> Task:
        """Enqueue a new task that repeats a final one, and return it. What followed the first is not repeated.

        It begins anew: steps that the first one remembered are run again, and so are those that ended after its cancel.

        Args:
            task_id: The task to repeat; it stays as it is.
            owner_id: Whose task.
            payload: Another payload, or ``None`` for the same.
            key: Makes a repeated call return the same new task.

        Raises:
            NotFoundError: The owner has no such task, or the task's run was deleted.
            ConflictError: The task is not final yet, or the key was used with another payload.
            TooLargeError: The payload is over 256 KiB.
        """
        if key is None:
            return await self._replay(task_id, owner_id, payload, key)
        return await self._connection.retry(lambda: self._replay(task_id, owner_id, payload, key))

    @translates_errors
    async def _replay(
        self, task_id: str, owner_id: str, payload: Mapping[str, JsonValue] | None, key: str | None
    ) -> Task:
        return await self._control.replay(task_id, owner_id, payload, key)

    @retried
    async def replay_many(self, match: TaskFilter, *, key: str, limit: int = 1_000) -> list[str]:
        """Repeat up to *limit* final tasks that *match* describes, failed and cancelled ones where it names no states.

        The same *key* gives the same new tasks, so a call that was cut off can be repeated. Tasks of deleted runs are
        passed over.

        Returns:
            The ids of the new tasks.
        """
        return await self._control.replay_many(match, key, limit)

    @retried
    async def pause(self, queue: str) -> None:
        """Hand out nothing from *queue*: this object at once, others within a second. What runs goes on."""
        accept(Name, queue, "queue")
        await self._control.pause(queue, paused=True)
        self.invalidate_snapshot()

    @retried
    async def resume(self, queue: str) -> None:
        """Hand out tasks of *queue* again."""
        accept(Name, queue, "queue")
        await self._control.pause(queue, paused=False)
        self.invalidate_snapshot()

    @retried
    async def paused(self) -> set[str]:
        """Return the queues that are paused."""
        return await self._control.paused()

    @retried
    async def set_limit(self, limit: Limit) -> None:
        """Let *limit* count for its key from now on, whatever tasks carry."""
        accept(Limit, limit, "limit")
        await self._limiter.set_override(limit)

    @retried
    async def clear_limit(self, key: str) -> None:
        """Let what tasks carry for *key* count again."""
        await self._limiter.clear_override(key)

    @retried
    async def limits(self) -> list[Limit]:
        """Return the limits that were set, by key."""
        return await self._limiter.overrides()

    @retried
    async def maintenance_due(self, *, horizon: timedelta) -> MaintenanceDue:
        """Return which maintenance has something to do, and when the next scheduled task is due within *horizon*."""
        return await self._maintenance.maintenance_due(horizon)

    @translates_errors
    async def promote(self) -> int:
        """Make scheduled tasks whose time has come claimable, and return how many; safe to run anywhere, any time."""
        return await self._maintenance.promote()

    @translates_errors
    async def recover(self, *, limit: int = 100) -> list[Task]:
        """Take tasks from holders that stopped renewing: queue them again, or fail those without an attempt left.

        Safe to run anywhere, at any time: each task is taken by exactly the token that expired. After an outage, wait
        a lease before calling it, so that holders who were cut off too can renew first.

        Returns:
            The tasks as they are now, at most *limit*.
        """
        return await self._maintenance.recover(limit)

    @translates_errors
    async def fill_claim_keys(self) -> int:
        """Let queued tasks be claimed that a host of an older release enqueued during an upgrade; return how many."""
        return await self._maintenance.fill_claim_keys()

    @translates_errors
    async def expire(self, *, limit: int = 100) -> list[Task]:
        """Fail tasks that no worker claimed in time, with the error type ``Expired``; return at most *limit*."""
        return await self._maintenance.expire(limit)

    @translates_errors
    async def prune(self, *, older_than: timedelta, limit: int = 1_000) -> int:
        """Delete up to *limit* tasks that became final more than *older_than* ago, with their events and steps.

        What they made stays: content belongs to its owner. So do the children of a task that still lives: an attempt of
        it that spawns them again finds them.
        """
        return await self._maintenance.prune(older_than, limit)
