"""The supervisor: starts several worker processes, replaces those that die, and stops them together."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from appworker.host.forks import heeded
from appworker.host.supervised import READY
from appworker.settings import WorkerSettings

logger = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=0.5)
LONGEST_PAUSE = timedelta(seconds=30)
STEADY = timedelta(minutes=1)
"""A process that lived for this long is replaced without a longer pause than the first."""
MAX_FAILED_STARTS = 5
"""After so many ends in a row before it was ever ready, a process is not started again."""
STOPPED_EARLY = frozenset({-signal.SIGTERM, -signal.SIGINT})
"""Exit codes of a process that was told to stop before it could drain, which is as good: it held nothing yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of a worker process.

    Args:
        pid: Its process id.
        code: Its exit code; the negative of a signal's number when that ended it.
        ready: Whether it was ever ready.
        seconds: How long it lived.
    """

    pid: int
    code: int
    ready: bool
    seconds: float


class Restarts:
    """Decides how long to wait before one worker process is started again, and when to give up."""

    def __init__(self) -> None:
        self._deaths = 0
        self._failed_starts = 0

    def pause_after(self, ended: Ended) -> timedelta | None:
        """Return the pause, doubled at each early end and with jitter; ``None`` when starting again is no use."""
        # A process that was ready once can work: it is started again for ever.
        self._failed_starts = 0 if ended.ready else self._failed_starts + 1
        if self._failed_starts >= MAX_FAILED_STARTS:
            return None
        # A crash once in a while is no reason to wait.
        self._deaths = 1 if ended.seconds >= STEADY.total_seconds() else self._deaths + 1
        pause: timedelta = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._deaths - 1, 10))
        # Jitter, so that processes that died together do not connect together.
        return pause * random.uniform(0.8, 1)


class Supervisor:
    """
    Keeps worker processes running until it is told to stop.

    Args:
        settings: How many, and their first health port.

        arguments: The command line that each of them gets.
    """

    def __init__(self, settings: WorkerSettings, arguments: Sequence[str]) -> None:
        self._settings = settings
        self._arguments = list(arguments)
        self._children: set[Process] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Work until all have ended.

        Returns:
            The exit code: 0 when all have drained; 1 when one kept ending at start, or ended badly while draining.
        """
        loop = asyncio.get_running_loop()
        for number in heeded():
            loop.add_signal_handler(number, self.hang_up if number is signal.SIGHUP else self.stop)
        logger.info("worker processes are started", extra={"processes": self._settings.processes})
        async with asyncio.TaskGroup() as group:
            kept = [group.create_task(self._keep(index)) for index in range(self._settings.processes)]
        logger.info("all worker processes have ended")
        return 0 if all(task.result() for task in kept) else 1

    def stop(self) -> None:
        """Tell every process to drain; called again, to hand everything back at once."""
        self._stopping.set()
        for child in self._children:
            _terminate(child)

    def hang_up(self) -> None:
        """Tell every process to drain, once: a terminal that closes says so more than once."""
        if not self._stopping.is_set():
            self.stop()

    async def _keep(self, index: int) -> bool:
        """Keep one process running, and return whether it came to a good end."""
        restarts = Restarts()
        while not self._stopping.is_set():
            ended = await self._run_once(index)
            told: dict[str, float] = {"index": index, "pid": ended.pid, "code": ended.code}
            if self._stopping.is_set():
                return ended.code == 0 or ended.code in STOPPED_EARLY
            pause = restarts.pause_after(ended)
            if pause is None:
                logger.error("a worker process keeps ending before it is ready; all are stopped", extra=told)
                self.stop()
                return False
            told["pause_seconds"] = round(pause.total_seconds(), 2)
            logger.warning("a worker process has ended, and another takes its place", extra=told)
            await self._wait(pause)
        return True

    async def _wait(self, pause: timedelta) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause.total_seconds()):
                await self._stopping.wait()

    async def _run_once(self, index: int) -> Ended:
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        started_at = time.monotonic()
        with ours:
            with theirs:
                child = await self._start(index, theirs)
            try:
                self._children.add(child)
                if self._stopping.is_set():
                    _terminate(child)  # it was being started when the others were told
                code = await child.wait()
            finally:
                self._children.discard(child)
            ready = _heard(ours)
        return Ended(pid=child.pid, code=code, ready=ready, seconds=time.monotonic() - started_at)

    async def _start(self, index: int, theirs: socket.socket) -> Process:
        own = ["--processes", "1", "--supervisor-socket", str(theirs.fileno())]  # the last of an option counts
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "appworker", *self._arguments, *own),
            # One port each: only one process can listen on a port, and a probe asks every process.
            env=os.environ | self._health_port(index),
            pass_fds=[theirs.fileno()],
            # A group of its own, so that Ctrl-C reaches the supervisor alone and counts once.
            process_group=0,
        )
        logger.info("a worker process was started", extra={"index": index, "pid": child.pid})
        return child

    def _health_port(self, index: int) -> dict[str, str]:
        first = self._settings.health_port
        return {"APPWORKER_HEALTH_PORT": str(first + index)} if first else {}


def _terminate(child: Process) -> None:
    with suppress(ProcessLookupError):  # it has just ended by itself
        child.terminate()


def _heard(ours: socket.socket) -> bool:
    """Return whether the process, which has ended, had said that it was ready."""
    try:
        return ours.recv(1) == READY
    except BlockingIOError:  # nothing was said, and a grandchild still holds the other end
        return False
