"""The worker's side of an actor's process: gives it jobs, serves its calls, and stops it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from appdb.host import handler
from appworker.actors.base import Actor
from appworker.errors import TaskStoppedError
from appworker.execution.job import Job, threadsafe
from appworker.execution.process import frames
from appworker.execution.process.child_process import ChildProcess
from appworker.execution.process.messages import result_from_json
from appworker.execution.process.rpc import answer_to
from appworker.execution.results import ActorFailed, ActorResult, ActorStopped
from appworker.execution.stop import STOP_GRACE, StopSwitch

logger = logging.getLogger(__name__)

TERM_GRACE = timedelta(seconds=1.5)
"""How long a process may take to end after SIGTERM; then it gets SIGKILL."""


class ActorProcess:
    """A process that runs jobs of one actor, one at a time.

    Args:
        actor: The actor that it runs.
        process: The process, as the system has it.
        reader: Frames from the process.
        writer: Frames to the process.
    """

    def __init__(
        self,
        actor: Actor[BaseModel],
        process: ChildProcess,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.actor = actor
        self.attempts = 0
        self._process = process
        self._reader = reader
        self._writer = writer
        self._serving: set[asyncio.Task[None]] = set()

    @classmethod
    async def start(cls, actor: Actor[BaseModel]) -> ActorProcess:
        """Start a process and tell it which actor to load; whether that works is in its first result.

        Raises:
            OSError: The system has no room for another process.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await ChildProcess.start(actor, theirs)
            except BaseException:
                ours.close()
                raise
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        started = cls(actor, process, reader, writer)
        started._send(
            {
                "type": "load",
                "source": actor.source,
                "handler": handler(actor.name, actor.version),
                "path": sys.path,
                "log_level": logging.getLogger().getEffectiveLevel(),
            }
        )
        return started

    @property
    def alive(self) -> bool:
        """Whether the process has not ended, as far as is known."""
        return self._process.alive

    async def run(self, job: Job) -> ActorResult:
        """Run one job: serve its calls until its result comes, or the process is gone."""
        self.attempts += 1
        ending = asyncio.create_task(self._end_when_stopped(job.stop))
        try:
            self._send(_order(job))
            return await self._converse(job)
        except (EOFError, ConnectionError):
            return await self._death(job.stop)
        except Exception as exc:  # what a process says is not to be trusted
            logger.exception("an actor's process said what cannot be read; it is killed", extra=self._process.names)
            # Nothing after a broken frame can be read.
            self._process.signal(signal.SIGKILL)
            message = f"the actor's process was killed, since a message of it cannot be read: {exc}"
            return ActorFailed(kind="ProcessDied", message=message, retry=True)
        finally:
            ending.cancel()
            # A write that has begun is finished, so that what was stored and what is logged agree.
            await asyncio.gather(ending, *self._serving, return_exceptions=True)

    async def end(self) -> None:
        """Have the process exit, and see to it that it does."""
        self._writer.close()
        await self._process.end()

    async def _converse(self, job: Job) -> ActorResult:
        while True:
            frame = await frames.read(self._reader, limited=True)
            body = frame.body
            match body["type"]:
                case "call":
                    # Beside each other: an actor may make calls at the same time, and must hear a stop meanwhile.
                    serving = asyncio.create_task(self._serve(job, frame))
                    self._serving.add(serving)
                    serving.add_done_callback(self._serving.discard)
                case "report":
                    _report(job, body["fraction"], body["message"])
                case "log":
                    logging.getLogger(body["logger"]).log(body["level"], "%s", body["message"], extra=body["extra"])
                case "result":
                    return result_from_json(body["result"])
                case "refused":
                    return ActorFailed(kind=body["kind"], message=body["message"], retry=True)

    async def _serve(self, job: Job, frame: frames.PipeFrame) -> None:
        answer = await answer_to(frame, job.context)
        if job.stop.reason is not None:
            # The answer may be the error of a stopped attempt: told first, the process knows that it was stopped.
            self._tell_to_stop(job.stop)
        self._write(answer)

    def _send(self, body: dict[str, Any]) -> None:
        self._write(frames.encode(body))

    def _write(self, frame: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame)

    def _tell_to_stop(self, stop: StopSwitch) -> None:
        self._send({"type": "stop", "reason": stop.reason})

    async def _end_when_stopped(self, stop: StopSwitch) -> None:
        stopped = asyncio.Event()
        stop.on_stop(threadsafe(asyncio.get_running_loop(), stopped.set))
        await stopped.wait()
        self._tell_to_stop(stop)
        await asyncio.sleep(STOP_GRACE.total_seconds())
        logger.warning("an actor's process does not stop; it gets SIGTERM", extra=self._process.names)
        self._process.signal(signal.SIGTERM)
        await asyncio.sleep(TERM_GRACE.total_seconds())
        logger.warning("an actor's process does not end; it gets SIGKILL", extra=self._process.names)
        self._process.signal(signal.SIGKILL)

    async def _death(self, stop: StopSwitch) -> ActorResult:
        code = await self._process.exited()
        if stop.reason is not None:
            return ActorStopped()
        failed = ActorFailed(
            kind="ProcessDied", message=f"the actor's process {self._process.cause_of(code)}", retry=True
        )
        logger.error("an actor's process died", extra={**self._process.names, "cause": failed.message})
        return failed


def _order(job: Job) -> dict[str, Any]:
    context = job.context
    return {
        "type": "run",
        "task_id": context.task_id,
        "owner_id": context.owner_id,
        "attempt": context.attempt,
        "idempotency_key": context.idempotency_key,
        "deadline": context.deadline.isoformat(),
        "origin": asdict(context.origin),
        "payload": job.payload,
    }


def _report(job: Job, fraction: float, message: str) -> None:
    try:
        job.context.report(fraction, message)
    # It has no answer that could carry the error; the next call has.
    except TaskStoppedError:
        logger.debug("a report came after the stop", extra={"task_id": job.context.task_id})
