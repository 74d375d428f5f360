"""The output of an actor's process, relayed to the worker's log line by line."""

from __future__ import annotations

import asyncio
import logging

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 8_192


async def relay(process: asyncio.subprocess.Process, actor: str) -> None:
    """Log every line that *process* prints, until it has closed its outputs; a very long one in pieces."""
    async with asyncio.TaskGroup() as group:
        for stream, name in ((process.stdout, "stdout"), (process.stderr, "stderr")):
            if stream is not None:
                group.create_task(_relay(stream, {"actor": actor, "pid": process.pid, "stream": name}))


async def _relay(stream: asyncio.StreamReader, about: dict[str, object]) -> None:
    rest = b""
    while piece := await stream.read(MAX_LINE_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        # A progress bar writes no line ends, and must not fill the memory.
        if len(rest) >= MAX_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            _log(line, about)
    _log(rest, about)


def _log(line: bytes, about: dict[str, object]) -> None:
    if text := line.decode(errors="replace").rstrip():
        logger.info("output of an actor", extra={**about, "line": text})
