"""Actors that show the page what it may meet; they run on a worker host, whose environment has no tests in it."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, JsonValue

from appdb.models import ContentKind, NewContent
from appworker import ActorContext, RetryPolicy, actor

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SCRIPT = b"<script>document.title = 'run'</script>"
FILES = {
    "dot.png": (ContentKind.IMAGE, "image/png", PNG),
    "note.txt": (ContentKind.TEXT, "text/plain", "Grüße & <b>more</b>".encode()),
    "page.html": (ContentKind.TEXT, "text/html", SCRIPT),
    "data.json": (ContentKind.TEXT, "application/json", b'{"a": [1, 2]}'),
    "drawing.svg": (ContentKind.IMAGE, "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
}


class Anything(BaseModel):
    """Any payload."""

    model_config = ConfigDict(extra="allow")


class Given(BaseModel):
    """A text and something that is none."""

    text: str
    parts: list[JsonValue]


@actor("various")
async def various(context: ActorContext, payload: Anything) -> Given:  # noqa: ARG001 - any will do
    """Give one of everything."""
    for word in ("Once ", "upon ", "a time"):
        await context.emit({"text": word})
    await context.emit({"tokens": 3, "model": "<i>none</i>"})
    await context.describe(operation="various", provider="test", source_data={})
    for name, (kind, media_type, data) in FILES.items():
        await context.store(
            NewContent(key=name, kind=kind, role="output", media_type=media_type, filename=name, data=data)
        )
    return Given(text="Hello, <b>Ada</b>!", parts=[1, {"two": None}])


@actor("endless", retry=RetryPolicy(first=timedelta(milliseconds=10)))
async def endless(context: ActorContext, payload: Anything) -> None:
    """Report progress until it is cancelled; of its first attempt, nothing but an exception remains."""
    await context.emit({"text": f"attempt {context.attempt}"})
    if context.attempt == 1 and payload.model_dump().get("fails"):
        raise KeyError("hunter2")
    for number in range(100_000):
        await context.progress(min(0.99, number / 1_000), "at it")
        await asyncio.sleep(0.1)
