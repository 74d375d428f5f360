"""A host as a process: started, waited for, stopped, and quoted when it fails."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

READY_SECONDS = 90
STOP_SECONDS = 20
POLL_SECONDS = 0.05
TAIL_LINES = 15


class HostError(Exception):
    """A host could not start, or ended by itself; the message holds the end of its log."""


class Host:
    """A running process whose output goes to a log."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = logs / f"{name}.log"
        with self.log.open("ab") as output:
            self._begins_at = output.tell()
            # A group of its own, so that Ctrl-C reaches us alone and the hosts stop in our order.
            self.process = subprocess.Popen(
                list(command),
                env=os.environ | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, pattern: str) -> str:
        """Return the first group of *pattern* once the log has it.

        Raises:
            HostError: The process ended, or said nothing of the kind in 90 s.
        """
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if found := re.search(pattern, self._said()):
                return found[1]
            self.check()
            time.sleep(POLL_SECONDS)
        raise HostError(f"{self.name} was not ready within {READY_SECONDS} s\n{self._tail()}")

    def check(self) -> None:
        """Raise ``HostError`` when the process has ended."""
        if self.process.poll() is not None:
            raise HostError(f"{self.name} {self.end()}\n{self._tail()}")

    def end(self) -> str:
        """Return how the process ended, in words."""
        code = self.process.wait()
        return f"ended with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"

    def stop(self) -> None:
        """Stop the process: politely, then hard."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _said(self) -> str:
        """Return what this process has said; its predecessors wrote into the same file."""
        return self.log.read_bytes()[self._begins_at :].decode(errors="replace")

    def _tail(self) -> str:
        lines = self._said().splitlines()[-TAIL_LINES:]
        return "\n".join([f"the end of {self.log}:", *(f"  {line}" for line in lines)])
