"""Following: the events of a stream, and what a story requires of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2


class StoryError(Exception):
    """Something in the story was not as promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One Server-Sent Event."""

    id: str | None
    type: str
    data: Any


def read_stream(client: httpx2.Client, path: str, last_event_id: str | None) -> Iterator[Event]:
    """Yield the events of a task's or a run's stream after *last_event_id*, or from a snapshot on, until it ends."""
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    with client.stream("GET", f"{path}/stream", headers=headers) as answer:
        answer.raise_for_status()
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
                continue
            if "data" in fields:
                yield Event(id=fields.get("id"), type=fields.get("event", ""), data=json.loads(fields["data"]))
            fields = {}


def require(holds: bool, otherwise: str) -> None:
    """Say that the story broke unless *holds*."""
    if not holds:
        raise StoryError(otherwise)
