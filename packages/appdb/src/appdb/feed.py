"""The change feed: one change stream per process whose hints wake waiters; the database alone says what is true."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

from appdb._driver import PyMongoError, has_ended, watch
from appdb._queries import feed as queries
from appdb.connection import Connection
from appdb.models.tasks import TaskState

__all__ = [
    "MAX_AWAIT",
    "QUEUES",
    "TASKS_READY",
    "TASKS_SCHEDULED",
    "ChangeFeed",
    "HintReceiver",
    "Subscription",
    "questions_topic",
    "run_topic",
    "runs_topic",
    "task_topic",
]

logger = logging.getLogger(__name__)

MAX_AWAIT = timedelta(seconds=2.5)
"""How long the server holds a look for changes: an idle feed costs one look in that time, and a process that ends waits
for the last one."""
LONGEST_PAUSE = timedelta(seconds=5)

TASKS_READY = "tasks-ready"
"""Some task became claimable."""
TASKS_SCHEDULED = "tasks-scheduled"
"""Some task waits for its time."""
QUEUES = "queues"
"""Some queue was paused or resumed."""


def task_topic(task_id: str) -> str:
    """Return the topic of one task: a new event, or a new state."""
    return f"task:{task_id}"


def run_topic(run_id: str) -> str:
    """Return the topic of one run: new events, another branch, version or status, or its deletion."""
    return f"run:{run_id}"


def runs_topic(owner_id: str) -> str:
    """Return the topic of an owner's runs: a new one. What becomes of each is told on its own topic alone."""
    return f"runs:{owner_id}"


def questions_topic(run_id: str) -> str:
    """Return the topic of questions below a run: a run that is a part of it, at any depth, asks something.

    When that is settled, or something else is asked in its place, is told on the topic of the run that asks.
    """
    return f"questions:{run_id}"


class HintReceiver(Protocol):
    """A receiver of hints on one topic."""

    def hint(self) -> None:
        """Hear that something may have happened; must not block and must not raise."""


class Subscription:
    """The wait of one caller for hints on one topic."""

    def __init__(self) -> None:
        self._hinted = asyncio.Event()

    def hint(self) -> None:
        """Wake the waiter, now or at its next wait."""
        self._hinted.set()

    async def wait(self, at_most: timedelta) -> bool:
        """Wait for a hint, for *at_most*, and return whether one came. Hints since the last wait count as one."""
        try:
            async with asyncio.timeout(at_most.total_seconds()):
                await self._hinted.wait()
        except TimeoutError:
            return False
        self._hinted.clear()
        return True


class ChangeFeed:
    """
    Hints about changes in the database, fanned out in memory.

    A hint may come for nothing and may be lost: a waiter asks the database what is true, and asks again after a
    while without a hint. After any interruption the stream starts from now and everybody is woken once, which finds
    by query whatever was missed: so no resume token is kept, and none can go stale.

    Args:
        connection: An open ``Database``.

        events: Whether to follow the logs of tasks too; workers have no use for them.

        runs: Whether to follow runs too; without it, no run's topic gets a hint.
    """

    def __init__(self, connection: Connection, *, events: bool, runs: bool = False) -> None:
        self._connection = connection
        self._pipeline = queries.changes(events=events, runs=runs)
        self._hinted: defaultdict[str, set[HintReceiver]] = defaultdict(set)
        self.live = False
        """Whether hints flow now. While not, waiters should ask more often."""
        self._wanted = asyncio.Event()
        self._wanted.set()

    @contextmanager
    def subscribe(self, topic: str) -> Iterator[Subscription]:
        """Yield a subscription to *topic* for the length of the block."""
        subscription = Subscription()
        self.add(topic, subscription)
        try:
            yield subscription
        finally:
            self.remove(topic, subscription)

    def add(self, topic: str, hinted: HintReceiver) -> None:
        """Give *hinted* the hints on *topic*, until it is removed."""
        self._hinted[topic].add(hinted)

    def remove(self, topic: str, hinted: HintReceiver) -> None:
        """Give *hinted* no more hints on *topic*; harmless when it gets none."""
        self._hinted[topic].discard(hinted)
        if not self._hinted[topic]:
            del self._hinted[topic]

    def pause(self) -> None:
        """Give no more hints, from the next change on, until :meth:`resume`.

        A change stream makes the server read every change of the deployment. Pause it while you poll often anyway.
        """
        self._wanted.clear()

    def resume(self) -> None:
        """Give hints again, and wake everybody once."""
        self._wanted.set()

    async def run(self) -> None:
        """Follow the database until cancelled; after an error start again, with a jittered pause."""
        failures = 0
        while True:
            await self._wanted.wait()
            pause = 0.0
            try:
                await self._follow()
            except (PyMongoError, _StreamEndedError) as exc:
                failures = 0 if self.live else failures + 1
                pause = random.uniform(0, min(LONGEST_PAUSE.total_seconds(), 0.1 * 2**failures))
                logger.warning(
                    "the change feed was interrupted and starts again; waiters poll meanwhile",
                    extra={"error": f"{type(exc).__name__}: {exc}", "pause_seconds": round(pause, 2)},
                )
            finally:
                self.live = False
            # So that no waiter waits as long as it may with hints.
            self._wake_all()
            await asyncio.sleep(pause)

    async def _follow(self) -> None:
        limit = self._connection.operation_timeout
        # A look that takes as long as an operation may is interrupted by the driver.
        longest_look = MAX_AWAIT if limit is None else min(MAX_AWAIT, limit / 2)
        # No resume token: it can be older than the oplog, and a reader that trusts it stalls or loses (decision 0003).
        async with watch(self._connection.raw, self._pipeline, max_await=longest_look) as stream:
            self.live = True
            self._wake_all()
            while self._wanted.is_set():
                # Not next(): where nothing happens that is one operation without an end, and nothing but an end
                # without an error when the database is dropped.
                change = await stream.try_next()
                if change is not None:
                    self._wake(change)
                elif has_ended(stream):
                    raise _StreamEndedError("the database was dropped or replaced")

    def _wake(self, change: Mapping[str, Any]) -> None:
        for topic in topics_of(change):
            for hinted in tuple(self._hinted.get(topic, ())):
                hinted.hint()

    def _wake_all(self) -> None:
        for topic in tuple(self._hinted):
            for hinted in tuple(self._hinted[topic]):
                hinted.hint()


class _StreamEndedError(Exception):
    """The server has ended the stream, and it gives nothing more."""


def topics_of(change: Mapping[str, Any]) -> list[str]:
    """Return the topics that a projected *change* concerns.

    A claim concerns no topic: its holder knows, and viewers hear of it by the log.
    """
    state = change.get("state")
    if state == TaskState.PROCESSING:
        return []
    topics = []
    if (task_id := change.get("task_id")) is not None:
        topics.append(task_topic(task_id))
    if (run_id := change.get("run_id")) is not None:
        topics.append(run_topic(run_id))
    if (owner_id := change.get("owner_id")) is not None:
        topics.append(runs_topic(owner_id))
    topics += [questions_topic(above) for above in change.get("asks") or ()]
    if (topic := _TOPIC_OF_STATE.get(str(state))) is not None:
        topics.append(topic)
    if change.get("queue") is not None:
        topics += [QUEUES, TASKS_READY]
    return topics


_TOPIC_OF_STATE: dict[str, str] = {TaskState.QUEUED: TASKS_READY, TaskState.SCHEDULED: TASKS_SCHEDULED}
