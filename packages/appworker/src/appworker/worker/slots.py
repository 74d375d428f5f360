"""The slots of a worker: how many actors run at a time, and who was claimed a little ahead and waits for one."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from appworker.worker.moving_average import MovingAverage

SLOT_WAIT = timedelta(seconds=0.1)
"""How long a task waits for a slot before it is handed back, so that another worker may run it."""
MAX_PREFETCH = 64
"""Tasks that are claimed ahead at most: the server does little less for each of more."""
REMEMBERED_TASKS = 64
REMEMBERED_CLAIMS = 8
"""How many of the latest count for a mean, the older ones less and less."""
MISJUDGED_SECONDS = 1.0
"""What a task is thought to take after one waited in vain: nothing is claimed ahead for the next few hundred."""


class SlotTicket:
    """One attempt's use of a slot, now or when one is free."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._granted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._began = 0.0
        self.waits_until = time.monotonic() + SLOT_WAIT.total_seconds()
        """When it is given up, by the monotonic clock."""

    async def comes(self) -> bool:
        """Wait for the slot, and return whether there was one in time."""
        return await self._granted

    def over(self) -> None:
        """Give the slot back; only for those whose turn came, and once."""
        self._slots.give_back(time.monotonic() - self._began)

    def settle(self, *, granted: bool) -> None:
        """Tell whoever waits for this turn whether it comes."""
        self._began = time.monotonic()
        if not self._granted.done():
            self._granted.set_result(granted)


class Slots:
    """
    Hands slots out in the order in which they are asked for.

    While a claim is under way, short tasks end and their slots stand idle. So a claim asks for more tasks than slots
    are free: for as many as will have ended when it answers, by how long tasks and claims took lately. Tasks that take
    longer than a claim leave none. Who was claimed ahead by mistake is told soon that its turn does not come.

    Args:
        count: How many tasks run at a time.

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
        """How many slots are taken."""

    @property
    def waiting(self) -> int:
        """How many are in line."""
        return len(self._line)

    @property
    def prefetch(self) -> int:
        """How many may be in line: those whose slots are free before a claim could answer."""
        if not self._task_seconds.value:
            return 0
        # A claim that was slow for once must not let tasks wait that will be handed back.
        horizon = min(self._claim_seconds.value, SLOT_WAIT.total_seconds() / 2)
        return min(int(self._count * horizon / self._task_seconds.value), MAX_PREFETCH)

    @property
    def room(self) -> int:
        """How many tasks to claim now."""
        return max(self._count + self.prefetch - self.busy - self.waiting, 0)

    @property
    def worth_a_claim(self) -> int:
        """The room that is worth a claim at once: one for many costs little more than one for few."""
        return max(self._count, (self._count + self.prefetch) * 2 // 3)

    def request(self) -> SlotTicket:
        """Return the turn of a task that was claimed; it begins now when a slot is free."""
        turn = SlotTicket(self)
        if self.busy < self._count:
            self.busy += 1
            turn.settle(granted=True)
        elif self._closed:
            turn.settle(granted=False)
        else:
            self._line.append(turn)
            self._watch_line()
        return turn

    def claim_took(self, seconds: float) -> None:
        """Learn from a claim that gave tasks."""
        self._claim_seconds.add(seconds)

    def give_back(self, seconds: float) -> None:
        """Take a slot back that was taken for so long; the first in line has it next."""
        self._task_seconds.add(seconds)
        if self._line:
            self._line.popleft().settle(granted=True)
        else:
            self.busy -= 1
        self._changed()

    def close(self) -> None:
        """Let nobody wait, now or later; slots that are free are still given."""
        self._closed = True
        while self._line:
            self._line.popleft().settle(granted=False)

    def _watch_line(self) -> None:
        # One timer for all: most turns come long before, and the first in line is always the next to give up.
        if self._line and not self._watched:
            self._watched = True
            left = self._line[0].waits_until - time.monotonic()
            asyncio.get_running_loop().call_later(max(left, 0), self._look_at_line)

    def _look_at_line(self) -> None:
        """Let nobody wait for too long: if somebody did, tasks take longer than they seemed to."""
        self._watched = False
        while self._line and self._line[0].waits_until <= time.monotonic():
            self._task_seconds.value = max(self._task_seconds.value, MISJUDGED_SECONDS)
            self._line.popleft().settle(granted=False)
        self._watch_line()
