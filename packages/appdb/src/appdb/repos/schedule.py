"""ScheduleRepository: the cron schedules of owners, and the ticks of all schedules, without a leader."""

from __future__ import annotations

from typing import Any

from appdb._driver import (
    AFTER,
    RawDocument,
    Session,
    retried,
    retried_deletion,
    translates_errors,
)
from appdb._queries import schedules as queries
from appdb._queries.paging import BY_NAME
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.errors import NotFoundError
from appdb.models.bounds import accept, at_most
from appdb.models.schedules import NewSchedule, Schedule
from appdb.models.tasks import Task
from appdb.reading import page_of
from appdb.schedules.cron import Cron
from appdb.schedules.schedule_document import cron_of, schedule_fields, schedule_id
from appdb.schedules.ticking import ScheduleTicking


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
        self._schedules = self._connection.collection(collections.SCHEDULES)
        self._ticking = ScheduleTicking(connection)

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
        fields = schedule_fields(schedule)
        match, update = queries.put(fields, cron.next_after(await self._connection.server_time()))
        stored = await self._schedules.find_one_and_update(match, update, upsert=True, return_document=AFTER)
        return Schedule.from_document(stored)

    @retried
    async def get(self, name: str, *, owner_id: str) -> Schedule:
        """Return the owner's schedule *name*; one round trip, by ``_id``.

        Raises:
            NotFoundError: The owner has no such schedule.
        """
        found = await self._schedules.find_one(queries.owned(schedule_id(owner_id, name), owner_id))
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
        match = queries.owned(schedule_id(owner_id, name), owner_id)
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
        match = queries.owned(schedule_id(owner_id, name), owner_id)

        async def body(session: Session) -> RawDocument | None:
            rows = await self._schedules.aggregate(queries.timed(match), session=session).to_list(1)
            if not rows or rows[0].get("enabled"):
                return rows[0] if rows else None
            next_at = cron_of(Schedule.from_document(rows[0])).next_after(rows[0]["now"])
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
        deleted = await self._schedules.delete_one(queries.owned(schedule_id(owner_id, name), owner_id))
        if deleted.deleted_count == 0:
            raise NotFoundError("schedule", name)

    @translates_errors
    async def tick(self, *, limit: int = 100) -> list[Task]:
        """Enqueue the tasks of due ticks, everybody's; safe to run anywhere, at any time, by any number of hosts.

        Each tick enqueues exactly one task: passing the tick and enqueueing its task are one transaction, which only
        the host that finds the tick not yet passed can commit, and the task's id is made of schedule and tick. A
        schedule that another host is just passing is left to it. A host that is killed within a transaction holds up
        that one schedule for about two seconds: then its transaction is ended, and the tick is passed here.

        What passed while nobody lived is made up for as the schedule's ``catch_up`` says: ``latest`` (the default)
        enqueues one task for the newest missed tick, ``all`` one for each of the newest 100, oldest first, and
        ``skip`` none for a tick that is over a minute late.

        It goes round by round, one tick of each due schedule in a round and some at a time, until nothing more can be
        passed: one round trip by index ``schedules_due`` a round, and three more for each tick. While nothing is due,
        that is one. While other hosts hold a schedule, rounds go on for up to four seconds. A schedule that cannot be
        read here, or whose task cannot be made, holds up no other: it is told in the log, and stays due until it is put
        again.

        Args:
            limit: The most schedules of one round, those first that are due for longest.

        Returns:
            The tasks that this call enqueued.

        Raises:
            DatabaseUnavailableError: No primary answered in time; the next call does what is left.
        """
        return await self._ticking.fire_due(at_most(limit))


def _found(row: RawDocument | None, name: str) -> Schedule:
    if row is None:
        raise NotFoundError("schedule", name)
    return Schedule.from_document(row)
