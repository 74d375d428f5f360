"""The text of a task's events and errors, for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from appdb.cli.output import compact, moment, printable
from appdb.events import TaskEventType
from appdb.models.task_events import TaskEvent


def event_line(event: TaskEvent) -> str:
    """Return *event* as one line."""
    # Other types, also those that only a later release knows, show their data as it is.
    tell = _DETAILS.get(event.type)
    details = tell(event.data) if tell else _data(event.data)
    return f"{event.seq:>4}  {moment(event.at)}  {event.type.value:<10} {printable(details)}".rstrip()


def error_text(error: Mapping[str, Any]) -> str:
    """Return why an attempt ended."""
    return printable(f"{error.get('type')}: {error.get('message')}")


def _data(data: Mapping[str, Any]) -> str:
    return compact(data) if data else ""


def _started(data: Mapping[str, Any]) -> str:
    return f"attempt {data.get('attempt')} by worker {data.get('worker_id')}"


def _progress(data: Mapping[str, Any]) -> str:
    return f"{data.get('fraction', 0):.0%} {data.get('message', '')}"


def _retrying(data: Mapping[str, Any]) -> str:
    pause = data.get("delay_seconds", 0)
    return f"attempt {data.get('attempt')}: {error_text(data.get('error') or {})}; again in {pause:.1f} s"


def _failed(data: Mapping[str, Any]) -> str:
    return error_text(data.get("error") or {})


def _chunk(data: Mapping[str, Any]) -> str:
    return compact(data.get("chunks"))


def _by_worker(data: Mapping[str, Any]) -> str:
    return f"by worker {data.get('worker_id')}"


def _nothing(_data: Mapping[str, Any]) -> str:
    return ""


_DETAILS: dict[TaskEventType, Callable[[Mapping[str, Any]], str]] = {
    TaskEventType.STARTED: _started,
    TaskEventType.PROGRESS: _progress,
    TaskEventType.CHUNK: _chunk,
    TaskEventType.RETRYING: _retrying,
    TaskEventType.RELEASED: _by_worker,
    TaskEventType.SUSPENDED: _by_worker,
    TaskEventType.COMPLETED: _nothing,
    TaskEventType.FAILED: _failed,
}
