"""The lease guard, as its host sees it: a process beside the host that renews leases while the host is stuck.

Code that holds Python's lock for longer than a lease stops every thread of the host, so renewals must come from another
process (``docs/decisions/0018``).
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from appdb.queue.lease import Lease

logger = logging.getLogger(__name__)

CHILD = Path(__file__).with_name("lease_guard_child.py")
MAX_UNSENT_BYTES = 4 * 1024 * 1024
"""Bytes that may wait for a guard that does not listen, before another takes its place."""

Held = tuple[Lease, float]
"""A lease, and the time of the monotonic clock at which the attempt's own time is over: after it, none renews."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardFacts:
    """The facts with which a guard renews leases by itself: the database, the lease and the heartbeat."""

    uri: SecretStr
    database: str
    lease: timedelta
    heartbeat: timedelta


class LeaseGuard:
    """
    Keeps one guard running, and tells it which leases this host holds.

    Args:
        facts: How the guard reaches the database.
    """

    def __init__(self, facts: GuardFacts) -> None:
        self._facts = facts
        self._renewed_at = 0.0
        self._unread = self._unsent = b""
        self._ours, self._theirs = socket.socketpair()
        self._greet()

    def hold(self, claimed: Iterable[Held]) -> None:
        """Say that *claimed* is held from now on; to be called before the work begins."""
        self._send({"type": "hold", "leases": [(_told(lease), until) for lease, until in claimed]})

    def live(self, held: Iterable[Held]) -> None:
        """Say that this host lives and renews what it holds, which is *held* and nothing else."""
        self._send({"type": "held", "leases": [(_told(lease), until) for lease, until in held]})

    def renewed_at(self) -> float:
        """Return when the guard asked for its latest renewal that the database confirmed; 0 if it never had to."""
        with suppress(OSError):  # nothing new was said, or the guard is gone
            while piece := self._ours.recv(4_096):
                *lines, self._unread = (self._unread + piece).split(b"\n")
                self._renewed_at = max([self._renewed_at, *map(float, lines)])
        return self._renewed_at

    async def run(self) -> None:
        """Have a guard until cancelled; return when it has ended, to be called again."""
        # Without site packages a guard that only listens takes 11 MiB; it loads them when it stands in.
        command = [sys.executable, "-S", "-P", str(CHILD), str(self._theirs.fileno())]
        guard = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=[self._theirs.fileno()],
            # A session of its own: a signal to the group of the host is for the host, which ends its guard.
            start_new_session=True,
        )
        logger.debug("a guard of the leases was started", extra={"pid": guard.pid})
        # The guard alone must hold its end, so that each side sees the other's end by a closed socket.
        self._theirs.close()
        try:
            code = await guard.wait()
            logger.warning("the guard of the leases has ended; another takes its place", extra={"code": code})
            self._ours.close()
            self._unread = self._unsent = b""
            self._ours, self._theirs = socket.socketpair()
            self._greet()
        except asyncio.CancelledError:
            guard.kill()
            await guard.wait()
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection to the guard, which ends by that; harmless when called twice."""
        self._ours.close()
        self._theirs.close()

    def _greet(self) -> None:
        # The loop must never wait for the guard: a send that would block is kept for the next one.
        self._ours.settimeout(0)
        self._send(
            {
                "type": "facts",
                "uri": self._facts.uri.get_secret_value(),
                "database": self._facts.database,
                "lease": self._facts.lease.total_seconds(),
                "heartbeat": self._facts.heartbeat.total_seconds(),
                "path": sys.path,
            }
        )

    def _send(self, said: dict[str, object]) -> None:
        self._unsent += json.dumps(said).encode() + b"\n"
        try:
            self._unsent = self._unsent[self._ours.send(self._unsent) :]
        except BlockingIOError:
            if len(self._unsent) > MAX_UNSENT_BYTES:
                # It does not listen: it ends by this, and another takes its place.
                self._ours.close()
        except OSError:
            # It has ended, and its successor is told all with the next sign of life.
            self._unsent = b""


def _told(lease: Lease) -> tuple[str, str, int, int, str]:
    return lease.task_id, lease.token, lease.attempt, lease.max_attempts, lease.worker_id
