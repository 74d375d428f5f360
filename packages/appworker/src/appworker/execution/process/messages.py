"""Messages between a worker and an actor's process: results, errors and content items as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from appdb import ConflictError, InvalidDataError, NotFoundError, TooLargeError
from appdb.models import ContentKind, NewContent
from appworker.errors import AppWorkerError, SuspendedError, TaskStoppedError
from appworker.execution.process.frames import KIB, MAX_BLOB_BYTES, to_json
from appworker.execution.results import (
    MAX_MESSAGE_CHARACTERS,
    ActorDone,
    ActorFailed,
    ActorResult,
    ActorStopped,
    ActorSuspended,
    told,
)

MAX_RESULT_BYTES = 512 * KIB
"""As JSON; the database takes less."""

_SHARED_ERRORS: dict[str, type[Exception]] = {
    error.__name__: error
    for error in (
        ConflictError,
        InvalidDataError,
        NotFoundError,
        SuspendedError,
        TaskStoppedError,
        TooLargeError,
        TypeError,
        ValueError,
    )
}
"""Errors that an actor may want to tell apart; all of them are made of JSON arguments."""


def result_to_json(result: ActorResult) -> dict[str, Any]:
    """Return *result* for the worker; a value that is too large to cross becomes a failure that says so."""
    match result:
        case ActorDone(result=value):
            # Here, where the sentence can name the size: the pipe would only break.
            size = len(to_json(value))
            if size <= MAX_RESULT_BYTES:
                return {"is": "done", "result": value}
            too_large = TooLargeError("the actor's result", size, MAX_RESULT_BYTES)
            return _failure(ActorFailed(kind=type(too_large).__name__, message=str(too_large), retry=False))
        case ActorFailed():
            return _failure(result)
        case ActorSuspended():
            return {"is": "suspended"}
        case ActorStopped():
            return {"is": "stopped"}


def _failure(failed: ActorFailed) -> dict[str, Any]:
    return {
        "is": "failed",
        "kind": failed.kind,
        "message": failed.message[:MAX_MESSAGE_CHARACTERS],
        "retry": failed.retry,
        "retry_in": None if failed.retry_in is None else failed.retry_in.total_seconds(),
    }


def result_from_json(found: Mapping[str, Any]) -> ActorResult:
    """Return the result that a process sent."""
    match found["is"]:
        case "done":
            return ActorDone(result=found["result"])
        case "suspended":
            return ActorSuspended()
        case "stopped":
            return ActorStopped()
    pause = found["retry_in"]
    return ActorFailed(
        kind=found["kind"],
        message=found["message"],
        retry=found["retry"],
        retry_in=None if pause is None else timedelta(seconds=pause),
    )


def error_to_json(error: Exception) -> dict[str, Any]:
    """Return *error* for the actor whose call it answers."""
    kind = type(error).__name__
    if kind in _SHARED_ERRORS and all(isinstance(argument, str | int | float) for argument in error.args):
        return {"kind": kind, "arguments": list(error.args)}
    return {"kind": "", "arguments": [f"{kind}: {told(error)}"]}


def error_from_json(found: Mapping[str, Any]) -> Exception:
    """Return the error to raise in the actor."""
    # An error without a class here is still a sentence that the actor's log shows.
    return _SHARED_ERRORS.get(found["kind"], AppWorkerError)(*found["arguments"])


def content_to_json(item: NewContent) -> tuple[dict[str, Any], bytes]:
    """Return *item* for the worker: its fields, and its bytes unless they are in a file, which the worker reads.

    Raises:
        InvalidDataError: The bytes are too many to cross.
    """
    told = {field.name: getattr(item, field.name) for field in fields(item) if field.name != "data"}
    # A worker and its actors' processes are on one machine, so a path is enough.
    if isinstance(item.data, Path):
        return told | {"path": str(item.data.absolute())}, b""
    if len(item.data) > MAX_BLOB_BYTES:
        limit = f"the limit of {MAX_BLOB_BYTES:,} bytes that an actor's process can hand over"
        raise InvalidDataError(item.key, f"{len(item.data):,} bytes are over {limit}; write a file, and store its Path")
    return told, item.data


def content_from_json(told: Mapping[str, Any], blob: bytes) -> NewContent:
    """Return the content item that a process sent."""
    known = dict(told)
    path = known.pop("path", None)
    kind = ContentKind(known.pop("kind"))
    return NewContent(kind=kind, data=blob if path is None else Path(path), **known)
