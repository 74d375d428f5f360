"""Live tasks: the open tasks of a run with the output of their current attempts, as far as a reader has read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from appdb import ChangeFeed, TaskEvent, TaskEventType, TaskQueue
from appdb.feed import Subscription, task_topic

MAX_CHUNK_BYTES = 128 * 1024
"""Output of an attempt that a snapshot holds; of more it says so, and the task's own stream has all."""
MAX_TASKS = 100
"""Tasks of a run that are followed at once; of the others a viewer sees the run's own events."""
PAGE = 500
CHUNK_OVERHEAD = 16


# Compared by identity: it is itself a receiver of hints, of which the feed keeps a set.
@dataclass(slots=True, kw_only=True, eq=False)
class LiveTask:
    """An open task, and the output of its current attempt.

    Args:
        task_id: The task.
        module: The module that waits for it.
        attempt: The attempt that the rest belongs to.
        seq: The number of the newest event that was read.
        chunks: Its output so far, in order; empty once it was too much.
        left_out: Whether the output was too much to keep.
        progress: The last progress.
        final: Whether the task has ended.
    """

    task_id: str
    module: str | None
    attempt: int = 0
    seq: int = -1
    chunks: list[JsonValue] = field(default_factory=list)
    left_out: bool = False
    progress: Mapping[str, JsonValue] | None = None
    final: bool = False
    hinted: bool = True
    _bytes: int = 0

    def hint(self) -> None:
        """Look at the task's log at the next opportunity."""
        self.hinted = True

    def copied(self) -> LiveTask:
        """Return it as it is now; what is streamed later changes nothing of the copy."""
        return replace(self, chunks=[*self.chunks])

    def apply(self, event: TaskEvent) -> bool:
        """Note *event*, and return whether what earlier attempts have streamed counts no more."""
        anew = event.attempt > self.attempt > 0
        if event.attempt > self.attempt:
            self.attempt, self.chunks, self.left_out, self.progress, self._bytes = event.attempt, [], False, None, 0
        self.seq, self.final = event.seq, event.type.terminal
        if event.type is TaskEventType.PROGRESS:
            self.progress = event.data
        elif event.type is TaskEventType.CHUNK:
            self._keep(event.data.get("chunks") or [])
        return anew

    def _keep(self, chunks: Sequence[JsonValue]) -> None:
        self._bytes += sum(len(str(chunk)) + CHUNK_OVERHEAD for chunk in chunks)
        if self._bytes > MAX_CHUNK_BYTES:
            self.chunks, self.left_out = [], True
        else:
            self.chunks.extend(chunks)


class LiveTasks:
    """
    The open tasks of one run, each read after a hint.

    Args:
        queue: Where their logs are.
        feed: Gives the hints.
        woken: Woken by a hint for any of them.
    """

    def __init__(self, queue: TaskQueue, feed: ChangeFeed, woken: Subscription) -> None:
        self._queue = queue
        self._feed = feed
        self._woken = woken
        self._tasks: dict[str, LiveTask] = {}

    def __iter__(self) -> Iterator[LiveTask]:
        return iter(self._tasks.values())

    def follow(self, modules: Mapping[str, str | None]) -> list[LiveTask]:
        """Follow the tasks that *modules* names, each with its module, and no others; return those that are left.

        What is left was perhaps not read to its end.
        """
        gone = [task for task_id, task in self._tasks.items() if task_id not in modules]
        for task in gone:
            self._drop(task)
        for task_id, module in modules.items():
            if task_id not in self._tasks and len(self._tasks) < MAX_TASKS:
                task = LiveTask(task_id=task_id, module=module)
                self._tasks[task_id] = task
                self._feed.add(task_topic(task_id), task)
                self._feed.add(task_topic(task_id), self._woken)
        return gone

    def hint_all(self) -> None:
        """Look at every task's log, hinted or not."""
        for task in self._tasks.values():
            task.hint()

    def close(self) -> None:
        """Follow nothing any more."""
        for task in list(self._tasks.values()):
            self._drop(task)

    async def read(self, task: LiveTask) -> list[TaskEvent]:
        """Return the next page of a task's log behind what was read; the caller applies it."""
        # Before the read: a hint that comes meanwhile may be for what this read does not see.
        task.hinted = False
        page = await self._queue.events(task.task_id, after=task.seq, limit=PAGE)
        task.hinted = task.hinted or bool(page)
        return page

    def _drop(self, task: LiveTask) -> None:
        self._tasks.pop(task.task_id, None)
        self._feed.remove(task_topic(task.task_id), task)
        self._feed.remove(task_topic(task.task_id), self._woken)
