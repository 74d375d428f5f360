"""The worker's side of an actor's process: starts it, serves its calls, stops it politely and then hard."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from appdb.host import handler
from appworker.actors.base import Actor
from appworker.errors import TaskStoppedError
from appworker.execution.job import Job, threadsafe
from appworker.execution.process import frames
from appworker.execution.process.limits import MIB, limit_behind
from appworker.execution.process.messages import result_from_json
from appworker.execution.process.output import relay
from appworker.execution.process.rpc import answer_to
from appworker.execution.process.worker_pipe import OUT_OF_MEMORY
from appworker.execution.results import ActorFailed, ActorResult, ActorStopped
from appworker.execution.stop import STOP_GRACE, StopSwitch

logger = logging.getLogger(__name__)

TERM_GRACE = timedelta(seconds=1.5)
"""How long a process may take to end after SIGTERM; then it gets SIGKILL."""
EXIT_SECONDS = 2.0
"""How long a process that has nothing to do may take to exit."""


class ActorProcess:
    """A process that runs attempts of one actor, one at a time.

    Args:
        actor: What it runs.
        process: The process, in a session of its own.
        reader: What it sends.
        writer: What it hears.
    """

    def __init__(
        self,
        actor: Actor[BaseModel],
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.actor = actor
        self.attempts = 0
        self._process = process
        self._reader = reader
        self._writer = writer
        self._serving: set[asyncio.Task[None]] = set()
        self._relaying = asyncio.create_task(relay(process, actor.name))

    @classmethod
    async def start(cls, actor: Actor[BaseModel]) -> ActorProcess:
        """Start a process and tell it which actor to load; whether that works, it says with its first outcome.

        Raises:
            OSError: The system has no room for another process.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await _spawn(theirs)
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
        return self._process.returncode is None

    async def run(self, job: Job) -> ActorResult:
        """Run one attempt; what it says is passed on until its outcome comes, or the process is gone."""
        self.attempts += 1
        ending = asyncio.create_task(self._end_when_stopped(job.stop))
        try:
            self._send(_order(job))
            return await self._converse(job)
        except (EOFError, ConnectionError):
            return await self._death(job.stop)
        except Exception as exc:  # what a process says is not to be trusted
            logger.exception("an actor's process said what cannot be read; it is killed", extra=self._about())
            self._signal(signal.SIGKILL)
            message = f"the actor's process was killed, since a message of it cannot be read: {exc}"
            return ActorFailed(kind="ProcessDied", message=message, retry=True)
        finally:
            ending.cancel()
            # A write that has begun is finished, so that what was stored and what is logged agree.
            await asyncio.gather(ending, *self._serving, return_exceptions=True)

    async def end(self) -> None:
        """Have the process exit, and see to it that it does."""
        self._writer.close()
        await self._exited()
        # What it started ends with it; a group that still has members is nobody else's.
        self._signal(signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(EXIT_SECONDS):
                await self._relaying

    async def _converse(self, job: Job) -> ActorResult:
        while True:
            frame = await frames.read(self._reader, limited=True)
            body = frame.body
            match body["type"]:
                case "call":
                    serving = asyncio.create_task(self._serve(job, frame))
                    self._serving.add(serving)
                    serving.add_done_callback(self._serving.discard)
                case "report":
                    _report(job, body["fraction"], body["message"])
                case "log":
                    logging.getLogger(body["logger"]).log(body["level"], "%s", body["message"], extra=body["extra"])
                case "outcome":
                    return result_from_json(body["outcome"])
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
        logger.warning("an actor's process does not stop; it gets SIGTERM", extra=self._about())
        self._signal(signal.SIGTERM)
        await asyncio.sleep(TERM_GRACE.total_seconds())
        logger.warning("an actor's process does not end; it gets SIGKILL", extra=self._about())
        self._signal(signal.SIGKILL)

    async def _death(self, stop: StopSwitch) -> ActorResult:
        code = await self._exited()
        if stop.reason is not None:
            return ActorStopped()
        failed = ActorFailed(kind="ProcessDied", message=f"the actor's process {self._cause(code)}", retry=True)
        logger.error("an actor's process died", extra={**self._about(), "cause": failed.message})
        return failed

    def _cause(self, code: int) -> str:
        actor = self.actor
        if code == OUT_OF_MEMORY:
            limit = "" if actor.memory_limit is None else f": its memory_limit is {actor.memory_limit / MIB:g} MiB"
            return f"ran out of memory{limit}"
        if code >= 0:
            return f"ended by itself, with exit code {code}"
        name = signal.Signals(-code).name
        return f"was ended by {name}{limit_behind(name, actor.memory_limit, actor.cpu_limit)}"

    async def _exited(self) -> int:
        """Return the exit code of a process that has closed its pipe or lost it; one that lingers is killed."""
        try:
            async with asyncio.timeout(EXIT_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            return await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and to what it has started."""
        with suppress(ProcessLookupError):  # they have ended
            os.killpg(self._process.pid, number)

    def _about(self) -> dict[str, object]:
        return {"actor": self.actor.name, "pid": self._process.pid}


async def _spawn(pipe: socket.socket) -> asyncio.subprocess.Process:
    # -P: what lies in the current directory is not imported in place of this package; -u: output is seen at once.
    python = [
        sys.executable,
        "-P",
        "-u",
        "-X",
        "faulthandler",
        "-m",
        "appworker.execution.process.child_side",
        str(pipe.fileno()),
    ]
    return await asyncio.create_subprocess_exec(
        *python,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(pipe.fileno(),),
        start_new_session=True,
    )


def _order(job: Job) -> dict[str, Any]:
    context = job.context
    return {
        "type": "run",
        "task_id": context.task_id,
        "owner_id": context.owner_id,
        "attempt": context.attempt,
        "idempotency_key": context.idempotency_key,
        "deadline": context.deadline.isoformat(),
        "payload": job.payload,
    }


def _report(job: Job, fraction: float, message: str) -> None:
    try:
        job.context.report(fraction, message)
    except TaskStoppedError:
        logger.debug("a report came after the stop", extra={"task_id": job.context.task_id})
