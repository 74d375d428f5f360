"""Cron schedules without a leader: any host may tick them at any time, and each tick enqueues one task."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from appdb._driver import (
    AFTER,
    PyMongoError,
    RawDocument,
    Session,
    is_write_conflict,
    retried,
    retried_deletion,
    translates_errors,
)
from appdb._queries import schedules as queries
from appdb._queries.paging import BY_NAME
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.errors import InvalidDataError, NotFoundError, UnreadableError
from appdb.models.bounds import AnyText, accept, at_most, bounded_duration
from appdb.models.schedules import NewSchedule, Schedule
from appdb.models.tasks import NewTask, Task
from appdb.queue.parallel import concurrently
from appdb.queue.task_document import check_new_task
from appdb.queue.task_queue import TaskQueue
from appdb.reading import page_of
from appdb.schedules.cron import Cron, Step, step_at
from appdb.size_limits import KIB, MAX_PAYLOAD_BYTES, check_size
from appdb.utils import derived_id

logger = logging.getLogger(__name__)

MAX_NAME_CHARACTERS = 100
OF_ONE = (UnreadableError, InvalidDataError)
"""What is wrong with one schedule, and not with the way to the database."""
MAX_SCHEDULE_BYTES = MAX_PAYLOAD_BYTES + 16 * KIB


class ScheduleRepository(BaseRepository):
    """
    An owner's cron schedules, and the ticking of everybody's.

    A schedule is found by its owner and its name; another owner's looks like a missing one. Every time is the
    database's. How cron expressions behave where clocks change is told at ``appdb.schedules.cron.Cron``. While no
    primary answers, methods are retried for the database's retry timeout; ``tick`` leaves that to its caller.

    Args:
        connection: An open ``Database``.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._schedules = self._collection(collections.SCHEDULES)
        self._queue = TaskQueue(connection)
        self._told: set[str] = set()

    @retried
    async def put(self, schedule: NewSchedule) -> Schedule:
        """Create the schedule, or replace the owner's one of that name, and return it; safe to repeat.

        A paused schedule stays paused. While cron expression and zone stay the same, the tick to come stays as well,
        so a deployment that puts its schedules again loses none; else the next tick is the first after now.

        Two round trips: the server's time, and one write by ``_id``.

        Raises:
            InvalidDataError: A field cannot be used; the error names it. Nothing was written.
            TooLargeError: The payload is over 256 KiB as BSON.
        """
        accept(NewSchedule, schedule)
        cron = Cron.of(schedule.cron, schedule.time_zone)
        fields = _fields(schedule)
        match, update = queries.put(fields, cron.next_after(await self._connection.server_time()))
        stored = await self._schedules.find_one_and_update(match, update, upsert=True, return_document=AFTER)
        return Schedule.from_document(stored)

    @retried
    async def get(self, name: str, *, owner_id: str) -> Schedule:
        """Return the owner's schedule *name*; one round trip, by ``_id``.

        Raises:
            NotFoundError: The owner has no such schedule.
        """
        found = await self._schedules.find_one(queries.owned(_id_of(owner_id, name), owner_id))
        return _found(found, name)

    @retried
    async def page(self, *, owner_id: str, after: str | None = None, limit: int = 50) -> list[Schedule]:
        """Return the owner's schedules by name; one round trip, by index ``schedules_owner``.

        Args:
            owner_id: Whose schedules.
            after: The name of the last schedule of the page before.
            limit: The most schedules to return.
        """
        found = self._schedules.find(queries.page(owner_id, after)).sort(BY_NAME)
        return await page_of(Schedule.from_document, found, limit)

    @retried
    async def pause(self, name: str, *, owner_id: str) -> Schedule:
        """Stop the owner's schedule from firing, and return it; safe to repeat. One round trip, by ``_id``.

        No tick enqueues a task after this has returned, and ticks that pass until it is resumed never do. Tasks that
        are enqueued already stay.

        Raises:
            NotFoundError: The owner has no such schedule.
        """
        match = queries.owned(_id_of(owner_id, name), owner_id)
        paused = await self._schedules.find_one_and_update(match, queries.pause(), return_document=AFTER)
        return _found(paused, name)

    @retried
    async def resume(self, name: str, *, owner_id: str) -> Schedule:
        """Let the owner's schedule fire again, from the first tick after now, and return it; safe to repeat.

        A schedule that is not paused is left as it is. One transaction of at most three round trips, by ``_id``.

        Raises:
            NotFoundError: The owner has no such schedule.
            InvalidDataError: The stored expression or zone is unknown to this release or host; put it again.
        """
        match = queries.owned(_id_of(owner_id, name), owner_id)

        async def body(session: Session) -> RawDocument | None:
            rows = await self._schedules.aggregate(queries.timed(match), session=session).to_list(1)
            if not rows or rows[0].get("enabled"):
                return rows[0] if rows else None
            next_at = _cron_of(Schedule.from_document(rows[0])).next_after(rows[0]["now"])
            options: dict[str, Any] = {"return_document": AFTER, "session": session}
            resumed: RawDocument | None = await self._schedules.find_one_and_update(
                match, queries.resume(next_at), **options
            )
            return resumed

        return _found(await self._connection.transaction(body), name)

    @retried_deletion
    async def delete(self, name: str, *, owner_id: str) -> None:
        """Forget the owner's schedule; tasks that it has enqueued stay. One round trip, by ``_id``.

        Raises:
            NotFoundError: The owner has no such schedule; after an unknown outcome, it is gone.
        """
        deleted = await self._schedules.delete_one(queries.owned(_id_of(owner_id, name), owner_id))
        if deleted.deleted_count == 0:
            raise NotFoundError("schedule", name)

    @translates_errors
    async def tick(self, *, limit: int = 100) -> list[Task]:
        """Enqueue the tasks of due ticks, everybody's; safe to run anywhere, at any time, by any number of hosts.

        Each tick enqueues exactly one task: passing the tick and enqueueing its task are one transaction, which only
        the host that finds the tick not yet passed can commit, and the task's id is made of schedule and tick. A
        schedule that another host is just passing is left to it. A host that is killed within a transaction holds up
        that one schedule until the server ends the transaction (about a minute with the server's defaults).

        What passed while nobody lived is made up for as the schedule's ``catch_up`` says: ``latest`` (the default)
        enqueues one task for the newest missed tick, ``all`` one for each of the newest 100, oldest first, and
        ``skip`` none for a tick that is over a minute late.

        It goes round by round, one tick of each due schedule in a round and some at a time, until nothing more can be
        passed: one round trip by index ``schedules_due`` a round, and three more for each tick. While nothing is due,
        that is one. A schedule that cannot be read here, or whose task cannot be made, holds up no other: it is told in
        the log, and stays due until it is put again.

        Args:
            limit: The most schedules of one round, those first that are due for longest.

        Returns:
            The tasks that this call enqueued.

        Raises:
            DatabaseUnavailableError: No primary answered in time; the next call does what is left.
        """
        tasks: list[Task] = []
        left_out: list[Any] = []
        while True:
            found = self._schedules.aggregate(queries.due(at_most(limit) + len(left_out)))
            rows = [row async for row in found if row["_id"] not in left_out]
            random.shuffle(rows)  # hosts that tick together begin with different schedules
            outcomes = await concurrently(self._pass, rows)
            failed = [(row["_id"], one) for row, one in zip(rows, outcomes, strict=True) if isinstance(one, Exception)]
            self._tell(failed)
            left_out += [schedule_id for schedule_id, _ in failed]
            passed = [one for one in outcomes if isinstance(one, _Passed)]
            tasks += [one.task for one in passed if one.task is not None]
            if not passed and failed and not any(isinstance(one, OF_ONE) for _, one in failed):
                raise failed[0][1]
            if not passed and not failed:
                return tasks

    def _tell(self, failed: Sequence[tuple[object, Exception]]) -> None:
        for schedule_id, failure in failed:
            told = {"schedule_id": str(schedule_id), "error": str(failure)}
            if not isinstance(failure, OF_ONE):
                logger.warning("a schedule could not be passed yet", extra=told)
            elif told["schedule_id"] not in self._told:  # it stays due, and once is enough
                self._told.add(told["schedule_id"])
                logger.error("a schedule does not fire, since it cannot be used here; put it again", extra=told)

    async def _pass(self, row: RawDocument) -> _Passed | None:
        schedule = Schedule.from_document(row)
        step = step_at(_cron_of(schedule), schedule.catch_up, schedule.next_at, row["now"])
        check_new_task(_task_of(schedule, schedule.next_at))
        try:
            return await self._connection.transaction(partial(self._take, schedule, step))
        except _BusyError:
            return None

    async def _take(self, schedule: Schedule, step: Step, session: Session) -> _Passed | None:
        match, update = queries.advance(schedule, step.tick, step.next_at)
        options: dict[str, Any] = {"return_document": AFTER, "session": session}
        try:
            row: RawDocument | None = await self._schedules.find_one_and_update(match, update, **options)
        except PyMongoError as exc:
            if is_write_conflict(exc):
                raise _BusyError from exc
            raise
        if row is None:
            return None
        if step.tick is None:
            return _Passed(task=None)
        task = _task_of(Schedule.from_document(row), step.tick)
        return _Passed(task=await self._queue.enqueue(task, session=session))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passed:
    """A tick that this host passed, and the task that it enqueued, unless the tick was skipped."""

    task: Task | None


class _BusyError(Exception):
    """Another host is passing the schedule's tick: waiting for it would hold up all other schedules."""


def _found(row: RawDocument | None, name: str) -> Schedule:
    if row is None:
        raise NotFoundError("schedule", name)
    return Schedule.from_document(row)


def _cron_of(schedule: Schedule) -> Cron:
    return Cron.of(schedule.cron, schedule.time_zone)


def _id_of(owner_id: str, name: str) -> str:
    # Printable text has no NUL, at which the parts are joined, and nothing that UTF-8 cannot hold.
    for field, text, example in (("owner_id", owner_id, "usr_1"), ("name", name, "nightly report")):
        accept(AnyText, text, field)
        if not text or not text.isprintable() or len(text) > MAX_NAME_CHARACTERS:
            problem = f"write 1 to {MAX_NAME_CHARACTERS} printable characters, such as {example!r}"
            raise InvalidDataError(field, problem)
    return derived_id("sch_", owner_id, name)


def _fields(schedule: NewSchedule) -> RawDocument:
    check_size("payload", schedule.payload, MAX_PAYLOAD_BYTES)
    fields = {
        "_id": _id_of(schedule.owner_id, schedule.name),
        "owner_id": schedule.owner_id,
        "name": schedule.name,
        "cron": schedule.cron,
        "time_zone": schedule.time_zone,
        "actor": schedule.actor,
        "actor_version": schedule.actor_version,
        "payload": dict(schedule.payload),
        "queue": schedule.queue,
        "priority": schedule.priority,
        "max_attempts": schedule.max_attempts,
        "timeout_seconds": schedule.timeout.total_seconds() if schedule.timeout else None,
        "catch_up": schedule.catch_up,
    }
    check_size("schedule", fields, MAX_SCHEDULE_BYTES)
    return fields


def _task_of(schedule: Schedule, tick: datetime) -> NewTask:
    return NewTask(
        owner_id=schedule.owner_id,
        actor=schedule.actor,
        actor_version=schedule.actor_version,
        payload=schedule.payload,
        queue=schedule.queue,
        priority=schedule.priority,
        max_attempts=schedule.max_attempts,
        timeout=None if schedule.timeout_seconds is None else bounded_duration(schedule.timeout_seconds),
        task_id=task_id_of(schedule.id, tick),
    )


def task_id_of(schedule_id: str, tick: datetime) -> str:
    """Return the id of the task that *tick* (aware, UTC) of a schedule enqueues."""
    return derived_id("tq_", schedule_id, tick.isoformat())
