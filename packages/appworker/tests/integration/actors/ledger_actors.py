"""Actors of every isolation that record usage and write files for what they work for."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel

from appdb.models import CallUsage, ContentKind, FileFormat, NewContent, TaskFile
from appworker import ActorContext, SyncContext, actor

CALL = CallUsage(provider="local", model="small", operation="chat", cost=Decimal("0.000000000001"), input_tokens=7)
NOTE = TaskFile(name="note.json", content={"a": [1, "é", None]}, format=FileFormat.JSON, metadata={"by": "ledger"})
ITEM = NewContent(
    key="text", kind=ContentKind.TEXT, role="text", media_type="text/plain", filename="f.txt", data=b"hello"
)


class Nothing(BaseModel):
    """No input."""


class Origins(BaseModel):
    """What the actor was told that it works for."""

    origin: dict[str, str | None]


async def _work(context: ActorContext) -> Origins:
    await context.record_usage("call", CALL)
    await context.store_file(NOTE)
    content_id = await context.store(ITEM)
    with tempfile.TemporaryDirectory() as folder:
        await context.read_content(content_id, Path(folder) / "read")
        assert (Path(folder) / "read").read_bytes() == ITEM.data
    return Origins(origin=asdict(context.origin))


def _work_plainly(context: SyncContext) -> Origins:
    context.record_usage("call", CALL)
    context.store_file(NOTE)
    content_id = context.store(ITEM)
    with tempfile.TemporaryDirectory() as folder:
        context.read_content(content_id, Path(folder) / "read")
        assert (Path(folder) / "read").read_bytes() == ITEM.data
    return Origins(origin=asdict(context.origin))


@actor("ledger.async")
async def shared(context: ActorContext, _payload: Nothing) -> Origins:
    """Do it on the shared event loop."""
    return await _work(context)


@actor("ledger.thread", isolation="thread")
async def threaded(context: ActorContext, _payload: Nothing) -> Origins:
    """Do it in a thread of its own."""
    return await _work(context)


@actor("ledger.process", isolation="process")
async def isolated(context: ActorContext, _payload: Nothing) -> Origins:
    """Do it in a process of its own."""
    return await _work(context)


@actor("ledger.plain")
def plain(context: SyncContext, _payload: Nothing) -> Origins:
    """Do it without an event loop."""
    return _work_plainly(context)


@actor("ledger.plain_process", isolation="process")
def plain_isolated(context: SyncContext, _payload: Nothing) -> Origins:
    """Do it in a process of its own, without an event loop."""
    return _work_plainly(context)
