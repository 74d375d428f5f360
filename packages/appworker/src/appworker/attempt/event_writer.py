"""The events of one attempt: buffered from any thread, numbered and written in order by the control loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from pydantic import JsonValue

from appdb import AttemptOutcome, AttemptWrite, InvalidDataError, Lease, NewEvent, Progress, Task, TaskEventType
from appworker.attempt.event_buffer import Chunk, EventBuffer
from appworker.attempt.fenced_calls import FencedCalls
from appworker.attempt.services import AttemptServices
from appworker.errors import TaskStoppedError
from appworker.execution.stop import StopReason, StopSwitch

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

START_DELAY_SECONDS = 0.05
"""How long the start of an attempt may wait to be written: a task that ends sooner saves a write."""
CHUNK_DELAY_SECONDS = 0.015
PROGRESS_DELAY_SECONDS = 0.1


class NumberedCall(Protocol[T_co]):
    """A call that writes one event of the task log by itself."""

    def __call__(self, *, seq: int) -> Awaitable[T_co]:
        """Write the event with the number *seq*."""


class EventWriter:
    """
    Numbers the events of an attempt and writes them.

    The actor's thread only adds to a buffer. All writing happens in the control loop, one write at a time, so the
    numbers are dense and a repeated write is recognised.

    Args:
        task: The task as it was claimed.

        services: The worker's own.

        calls: Repeats what found no database.

        stop: The attempt's switch.
    """

    def __init__(self, task: Task, services: AttemptServices, calls: FencedCalls, stop: StopSwitch) -> None:
        self.refusal: Exception | None = None
        """Why the database does not take what the actor says."""
        self._lease = Lease.of(task)
        self._services = services
        self._calls = calls
        self._stop = stop
        self._control_loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._seq = task.event_count
        self._buffer = EventBuffer()
        self._chunks_asked = False

    def add_start(self) -> None:
        """Add the event that the actor starts."""
        data: dict[str, JsonValue] = {"attempt": self._lease.attempt, "worker_id": self._lease.worker_id}
        self._buffer.add_event(NewEvent(type=TaskEventType.STARTED, data=data))
        self._services.flusher.request(self, START_DELAY_SECONDS)

    def add_progress(self, progress: Progress) -> None:
        """Keep *progress* as the latest, from any thread."""
        self._buffer.keep_progress(progress)
        self._request_flush(PROGRESS_DELAY_SECONDS)

    def add_chunk(self, chunk: Chunk, size: int) -> int:
        """Add *chunk*, of *size* bytes, from any thread, and return how many wait."""
        waiting = self._buffer.add_chunk(chunk, size)
        self._request_flush(CHUNK_DELAY_SECONDS)
        return waiting

    def _request_flush(self, delay_seconds: float) -> None:
        # One call into the loop for many chunks: each costs about as much as the chunk itself.
        if not self._chunks_asked:
            # Reset only by the loop, before it empties the buffer: no chunk is ever left behind.
            self._chunks_asked = delay_seconds == CHUNK_DELAY_SECONDS
            self._control_loop.call_soon_threadsafe(self._services.flusher.request, self, delay_seconds)

    async def write_behind(self) -> None:
        """Write the buffer; an error stops the attempt."""
        try:
            await self.flush()
        except TaskStoppedError:
            return  # the switch is thrown: the attempt runner knows
        except Exception as exc:  # noqa: BLE001 - whatever keeps events from being written must end the attempt
            self.refusal = exc
            # The database would refuse the same events again.
            self._buffer.clear()
            self._stop.throw(StopReason.REFUSED)

    async def flush(self) -> None:
        """Write the buffer.

        Raises:
            TaskStoppedError: The lease is lost.
        """
        async with self._turn:
            await self._flush()

    async def in_turn(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make *call* while no event is being written, and return its answer."""
        async with self._turn:
            return await self._calls.make(call)

    async def write_numbered(self, call: NumberedCall[T]) -> T:
        """Write the buffer, then make *call* with the next number, and return its answer."""
        async with self._turn:
            await self._flush()
            answer = await self._calls.make(partial(call, seq=self._seq))
            self._seq += 1
        return answer

    async def settle(self, outcome: AttemptOutcome) -> None:
        """End the attempt with *outcome*, together with the rest of the buffer.

        Raises:
            InvalidDataError: The outcome cannot be stored; the buffer is as it was.
            TaskStoppedError: The lease is lost.
        """
        # The outcome takes the rest of the buffer along: a flush of its own would be one more write.
        self._services.flusher.forget(self)
        async with self._turn:
            rest = await self._write_full_batches()
            try:
                await self._write(rest, outcome)
            except InvalidDataError:
                # Nothing was written. Another outcome follows, and the log must hold what led to it.
                self._buffer.put_back(rest)
                raise

    async def _flush(self) -> None:
        self._chunks_asked = False
        if rest := await self._write_full_batches():
            await self._write(rest)

    async def _write_full_batches(self) -> list[NewEvent]:
        """Write until less than a batch is left, and return that."""
        while True:
            events, more = self._buffer.take()
            if not more:
                return events
            await self._write(events)

    async def _write(self, events: Sequence[NewEvent], outcome: AttemptOutcome | None = None) -> None:
        write = AttemptWrite(lease=self._lease, events=events, seq=self._seq, outcome=outcome)
        await self._calls.make(partial(self._services.commit_batcher.write, write))
        self._seq += len(events)
