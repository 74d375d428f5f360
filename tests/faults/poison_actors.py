"""The poison pack of nine: actors that do the worst, each with two attempts; and a neighbour that only waits."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from contextlib import suppress
from datetime import timedelta

from pydantic import BaseModel

from appworker import ActorContext, RetryPolicy, SyncContext, actor

MIB = 1024 * 1024
SOON = RetryPolicy(max_attempts=2, first=timedelta(seconds=0.1), longest=timedelta(seconds=0.1))


class Nothing(BaseModel):
    """No payload."""


class Text(BaseModel):
    """A result of any size."""

    text: str


class Wait(BaseModel):
    """Seconds to wait."""

    seconds: float


class Abyss:
    """Has no bottom, for the interpreter's own stack."""

    def __repr__(self) -> str:
        return repr(self)


@actor("neighbour.task")
async def neighbour_task(context: ActorContext, payload: Wait) -> None:
    """Wait beside others in an event loop, and say so."""
    for step in range(3):
        await asyncio.sleep(payload.seconds / 3)
        await context.progress((step + 1) / 3)


@actor("neighbour.thread")
def neighbour_thread(context: SyncContext, payload: Wait) -> None:
    """Wait in a thread, and say so."""
    for step in range(3):
        time.sleep(payload.seconds / 3)
        context.progress((step + 1) / 3)


@actor("poison.raise", retry=SOON)
async def raise_(_context: ActorContext, _payload: Nothing) -> None:
    """Raise."""
    raise RuntimeError("poison")


@actor("poison.exit", isolation="process", retry=SOON)
def exit_(_context: SyncContext, _payload: Nothing) -> None:
    """End the process, past everything that would clean up."""
    os._exit(7)


@actor("poison.segfault", isolation="process", retry=SOON)
def segfault(_context: SyncContext, _payload: Nothing) -> None:
    """Read where nothing is."""
    ctypes.string_at(0)


@actor("poison.memory", isolation="process", memory_limit=256 * MIB, retry=SOON)
def memory(_context: SyncContext, _payload: Nothing) -> None:
    """Take 4 GiB, and touch them."""
    bytearray(4096 * MIB)[:: 4 * 1024] = b"x" * MIB


@actor("poison.cpu", isolation="process", cpu_limit=timedelta(seconds=1), retry=SOON)
def cpu(_context: SyncContext, _payload: Nothing) -> None:
    """Burn a core."""
    while True:
        pass


@actor("poison.deaf", isolation="process", timeout=timedelta(seconds=1), retry=SOON)
async def deaf(_context: ActorContext, _payload: Nothing) -> None:
    """Be out of time, and ignore every cancel."""
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3_600)


@actor("poison.block", timeout=timedelta(seconds=0.5), retry=SOON)
async def block(_context: ActorContext, _payload: Nothing) -> None:
    """Block the event loop that it shares with others, beyond its time, and have nothing to show for it."""
    time.sleep(1.5)  # noqa: ASYNC251
    raise RuntimeError("too late")


@actor("poison.result", isolation="process", retry=SOON)
def result(_context: SyncContext, _payload: Nothing) -> Text:
    """Return 100 MB."""
    return Text(text="x" * 100_000_000)


@actor("poison.recursion", isolation="process", retry=SOON)
def recursion(_context: SyncContext, _payload: Nothing) -> None:
    """Call without end, with the interpreter's guard taken away."""
    sys.setrecursionlimit(10**9)
    repr(Abyss())
