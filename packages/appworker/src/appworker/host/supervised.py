"""A supervised process's side: tells its supervisor that it is ready, and notices when the supervisor is gone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

READY = b"r"


class SupervisorLink:
    """
    The connection of this process to its supervisor, over an inherited socket.

    Args:
        descriptor: The socket's file descriptor.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        # Nothing that the supervisor does or does not read may hold up this process.
        self._socket.settimeout(0)
        # What an actor starts must not hold the socket: its end is how the supervisor hears of this process's death.
        self._socket.set_inheritable(False)

    def tell_ready(self) -> None:
        """Say that this process works, so that its later end does not count as a failure to start."""
        with suppress(BrokenPipeError):  # it has just ended, which the loop is about to hear
            self._socket.send(READY)

    def when_gone(self, loop: asyncio.AbstractEventLoop, listener: Callable[[], None]) -> None:
        """Call *listener* in *loop* once the supervisor has ended, however it ended."""

        def ended() -> None:
            loop.remove_reader(self._socket)
            listener()

        # The supervisor writes nothing: only the end of the stream makes the socket readable.
        loop.add_reader(self._socket, ended)
