"""Run readers: one for each watched run, for all of its viewers, with the logs of its open tasks.

A reader asks the logs after every hint, and now and then without one, so a lost hint costs time only (decision record
0003).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from appdb import (
    AppDbError,
    ChangeFeed,
    DbEventType,
    EventRepository,
    NotFoundError,
    RunListRepository,
    StateRepository,
    TaskQueue,
)
from appdb.feed import Subscription, run_topic
from appdb.models import RunEvent, RunState, WaitKind
from appserver.streams.branch_starts import StartViews, branch_start
from appserver.streams.live_tasks import PAGE as TASK_PAGE
from appserver.streams.live_tasks import LiveTask, LiveTasks
from appserver.streams.log_reader import BLIND_POLL, PAGE, POLL
from appserver.streams.part_questions import PartQuestions
from appserver.streams.run_frames import LivePicture, RunEncoder, RunFrame, frame_of, start_frame
from appserver.streams.stream_viewer import StreamViewer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSources:
    """The sources of streams of runs.

    Args:
        states: The states of runs.
        lists: What the runs below them ask.
        events: Their logs.
        queue: The logs of their tasks.
        feed: Hints that something was logged.
    """

    states: StateRepository
    lists: RunListRepository
    events: EventRepository
    queue: TaskQueue
    feed: ChangeFeed


class RunLogReader:
    """Reads one run and its open tasks for all of its viewers, while there are any.

    Args:
        run_id: The run.
        owner_id: Its owner, who was checked.
        sources: Where it reads.
        encode: The form in which frames are sent.

    Attributes:
        starts: The run behind the events with which its branches begin, for the reader and all of its viewers.
    """

    def __init__(self, run_id: str, owner_id: str, sources: RunSources, encode: RunEncoder) -> None:
        self._run_id, self._owner_id = run_id, owner_id
        self._sources = sources
        self._encode = encode
        self.starts = StartViews(sources.states, sources.events)
        self._viewers: set[StreamViewer[RunFrame]] = set()
        self._woken = Subscription()
        self._tasks = LiveTasks(sources.queue, sources.feed, self._woken)
        self._parts = PartQuestions(run_id, owner_id, sources.lists, sources.feed, self._woken)
        self._left: deque[LiveTask] = deque()
        self._seq = -1
        self._ready = asyncio.Event()
        self._users = 0
        self._running: asyncio.Task[None] | None = None

    def enter(self) -> None:
        """Count a viewer that is about to join, and read for it."""
        self._users += 1
        self._start()

    def _start(self) -> None:
        if self._running is None or self._running.done():
            # Also after a reader that broke: its viewers were let go, and this one is new.
            self._ready = asyncio.Event()
            self._running = asyncio.create_task(self._run())

    def leave(self) -> bool:
        """Let a viewer that has entered go, and return whether it was the last."""
        self._users -= 1
        if self._users == 0 and self._running is not None:
            self._running.cancel()
        return self._users == 0

    async def join(self, viewer: StreamViewer[RunFrame]) -> LivePicture:
        """Give *viewer* every frame from now on, and return what was live beside the log up to now."""
        # It may have broken while the viewer read what it had missed.
        self._start()
        await self._ready.wait()
        # Nothing is awaited between these two, so the viewer misses nothing and gets nothing twice.
        self._viewers.add(viewer)
        if self._running is not None and self._running.done():
            viewer.end()
        # Also of tasks that are over and not read to their end: what is left of them comes as frames.
        tasks = [task.copied() for task in (*self._left, *self._tasks)]
        return LivePicture(tasks=tasks, asked=self._parts.open)

    def part(self, viewer: StreamViewer[RunFrame]) -> None:
        """Give *viewer* no more frames."""
        self._viewers.discard(viewer)

    async def _run(self) -> None:
        topic = run_topic(self._run_id)
        self._sources.feed.add(topic, self._woken)
        try:
            await self._begin()
            while True:
                if not await self._try_look():
                    await self._wait()
        except NotFoundError:
            logger.info("a watched run was deleted", extra={"run_id": self._run_id})
        finally:
            # No reader is left for these viewers: they come back, and a new reader starts.
            for viewer in self._viewers:
                viewer.end()
            self._ready.set()
            self._sources.feed.remove(topic, self._woken)
            self._tasks.close()
            self._parts.close()

    async def _begin(self) -> None:
        while True:
            try:
                await self._follow_open_tasks()
            except NotFoundError:
                raise
            except AppDbError as exc:
                self._warn(exc)
                await asyncio.sleep(BLIND_POLL.total_seconds())
            else:
                return

    async def _wait(self) -> None:
        self._ready.set()
        if rest := self._parts.rest:
            await self._woken.wait(rest)
        elif not await self._woken.wait(POLL if self._sources.feed.live else BLIND_POLL):
            self._tasks.hint_all()
            self._parts.hint()

    async def _try_look(self) -> bool:
        try:
            read_run = await self._read_run()
            read_tasks = await self._read_tasks()
            if await self._parts.look():
                self._offer(self._encode.parts(self._parts.open))
            return read_run or read_tasks
        except NotFoundError:
            raise
        except AppDbError as exc:
            self._warn(exc)
            return False

    async def _read_run(self) -> bool:
        page = await self._sources.events.log(self._run_id, owner_id=self._owner_id, after=self._seq, limit=PAGE)
        for event in page:
            frame = await self._frame(event)
            self._seq = event.seq
            self._offer(frame)
        if any(event.type in MOVES_TASKS for event in page):
            await self._follow_open_tasks()
        return bool(page)

    async def _frame(self, event: RunEvent) -> RunFrame:
        if branch_start(event) is None:
            return frame_of(event, self._encode)
        start = await self.starts.behind(event)
        # What tasks of the line that is left have said comes before, so that the snapshot can replace it all.
        await self._follow(start.view.state)
        return start_frame(event, start, LivePicture(tasks=[*self._tasks], asked=self._parts.open), self._encode)

    async def _follow_open_tasks(self) -> None:
        view = await self._sources.states.read(self._run_id, owner_id=self._owner_id)
        if self._seq < 0:
            self._seq = view.run.event_count - 1
        await self._follow(view.state)

    async def _follow(self, state: RunState) -> None:
        self._parts.follow(state)
        self._left += self._tasks.follow(open_tasks(state))
        await self._read_left()

    async def _read_left(self) -> None:
        """Read what tasks that are over have logged last, to its end; where a read fails, the next look goes on."""
        while self._left:
            # A full page, and there may be more.
            if await self._read_task(self._left[0]) < TASK_PAGE:
                self._left.popleft()

    async def _read_tasks(self) -> bool:
        await self._read_left()
        hinted = [task for task in self._tasks if task.hinted]
        return any([await self._read_task(task) for task in hinted])

    async def _read_task(self, task: LiveTask) -> int:
        page = await self._tasks.read(task)
        for event in page:
            if task.apply(event):
                self._offer(self._encode.rollback(task))
            self._offer(self._encode.task_event(event, task))
        return len(page)

    def _offer(self, frame: RunFrame) -> None:
        for viewer in self._viewers:
            viewer.offer(frame)

    def _warn(self, exc: AppDbError) -> None:
        logger.warning("a run's streams wait for the database", extra={"run_id": self._run_id, "error": str(exc)})


E = DbEventType
MOVES_TASKS = frozenset(E) - {E.MODULE_COMPLETED, E.STEP_STARTED, E.STEP_COMPLETED, E.OUTPUT_STORED}
"""Types of events after which other tasks may be open."""


def open_tasks(state: RunState) -> Mapping[str, str | None]:
    """Return the tasks that a run waits for, each with its module."""
    return {wait.id: wait.module for wait in state.waiting_on if wait.kind is WaitKind.TASK}
