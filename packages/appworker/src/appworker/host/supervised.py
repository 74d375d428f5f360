"""A worker process's side of its parent: says that it is ready, and notices when the parent is gone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

READY = b"r"


class Parent:
    """
    The parent that keeps this process, at the other end of an inherited socket.

    Args:
        descriptor: The socket's file descriptor.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.settimeout(0)
        self._socket.set_inheritable(False)

    def tell_ready(self) -> None:
        """Say that this process works, so that its later end does not count as a failure to start."""
        with suppress(BrokenPipeError):  # it has just ended, which the loop is about to hear
            self._socket.send(READY)

    def when_gone(self, loop: asyncio.AbstractEventLoop, listener: Callable[[], None]) -> None:
        """Call *listener* in *loop* once the parent has ended, however it ended."""

        def ended() -> None:
            loop.remove_reader(self._socket)
            listener()

        # The parent writes nothing: only the end of the stream makes the socket readable.
        loop.add_reader(self._socket, ended)
