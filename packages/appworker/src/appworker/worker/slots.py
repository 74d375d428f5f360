"""The slots of a worker: the attempts that run at a time, and the line of prefetched tasks that wait for one."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from appworker.worker.moving_average import MovingAverage

SLOT_WAIT = timedelta(seconds=0.1)
"""How long a prefetched task waits for a slot before it is released, so that another worker may run it."""
MAX_PREFETCH = 64
"""Prefetched tasks at most; larger batches save little."""
REMEMBERED_TASKS = 64
"""Latest tasks that count for the mean time of a task."""
REMEMBERED_CLAIMS = 8
"""Latest claims that count for the mean time of a claim: few, since the database's load changes quickly."""
MISJUDGED_SECONDS = 1.0
"""Assumed task time after a prefetched task had to be released; it stops prefetching for some hundred tasks."""


class SlotTicket:
    """The place of one attempt in the line for a slot, and then its use of the slot."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._granted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._began = 0.0
        self.waits_until = time.monotonic() + SLOT_WAIT.total_seconds()
        """When the ticket expires, by the monotonic clock."""

    async def granted(self) -> bool:
        """Wait for the slot, and return whether there was one in time."""
        return await self._granted

    def free(self) -> None:
        """Give the slot back, once, if it was granted."""
        self._slots.give_back(time.monotonic() - self._began)

    def decide(self, *, granted: bool) -> None:
        """Tell the holder of the ticket whether it has a slot."""
        self._began = time.monotonic()
        if not self._granted.done():
            self._granted.set_result(granted)


class Slots:
    """
    Grants slots in the order of the requests.

    While a claim is under way, short tasks end and their slots stand idle. So a claim asks for more tasks than slots
    are free: for as many as will have ended when it answers, by the mean times of tasks and claims. No prefetch when
    tasks take longer than a claim. A prefetched task that gets no slot is released soon.

    Args:
        count: The attempts that may run at a time.

        changed: Called when there may be room for more.
    """

    def __init__(self, count: int, changed: Callable[[], None]) -> None:
        self._count = count
        self._changed = changed
        self._line: deque[SlotTicket] = deque()
        self._closed = self._watched = False
        self._task_seconds = MovingAverage(REMEMBERED_TASKS)
        self._claim_seconds = MovingAverage(REMEMBERED_CLAIMS)
        self.busy = 0
        """Slots that are taken."""

    @property
    def waiting(self) -> int:
        """Tickets in the line."""
        return len(self._line)

    @property
    def prefetch(self) -> int:
        """Tickets that may be in the line: those whose slots are free before a claim could answer."""
        if not self._task_seconds.value:
            return 0
        # One slow claim must not prefetch tasks that would then be released.
        horizon = min(self._claim_seconds.value, SLOT_WAIT.total_seconds() / 2)
        return min(int(self._count * horizon / self._task_seconds.value), MAX_PREFETCH)

    @property
    def room(self) -> int:
        """Tasks to claim now."""
        return max(self._count + self.prefetch - self.busy - self.waiting, 0)

    @property
    def worth_a_claim(self) -> int:
        """The room that is claimed for at once: a claim of many tasks costs little more than a claim of few."""
        return max(self._count, (self._count + self.prefetch) * 2 // 3)

    def request(self) -> SlotTicket:
        """Return a ticket for a claimed task; it is granted now when a slot is free."""
        ticket = SlotTicket(self)
        if self.busy < self._count:
            self.busy += 1
            ticket.decide(granted=True)
        elif self._closed:
            ticket.decide(granted=False)
        else:
            self._line.append(ticket)
            self._watch_line()
        return ticket

    def claim_took(self, seconds: float) -> None:
        """Learn from a claim that gave tasks."""
        self._claim_seconds.add(seconds)

    def give_back(self, seconds: float) -> None:
        """Take back a slot that was in use for *seconds*; the first ticket in the line gets it."""
        self._task_seconds.add(seconds)
        if self._line:
            self._line.popleft().decide(granted=True)
        else:
            self.busy -= 1
        self._changed()

    def close(self) -> None:
        """Refuse the tickets in the line and all that would wait; free slots are still granted."""
        self._closed = True
        while self._line:
            self._line.popleft().decide(granted=False)

    def _watch_line(self) -> None:
        # One timer for all: most tickets are granted long before, and the first in the line expires first.
        if self._line and not self._watched:
            self._watched = True
            left = self._line[0].waits_until - time.monotonic()
            asyncio.get_running_loop().call_later(max(left, 0), self._expire_tickets)

    def _expire_tickets(self) -> None:
        self._watched = False
        while self._line and self._line[0].waits_until <= time.monotonic():
            # An expired ticket shows that tasks take longer than they seemed to.
            self._task_seconds.value = max(self._task_seconds.value, MISJUDGED_SECONDS)
            self._line.popleft().decide(granted=False)
        self._watch_line()
