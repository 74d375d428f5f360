"""Events as they are sent: what every client reads alike, and never too large."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from appdb import Task, TaskEvent
from appdb.models import Content
from appserver.api.event_frames import event_frame, snapshot_frame
from appserver.api.schemas.contents import ContentView
from appserver.http.sse import stream_text
from appserver.streams.frames import StreamFrame
from appserver.tasks.worker_presence import WorkerPresence

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLIENTS_REFUSE = 1024 * 1024
NOBODY = WorkerPresence(workers=[], actors={})


def event(data: dict[str, Any], seq: int = 7) -> TaskEvent:
    row = {"_id": f"t:{seq}", "task_id": "t", "seq": seq, "type": "chunk", "attempt": 1, "at": NOW, "data": data}
    return TaskEvent.from_document(row)


def task(**fields: Any) -> Task:
    times = {"created_at": NOW, "updated_at": NOW, "run_at": NOW}
    base = {
        "_id": "t",
        "owner_id": "u",
        "actor": "a",
        "actor_version": 1,
        "queue": "q",
        "payload": {},
        "max_attempts": 1,
    }
    return Task.from_document(base | times | {"state": "processing"} | fields)


def content(number: int) -> ContentView:
    row = {"_id": f"gc_{number}", "owner_id": "u", "task_id": "t", "generation_id": "g", "key": "k", "kind": "text"}
    row |= {"role": "r", "media_type": "text/plain", "filename": "f", "sha256": "0" * 64, "file_id": "f"}
    return ContentView.of(Content.from_document(row | {"size": 1, "attempt": 1, "created_at": NOW}))


def fields_of(frame: StreamFrame) -> dict[str, str]:
    """Read a frame as httpx does, which knows more ends of a line than the standard; each field is there once."""
    lines = frame.text.decode().splitlines()
    assert lines.pop() == ""
    fields = dict(line.split(": ", 1) for line in lines)
    assert len(fields) == len(lines)
    return fields


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_no_character_of_text_ends_line(end: str) -> None:
    data = {"chunks": [f"one{end}two{end}", {f"{end}": end}]}

    fields = fields_of(event_frame(event(data)))

    assert (fields["id"], fields["event"]) == ("7", "chunk")
    assert json.loads(fields["data"])["data"] == data


def test_every_event_has_id_even_first_snapshot() -> None:
    assert fields_of(snapshot_frame(task(), [], NOBODY))["id"] == "-1"
    assert fields_of(snapshot_frame(task(event_count=3), [], NOBODY))["id"] == "2"


async def test_only_first_event_tells_reconnect_time() -> None:
    async def frames() -> AsyncIterator[StreamFrame]:
        yield event_frame(event({}))
        yield event_frame(event({}, seq=8))

    ping, first, second = [text async for text in stream_text(frames())]

    assert ping == b": ping\n"
    assert re.match(rb"retry: [123]\d{3}\nid: 7\nevent: chunk\ndata: {.*}\n\n$", first)
    assert second == event_frame(event({}, seq=8)).text


def test_heaviest_event_stays_below_client_limit() -> None:
    # A control character is one byte in the database and six in JSON.
    assert len(event_frame(event({"chunks": ["\x01" * 64 * 1024]})).text) < CLIENTS_REFUSE


@pytest.mark.parametrize(
    ("fields", "items", "left_out"),
    [
        ({"payload": {"script": "x" * 1_000}}, 3, []),
        ({"payload": {"script": "\x01" * 256 * 1024}}, 3, ["payload"]),
        ({"payload": {"script": "x" * 256 * 1024}, "result": {"text": "ü" * 130 * 1024}}, 3, ["payload"]),
        ({"payload": {"script": "x" * 256 * 1024}, "result": {"text": "\x01" * 256 * 1024}}, 3, ["payload", "result"]),
        ({"payload": {"script": "x"}}, 3_000, ["payload", "result", "contents"]),
    ],
)
def test_too_large_snapshot_omits_retrievable_parts(fields: dict[str, Any], items: int, left_out: list[str]) -> None:
    frame = snapshot_frame(task(**fields), [content(number) for number in range(items)], NOBODY)

    snapshot = json.loads(fields_of(frame)["data"])
    assert len(frame.text) < CLIENTS_REFUSE
    assert snapshot["left_out"] == left_out
    assert all(snapshot[name] is None for name in left_out)
    assert snapshot["id"] == "t"
    assert left_out or (snapshot["payload"] == fields["payload"] and len(snapshot["contents"]) == items)


@pytest.mark.parametrize("data", [{}, {"content_id": None}, {"content_id": {"odd": 1}, "sha256": "0" * 64}])
def test_content_event_without_content_has_no_url(data: dict[str, Any]) -> None:
    row = {"_id": "t:7", "task_id": "t", "seq": 7, "type": "content", "attempt": 1, "at": NOW, "data": data}
    sent = event_frame(TaskEvent.from_document(row))

    assert sent.seq == 7
    assert b'"type":"content"' in sent.text
    assert b'"url"' not in sent.text
