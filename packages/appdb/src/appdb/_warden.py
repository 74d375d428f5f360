"""The warden: a second process that ends this one's children once this one is gone, even by SIGKILL.

A signal handler cannot do that: nothing runs in a process that got SIGKILL. The kernel closes its pipes all the same,
so a second process, in a session of its own that no terminal's Ctrl-C reaches, reads the pipe until it ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

GRACE_SECONDS = 20.0
POLL_SECONDS = 0.02


class Warden:
    """
    Watches over processes that this one starts: what still runs when this process is gone gets SIGTERM, one after
    another and the newest first, and SIGKILL after 20 s.

    Args:
        keep_open: File descriptors that stay open until the last of them has ended, such as that of a lock.
    """

    def __init__(self, keep_open: Sequence[int] = ()) -> None:
        nothing = subprocess.DEVNULL
        self._process = subprocess.Popen(
            # -I and -S: it needs nothing of the environment or of installed packages.
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=nothing,
            stderr=nothing,
            pass_fds=tuple(keep_open),
            start_new_session=True,
        )

    def watch(self, pid: int) -> None:
        """Watch over a process that was just started."""
        self._tell(f"+{pid}\n")

    def forget(self, pid: int) -> None:
        """Leave alone a process that was seen to end: its number may soon be another's."""
        self._tell(f"-{pid}\n")

    def close(self) -> None:
        """End what is watched, and return when all of it has ended; harmless when done before."""
        if self._process.stdin is not None:
            # The warden may have been ended itself.
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


def main() -> None:
    """Read what to watch until the pipe ends, then end what still runs."""
    watched: list[int] = []
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            watched.append(pid)
        elif pid in watched:
            watched.remove(pid)
    # The newest first: what was started later may need what was started before it.
    for pid in reversed(watched):
        _end(pid)


def _end(pid: int) -> None:
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
        if not _runs(pid):
            return
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while _runs(pid) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def _runs(pid: int) -> bool:
    """Return whether the process is there, and not a zombie, which only waits for its parent to read its exit code."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        # It has just gone, or this system has no such folder.
        return not Path("/proc/self/stat").exists()


if __name__ == "__main__":
    main()
