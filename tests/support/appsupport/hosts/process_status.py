"""Processes that others started: whether they are still there."""

from __future__ import annotations

import asyncio
from pathlib import Path


def gone(pid: int) -> bool:
    """Return whether a process is no more, or a zombie that nobody has asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def until_gone(*pids: int, seconds: float = 30) -> None:
    """Return once all of the processes are gone."""
    async with asyncio.timeout(seconds):
        while not all(map(gone, pids)):
            await asyncio.sleep(0.01)
