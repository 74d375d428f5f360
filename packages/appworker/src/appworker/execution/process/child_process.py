"""The system's side of an actor's process: starts it, relays its output, signals it, and tells why it died."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress

from pydantic import BaseModel

from appworker.actors.base import Actor
from appworker.execution.process.exit_codes import OUT_OF_MEMORY
from appworker.execution.process.output import relay
from appworker.execution.process.resource_limits import MIB, limit_behind

CHILD = "appworker.execution.process.child_side"
EXIT_SECONDS = 2.0
"""How long a process that has nothing to do may take to exit."""


class ChildProcess:
    """
    A process with a session of its own, which holds the other end of a socket.

    Args:
        actor: The actor that it runs.

        process: The process.
    """

    def __init__(self, actor: Actor[BaseModel], process: asyncio.subprocess.Process) -> None:
        self._actor = actor
        self._process = process
        self._relaying = asyncio.create_task(relay(process, actor.name))

    @classmethod
    async def start(cls, actor: Actor[BaseModel], connection: socket.socket) -> ChildProcess:
        """Start a process that talks over *connection*.

        Raises:
            OSError: The system has no room for another process.
        """
        # -P: a file of the current directory is not imported in place of this package; -u: output is seen at once.
        python = [sys.executable, "-P", "-u", "-X", "faulthandler", "-m", CHILD, str(connection.fileno())]
        process = await asyncio.create_subprocess_exec(
            *python,
            # An actor that asks for input must not wait for the worker's terminal.
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(connection.fileno(),),
            # A session of its own: Ctrl-C in the worker's terminal reaches the worker alone, and one signal reaches
            # all that the actor has started.
            start_new_session=True,
        )
        return cls(actor, process)

    @property
    def alive(self) -> bool:
        """Whether the process has not ended, as far as is known."""
        return self._process.returncode is None

    @property
    def names(self) -> dict[str, object]:
        """The process's names in a line of the log."""
        return {"actor": self._actor.name, "pid": self._process.pid}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and to all that it has started."""
        with suppress(ProcessLookupError):  # they have ended
            os.killpg(self._process.pid, number)

    async def exited(self) -> int:
        """Return the exit code of a process that has closed its pipe or lost it; one that lingers is killed."""
        try:
            async with asyncio.timeout(EXIT_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self._process.wait()

    async def end(self) -> None:
        """Wait for the exit of a process whose pipe was closed, and end all that it has started."""
        await self.exited()
        # A group that still has members is nobody else's.
        self.signal(signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(EXIT_SECONDS):
                await self._relaying

    def cause_of(self, code: int) -> str:
        """Return why the process died, by its exit *code*: the end of a sentence."""
        actor = self._actor
        if code == OUT_OF_MEMORY:
            limit = "" if actor.memory_limit is None else f": its memory_limit is {actor.memory_limit / MIB:g} MiB"
            return f"ran out of memory{limit}"
        if code >= 0:
            return f"ended by itself, with exit code {code}"
        name = signal.Signals(-code).name
        return f"was ended by {name}{limit_behind(name, actor.memory_limit, actor.cpu_limit)}"
