"""A database that is far away: a proxy that passes on everything, half a round trip later in each direction."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

from pymongo.uri_parser import parse_uri

READ_BYTES = 65_536
START_SECONDS = 10


@contextmanager
def far_away(uri: str, round_trip_seconds: float) -> Iterator[str]:
    """Return a connection string to the server of *uri*, one node, from so far away; the way ends with the block.

    The proxy has a thread and an event loop of its own: a driver that closes its client holds up the test's loop.
    """
    port: Future[int] = Future()
    loop = asyncio.new_event_loop()
    host, server_port = parse_uri(uri)["nodelist"][0]
    way = _Way(host, server_port, round_trip_seconds / 2)
    thread = threading.Thread(target=loop.run_until_complete, args=[way.run(port)])
    thread.start()
    try:
        yield f"mongodb://127.0.0.1:{port.result(START_SECONDS)}/?directConnection=true"
    finally:
        loop.call_soon_threadsafe(way.ended.set)
        thread.join()
        loop.close()


class _Way:
    """Takes connections, and opens one to the server for each."""

    def __init__(self, host: str, port: int, delay: float) -> None:
        self.ended = asyncio.Event()
        self._there = (host, port)
        self._delay = delay
        self._passing: set[asyncio.Task[None]] = set()

    async def run(self, port: Future[int]) -> None:
        """Pass on until told that it has ended; *port* is where."""
        async with await asyncio.start_server(self._connected, "127.0.0.1", 0) as server:
            port.set_result(server.sockets[0].getsockname()[1])
            await self.ended.wait()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._there)
        for source, target in ((reader, back), (there, writer)):
            task = asyncio.create_task(_pass_on(source, target, self._delay))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, delay: float) -> None:
    """Write what is read, each part *delay* after it came."""
    parts: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    writing = asyncio.create_task(_write(parts, target))
    clock = asyncio.get_running_loop()
    try:
        with suppress(ConnectionError):
            while data := await source.read(READ_BYTES):
                parts.put_nowait((clock.time() + delay, data))
        parts.put_nowait((clock.time(), b""))
        await writing
    finally:
        writing.cancel()
        target.close()


async def _write(parts: asyncio.Queue[tuple[float, bytes]], target: asyncio.StreamWriter) -> None:
    clock = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while (part := await parts.get())[1]:
            await asyncio.sleep(part[0] - clock.time())
            target.write(part[1])
            await target.drain()
