"""Ticking: each tick of a due schedule enqueues one task, whichever and however many hosts look for it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from appdb._driver import AFTER, PyMongoError, RawDocument, Session, is_write_conflict
from appdb._queries import schedules as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import InvalidDataError, UnreadableError
from appdb.models.schedules import Schedule
from appdb.models.tasks import Task
from appdb.orphaned_transactions import Refusals
from appdb.queue.admission import Admission
from appdb.queue.contention import ContendedError, Contention
from appdb.queue.parallel import concurrently
from appdb.queue.task_document import NewTaskDocument
from appdb.schedules.cron import Firing, firing_at
from appdb.schedules.schedule_document import cron_of, task_of

logger = logging.getLogger(__name__)

FAULTS_OF_ONE = (UnreadableError, InvalidDataError)
"""The errors of one schedule, and not of the way to the database."""
BUSY_PAUSE_SECONDS = 0.1
"""Pause before another round for schedules that other hosts were just passing."""


class ScheduleTicking:
    """Fires due schedules, round by round: one tick of each in a round, and some at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._schedules = connection.collection(collections.SCHEDULES)
        self._admission = Admission(connection)
        self._told: set[str] = set()

    async def fire_due(self, limit: int) -> list[Task]:
        """Fire what is due until nothing more can be fired, and return the tasks that this call enqueued."""
        tasks: list[Task] = []
        left_out: list[Any] = []
        wait = _BusyWait(Refusals(self._connection.orphans))
        while True:
            rows = await self._due(limit, left_out)
            outcomes = await concurrently(self._fire, rows)
            failed = [(row["_id"], one) for row, one in zip(rows, outcomes, strict=True) if isinstance(one, Exception)]
            self._tell(failed)
            left_out += [schedule_id for schedule_id, _ in failed]
            passed = [one for one in outcomes if isinstance(one, _PassedTick)]
            tasks += [one.task for one in passed if one.task is not None]
            if passed:
                continue
            # Nothing went through, and not for faults of single schedules: the database is what fails.
            if failed and not any(isinstance(one, FAULTS_OF_ONE) for _, one in failed):
                raise failed[0][1]
            if "busy" in outcomes and await wait.for_others():
                continue
            if not failed:
                return tasks

    async def _due(self, limit: int, left_out: Sequence[Any]) -> list[RawDocument]:
        found = self._schedules.aggregate(queries.due(limit + len(left_out)))
        rows = [row async for row in found if row["_id"] not in left_out]
        # Hosts that tick together begin with different schedules.
        random.shuffle(rows)
        return rows

    def _tell(self, failed: Sequence[tuple[object, Exception]]) -> None:
        for schedule_id, failure in failed:
            told = {"schedule_id": str(schedule_id), "error": str(failure)}
            if not isinstance(failure, FAULTS_OF_ONE):
                logger.warning("a schedule could not be fired yet", extra=told)
            # Such a schedule stays due, and to tell it once is enough.
            elif told["schedule_id"] not in self._told:
                self._told.add(told["schedule_id"])
                logger.error("a schedule does not fire, since it cannot be used here; put it again", extra=told)

    async def _fire(self, row: RawDocument) -> _PassedTick | Literal["busy"] | None:
        schedule = Schedule.from_document(row)
        firing = firing_at(cron_of(schedule), schedule.catch_up, schedule.next_at, row["now"])
        try:
            return await self._connection.transaction(partial(self._pass_tick, schedule, firing))
        except _BusyError:
            return "busy"

    async def _pass_tick(self, schedule: Schedule, firing: Firing, session: Session) -> _PassedTick | None:
        match, update = queries.advance(schedule, firing.tick, firing.next_at)
        options: dict[str, Any] = {"return_document": AFTER, "session": session}
        try:
            row: RawDocument | None = await self._schedules.find_one_and_update(match, update, **options)
        except PyMongoError as exc:
            if is_write_conflict(exc):
                raise _BusyError from exc
            raise
        if row is None:
            return None
        if firing.tick is None:
            return _PassedTick(task=None)
        # As it is now: its payload may have been put anew since it was found due.
        new = NewTaskDocument.of(task_of(Schedule.from_document(row), firing.tick))
        return _PassedTick(task=await self._admission.admit(new, session))


class _BusyWait:
    """
    The wait for schedules that other hosts hold, between rounds, in which all that becomes due meanwhile is fired too.

    Args:
        refusals: Ends what dead hosts have left open, after two seconds.
    """

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._contention = Contention()

    async def for_others(self) -> bool:
        """Wait a moment; ``False`` after four seconds, when it is living hosts that hold them."""
        try:
            self._contention.try_again()
        except ContendedError:
            return False
        await self._refusals.count()
        await asyncio.sleep(BUSY_PAUSE_SECONDS * random.uniform(0.5, 1))
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _PassedTick:
    """A tick that this host passed, and the task that it enqueued, unless the tick was skipped."""

    task: Task | None


class _BusyError(Exception):
    """Another host is passing the schedule's tick: waiting for it would hold up all other schedules."""
