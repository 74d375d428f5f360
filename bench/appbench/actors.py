"""Actors that do next to nothing, for measuring all that is not the actor."""

from __future__ import annotations

import asyncio
import gc
import sys
import time

from pydantic import BaseModel

from appworker import ActorContext, actor


class Nothing(BaseModel):
    """No input."""


class Begun(BaseModel):
    """Time at which the actor's first line ran, by this host's clock."""

    at: float


@actor("bench.noop")
async def noop(_context: ActorContext, _payload: Nothing) -> Begun:
    """Do nothing, and tell when."""
    return Begun(at=time.time())


class Speech(BaseModel):
    """A text of so many chunks, with a pause after each."""

    chunks: int
    pause_seconds: float


@actor("bench.speak")
async def speak(context: ActorContext, payload: Speech) -> None:
    """Emit numbered chunks that tell when they were emitted."""
    for number in range(payload.chunks):
        await context.emit({"number": number, "at": time.time()})
        if payload.pause_seconds:
            await asyncio.sleep(payload.pause_seconds)


class Blocks(BaseModel):
    """Number of memory blocks that Python holds in this process."""

    count: int


@actor("bench.blocks")
async def blocks(_context: ActorContext, _payload: Nothing) -> Blocks:
    """Count what is really in use, which memory that was only freed and kept for later is not."""
    gc.collect()
    return Blocks(count=sys.getallocatedblocks())
