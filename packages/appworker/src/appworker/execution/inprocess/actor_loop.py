"""The actor loop: an event loop for actors, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import uvloop

from appworker.execution.job import Job, perform, threadsafe
from appworker.execution.results import ActorResult, actor_result_of

logger = logging.getLogger(__name__)

MOST_HELPERS = 256
"""How many threads ``asyncio.to_thread`` may use at a time for all attempts of a loop; they are made as needed."""
CLOSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QueuedJob:
    """A job on its way: the future of its result, and the context variables that it was started with."""

    job: Job
    result: asyncio.Future[ActorResult]
    variables: contextvars.Context


class ActorLoop:
    """Runs jobs as tasks beside each other.

    Made and called by the control loop only. Either side appends to a queue, and wakes the other once for all that is
    in it by then, so that many short jobs cost few switches between the threads.

    Args:
        number: Tells the thread from others.
    """

    def __init__(self, number: int) -> None:
        self._control_loop = asyncio.get_running_loop()
        self._loop = uvloop.new_event_loop()
        # asyncio's own pool has few threads on a machine with few cores: attempts that wait in them would wait
        # for each other.
        self._loop.set_default_executor(ThreadPoolExecutor(MOST_HELPERS, f"actor-helper-{number}"))
        self._closing = asyncio.Event()
        self._inbox: deque[QueuedJob] = deque()
        self._ended: deque[tuple[QueuedJob, ActorResult]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._called = self._called_back = False
        self._asked_at: float | None = None
        self._posted = self._delivered = 0
        self._thread = threading.Thread(target=self._work, name=f"actors-{number}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._loop.close()
            raise

    @property
    def waiting(self) -> bool:
        """Whether an attempt that was posted has not begun."""
        return bool(self._inbox)

    @property
    def busy(self) -> bool:
        """Whether an attempt that was posted has no result yet."""
        return self._posted > self._delivered

    @property
    def blocked_seconds(self) -> float:
        """How long the loop has owed an answer; 0 when it answers."""
        asked_at = self._asked_at
        return 0.0 if asked_at is None else time.monotonic() - asked_at

    def ask(self) -> None:
        """Ask for a sign of life, unless one is owed."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._asked_at = None

    def post(self, queued: QueuedJob) -> None:
        """Have *queued* begin."""
        self._posted += 1
        self._inbox.append(queued)
        if not self._called:
            self._called = True
            # A wake-up between threads costs tens of microseconds, as much as a small job.
            self._loop.call_soon_threadsafe(self._begin_all)

    def take_back(self) -> list[QueuedJob]:
        """Return what was posted and has not begun."""
        taken = []
        while self._inbox:
            try:
                taken.append(self._inbox.popleft())
            except IndexError:
                break  # the loop answered just now, and took the last one
        self._posted -= len(taken)
        return taken

    async def close(self) -> None:
        """End the thread, unless an attempt still runs in it."""
        if not self.busy:
            self._loop.call_soon_threadsafe(self._closing.set)
            await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    def _work(self) -> None:
        # The runner closes the default executor and asynchronous generators at the end.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            while not self._closing.is_set():
                try:
                    runner.run(self._until_closed())
                except BaseException:
                    # Only a task that an actor made by itself gets here, with SystemExit or KeyboardInterrupt.
                    logger.exception("a task of an actor tried to end the worker")

    async def _until_closed(self) -> None:
        await self._closing.wait()

    def _begin_all(self) -> None:
        self._called = False
        while self._inbox:
            try:
                queued = self._inbox.popleft()
            except IndexError:
                break  # it was taken back
            # In the context of the caller: tracing and log variables go along.
            task = self._loop.create_task(self._perform(queued), context=queued.variables)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            queued.job.stop.on_stop(threadsafe(self._loop, task.cancel))

    async def _perform(self, queued: QueuedJob) -> None:
        try:
            result = await perform(queued.job)
        except BaseException as exc:  # noqa: BLE001 - such as a lack of memory: the slot must be free all the same
            result = actor_result_of(exc, queued.job.stop.reason)
        self._ended.append((queued, result))
        if not self._called_back:
            self._called_back = True
            threadsafe(self._control_loop, self._deliver_all)()

    def _deliver_all(self) -> None:
        self._called_back = False
        while self._ended:
            queued, result = self._ended.popleft()
            self._delivered += 1
            if not queued.result.done():
                queued.result.set_result(result)
