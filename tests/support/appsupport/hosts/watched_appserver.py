"""``appserver`` that writes down what its event loop was held by: ``python watched_appserver.py FILE``.

A hold is what lies between two looks of a task that asks for the loop a thousand times a second. What the machine gave
to others meanwhile does not count: it is told in time of the processor.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from appserver.__main__ import Server, server_config
from appserver.logs import configure_logs
from appserver.settings import load_settings

LOOK_SECONDS = 0.001
SHORTEST_SECONDS = 0.005
"""Holds that are written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """
    A time for which the loop did nothing else.

    Args:
        began: When, by the monotonic clock of the machine.
        ended: When it was over.
        seconds: The processor's time that the whole process took meanwhile, so that a thread that keeps the interpreter
            from the loop counts as well.
    """

    began: float
    ended: float
    seconds: float


def holds_in(file: Path) -> list[Hold]:
    """Return what was written down so far."""
    return [Hold(**json.loads(line)) for line in file.read_text().splitlines()]


class WatchedServer(Server):
    """A server whose loop is watched while it listens."""

    def __init__(self, sink: TextIO) -> None:
        super().__init__(server_config(load_settings()))
        self._sink = sink
        self._watching: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and begin to look."""
        await super().startup(sockets)
        self._watching = asyncio.create_task(self._watch())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Look no more, and stop."""
        if self._watching is not None:
            self._watching.cancel()
        await super().shutdown(sockets)

    async def _watch(self) -> None:
        while True:
            began, took = time.monotonic(), time.process_time()
            await asyncio.sleep(LOOK_SECONDS)
            hold = Hold(began=began, ended=time.monotonic(), seconds=time.process_time() - took)
            if hold.seconds >= SHORTEST_SECONDS:
                print(json.dumps(asdict(hold)), file=self._sink, flush=True)


def main() -> None:
    """Serve until SIGTERM."""
    configure_logs("WARNING")
    with Path(sys.argv[1]).open("a") as sink, socket.create_server(("127.0.0.1", 0)) as listening:
        WatchedServer(sink).run(sockets=[listening])


if __name__ == "__main__":
    main()
