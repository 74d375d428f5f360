"""The demo's folder: one demo at a time works in it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT_SECONDS = 60
POLL_SECONDS = 0.1


class FolderTakenError(Exception):
    """Another demo works in the folder; the message names its process."""


@contextmanager
def alone_in(folder: Path) -> Iterator[int]:
    """Hold *folder* for the length of the block, and give the lock's file descriptor: whoever inherits it holds on.

    A demo that was ended a moment ago may still be stopping its hosts, which is waited for.

    Raises:
        FolderTakenError: Another demo runs there, or its hosts do not end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "demo.lock").open("a+") as file:
        _take(file.fileno(), folder)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def _take(descriptor: int, folder: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    told = False
    while not _try(descriptor):
        holder = int((folder / "demo.lock").read_text() or 0)
        if _runs(holder):
            raise FolderTakenError(f"another demo runs in {folder} (pid {holder}); stop it, or choose another --data")
        if time.monotonic() > deadline:
            raise FolderTakenError(f"the hosts of the demo before, in {folder}, do not end (its pid was {holder})")
        if not told:
            print(f"demo: waiting for the hosts of the demo before (its pid was {holder}) to end", flush=True)
            told = True
        time.sleep(POLL_SECONDS)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return pid > 0
