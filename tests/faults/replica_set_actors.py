"""Actors for the fault tests: they work steadily while something breaks."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel

from appdb.models import ContentKind, NewContent
from appworker import ActorContext, actor

STEPS = 20


class Work(BaseModel):
    """Work for a probe actor."""

    seconds: float = 0
    kibibytes: int = 0


class Done(BaseModel):
    """Result of a probe actor."""

    steps: int


@actor("steady", timeout=timedelta(seconds=120))
async def steady(context: ActorContext, payload: Work) -> Done:
    """Emit numbers at an even pace."""
    for step in range(STEPS):
        await context.emit({"step": step})
        await asyncio.sleep(payload.seconds / STEPS)
    return Done(steps=STEPS)


@actor("filing", timeout=timedelta(seconds=60))
async def filing(context: ActorContext, payload: Work) -> Done:
    """Write a file to the temporary folder, and store it."""
    await context.describe(operation="faults", provider="faults", source_data={})
    with TemporaryDirectory() as folder:
        file = Path(folder) / "made.bin"
        file.write_bytes(bytes(payload.kibibytes * 1024))
        await context.store(
            NewContent(
                key="made",
                kind=ContentKind.TEXT,
                role="text",
                media_type="text/plain",
                filename="made.txt",
                data=file,
                index=0,
            )
        )
    return Done(steps=1)
