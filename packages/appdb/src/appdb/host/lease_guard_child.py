"""The guard's own process: renews a host's leases while the host cannot (``docs/decisions/0018``).

It is a script, started by ``lease_guard.py`` with the descriptor of a socket. Until it has to stand in it needs the
standard library only, and takes little memory. The host tells it what it holds, and with each
round of its own renewals that it lives.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import site
import socket
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.1
"""The pause between two looks of a guard that stands in for a word of the host."""
SILENT_ROUNDS = 2
"""After so many heartbeats without a word the guard stands in."""
STOPPED = frozenset("TtZX")
"""States of a process (``/proc/PID/stat``) in which nobody works on its tasks: frozen by a signal, or dead."""


class HostGoneError(Exception):
    """The host has ended, and so does its guard; its leases run out."""


class Guard:
    """The guard: knows which leases its host holds, and renews them while the host is silent.

    Args:
        host: Connected to the host.
    """

    def __init__(self, host: socket.socket) -> None:
        self._host = host
        self._host_pid = os.getppid()
        self._unread = b""
        self._facts: dict[str, Any] = {}
        self._held: dict[str, tuple[list[Any], float]] = {}
        self._heard_at = time.monotonic()

    def watch(self) -> None:
        """Listen, and stand in when it must be, until the host has ended."""
        with suppress(HostGoneError):
            while True:
                select.select([self._host], [], [], self._facts.get("heartbeat", 1.0) / 2)
                self._listen()
                if self._must_stand_in():
                    # Appdb and the driver are imported now: that takes a second or two, and most guards never do it.
                    sys.path[:] = self._facts["path"]
                    site.main()
                    asyncio.run(self._stand_in())

    def _listen(self) -> None:
        """Take in the words of the host since the last call."""
        # A forked process may keep the host's end of the socket open; the parent's number tells its end for sure.
        if os.getppid() != self._host_pid:
            raise HostGoneError
        with suppress(BlockingIOError):
            while True:
                piece = self._host.recv(65_536)
                if not piece:
                    raise HostGoneError
                *lines, self._unread = (self._unread + piece).split(b"\n")
                for line in lines:
                    self._take(json.loads(line))

    def _take(self, said: dict[str, Any]) -> None:
        self._heard_at = time.monotonic()
        match said["type"]:
            case "facts":
                self._facts = said
            case "held":
                self._held = {lease[0]: (lease, until) for lease, until in said["leases"]}
            case "hold":
                self._held.update({lease[0]: (lease, until) for lease, until in said["leases"]})

    def _named(self, lease: list[Any]) -> dict[str, Any]:
        return dict(zip(("task_id", "token", "attempt", "max_attempts", "worker_id"), lease, strict=True))

    def _must_stand_in(self) -> bool:
        silent = time.monotonic() - self._heard_at
        # A host that was stopped by a signal gets no renewals: nobody works on its tasks, and others should have them.
        return bool(self._held and silent > SILENT_ROUNDS * self._facts["heartbeat"] and self._host_runs())

    def _host_runs(self) -> bool:
        try:
            state = Path(f"/proc/{self._host_pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            # There is no /proc on this system, so a host that was stopped keeps its leases until its attempts end.
            return True
        return state not in STOPPED

    async def _stand_in(self) -> None:
        """Renew until the host speaks again."""
        from appdb import AppDbError, Database, Lease, TaskQueue  # noqa: PLC0415 - most guards never need it

        facts, heard_at, next_at = self._facts, self._heard_at, 0.0
        lease_time = timedelta(seconds=facts["lease"])
        # No retries: each heartbeat is a try of its own, and the guard must go on listening between them.
        async with Database(facts["uri"], facts["database"], retry_timeout=timedelta(0)) as database:
            queue = TaskQueue(database, lease=lease_time)
            while self._heard_at == heard_at:
                now = time.monotonic()
                if now >= next_at and self._host_runs():
                    next_at = now + facts["heartbeat"]
                    with suppress(AppDbError):  # tried again at the next heartbeat
                        await queue.renew(
                            [Lease(**self._named(lease)) for lease, until in self._held.values() if until > now]
                        )
                        self._host.send(b"%r\n" % now)
                await asyncio.sleep(POLL_SECONDS)
                self._listen()


def main(descriptor: int) -> None:
    """Guard the leases of the host that started this process."""
    # These are meant for the host, with which this process ends.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    host = socket.socket(fileno=descriptor)
    host.settimeout(0)
    host.set_inheritable(False)
    Guard(host).watch()


if __name__ == "__main__":
    main(int(sys.argv[1]))
