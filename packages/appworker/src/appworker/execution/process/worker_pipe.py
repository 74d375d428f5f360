"""The worker pipe: the end that an actor's process holds of its connection to the worker."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from pydantic import JsonValue

from appdb import TooLargeError
from appworker.execution.process import frames
from appworker.execution.process.exit_codes import OUT_OF_MEMORY, PIPE_BROKEN, WORKER_GONE
from appworker.execution.process.messages import error_from_json
from appworker.execution.stop import StopReason, StopSwitch

MAX_UNSENT_BYTES = 1024 * 1024
"""How much may wait to be sent before whoever says more has to wait."""
REPORT_SECONDS = 0.05
"""How long a report may wait for a later one that replaces it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorOrder:
    """An order of the worker, to load an actor or to run it; a run has a switch that stops it."""

    facts: dict[str, Any]
    stop: StopSwitch


class WorkerPipe:
    """Takes orders, carries calls to the worker, and brings the answers back.

    It has an event loop in a thread of its own, so that a process whose actor is busy still hears that it must stop.

    Args:
        connection: Connected to the worker.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.orders: SimpleQueue[ActorOrder | None] = SimpleQueue()
        """Orders as they came; ``None`` at the end."""
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(_exit_without_memory)
        self._socket = connection
        self._writer: asyncio.StreamWriter
        self._calls: dict[int, asyncio.Future[JsonValue]] = {}
        self._numbers = itertools.count()
        self._running: StopSwitch | None = None
        self._report: dict[str, Any] | None = None
        self._thread = threading.Thread(target=self._work, name="worker-pipe", daemon=True)
        self._thread.start()

    @property
    def stopping(self) -> bool:
        """Whether an attempt runs that must end."""
        return self._running is not None and self._running.reason is not None

    def post(self, body: Mapping[str, Any]) -> None:
        """Send a message that has no answer, from any thread; it waits while the worker is far behind."""
        self.loop.call_soon_threadsafe(self._writer.write, frames.encode(body))
        # Backpressure: logs and chunks that the worker does not read would fill the memory.
        unsent = self._writer.transport.get_write_buffer_size()
        if unsent > MAX_UNSENT_BYTES and threading.current_thread() is not self._thread:
            self.flush()

    def report(self, fraction: float, message: str) -> None:
        """Send a report, from any thread, unless a later one replaces it."""
        waiting = self._report is not None
        # A plain assignment is atomic, so no lock is needed between the actor's threads and the loop.
        self._report = {"type": "report", "fraction": fraction, "message": message}
        if not waiting:
            self.loop.call_soon_threadsafe(self.loop.call_later, REPORT_SECONDS, self._write_report)

    def _write_report(self) -> None:
        report, self._report = self._report, None
        if report is not None:
            self._writer.write(frames.encode(report))

    async def call(self, method: str, arguments: Mapping[str, Any], blob: bytes = b"") -> JsonValue:
        """Have the worker call a method of the attempt's context, and return what it returned; for any loop.

        Raises:
            TooLargeError: The arguments are too large to cross.
            Exception: What the method raised.
        """
        # In the pipe's loop, which lives as long as the process; the actor's own loop ends with the attempt.
        asking = self._ask(method, arguments, blob)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asking, self.loop))

    async def _ask(self, method: str, arguments: Mapping[str, Any], blob: bytes) -> JsonValue:
        number = next(self._numbers)
        answer = self._calls[number] = self.loop.create_future()
        try:
            frame = frames.encode({"type": "call", "number": number, "method": method, "arguments": arguments}, blob)
            if len(frame) - len(blob) > frames.MAX_JSON_BYTES:
                raise TooLargeError(method, len(frame), frames.MAX_JSON_BYTES)
            # A report and a call after it arrive in the actor's order.
            self._write_report()
            self._writer.write(frame)
            await self._writer.drain()
            value: JsonValue = await answer
            return value
        finally:
            del self._calls[number]

    def end_attempt(self, result: Mapping[str, Any]) -> None:
        """Tell the worker what came of the attempt."""
        self._running = None
        self.loop.call_soon_threadsafe(self._write_report)
        self.post({"type": "result", "result": result})

    def flush(self) -> None:
        """Wait until all that was said is sent; for any thread but the pipe's own."""
        asyncio.run_coroutine_threadsafe(self._drain(), self.loop).result()

    async def _drain(self) -> None:
        # ``drain`` waits only while more is unsent than the limit.
        self._writer.transport.set_write_buffer_limits(0)
        await self._writer.drain()

    def _work(self) -> None:
        try:
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(self._listen())
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except BaseException:  # noqa: BLE001 - see below
            # Nobody hears this process any more, so it must not go on, nor wait for answers for ever.
            traceback.print_exc()
            os._exit(PIPE_BROKEN)

    async def _listen(self) -> None:
        reader, self._writer = await asyncio.open_unix_connection(sock=self._socket)
        try:
            while True:
                self._take((await frames.read(reader, limited=False)).body)
        except (EOFError, ConnectionError):
            if self._running is not None:
                os._exit(WORKER_GONE)
            self.orders.put(None)

    def _take(self, body: dict[str, Any]) -> None:
        match body["type"]:
            case "load":
                self.orders.put(ActorOrder(facts=body, stop=StopSwitch()))
            case "run":
                # Here and not by the actor's thread, so that a stop that follows at once finds its switch.
                self._running = StopSwitch()
                self.orders.put(ActorOrder(facts=body, stop=self._running))
            case "stop" if self._running is not None:
                self._running.throw(StopReason(body["reason"]))
            case "answer" if (answer := self._calls.get(body["number"])) is not None and not answer.done():
                if "error" in body:
                    answer.set_exception(error_from_json(body["error"]))
                else:
                    answer.set_result(body["value"])


def _exit_without_memory(loop: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
    if isinstance(about.get("exception"), MemoryError):
        os._exit(OUT_OF_MEMORY)
    loop.default_exception_handler(about)
