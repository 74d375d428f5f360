"""Messages between a worker and an actor's process: results, errors, and what an actor stores, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from appdb import ConflictError, InvalidDataError, NotFoundError, TooLargeError
from appdb.models import CallUsage, ContentKind, FileCategory, FileFormat, FileRole, NewContent, TaskFile
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

AMOUNTS = frozenset({"cost", "units"})
"""The fields of a usage that are decimals."""

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


def file_to_json(file: TaskFile) -> tuple[dict[str, Any], bytes]:
    """Return *file* for the worker: its fields, and its content as the bytes of JSON.

    Raises:
        InvalidDataError: The content is no JSON, or too large to cross.
    """
    told = {field.name: getattr(file, field.name) for field in fields(file) if field.name != "content"}
    try:
        content = json.dumps(file.content, allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError) as exc:
        raise InvalidDataError(f"content of {file.name!r}", f"cannot be stored: {exc}") from exc
    if len(content) > MAX_BLOB_BYTES:
        raise TooLargeError(f"content of {file.name!r}", len(content), MAX_BLOB_BYTES)
    return told, content


def file_from_json(told: Mapping[str, Any], blob: bytes) -> TaskFile:
    """Return the run file that a process sent."""
    known = dict(told)
    category, form, role = FileCategory(known.pop("category")), FileFormat(known.pop("format")), known.pop("role")
    return TaskFile(
        content=json.loads(blob),
        category=category,
        format=form,
        role=None if role is None else FileRole(role),
        **known,
    )


def usage_to_json(usage: CallUsage) -> dict[str, Any]:
    """Return *usage* for the worker; its decimals are text, since a number would lose digits.

    Raises:
        InvalidDataError: An amount is no ``Decimal``.
    """
    told = {field.name: getattr(usage, field.name) for field in fields(usage)}
    for name in AMOUNTS:
        # Here, since a float would cross as text, and be taken for exact on the other side.
        if not isinstance(told[name], Decimal):
            raise InvalidDataError(name, "give a Decimal, since a float is not exact")
        told[name] = str(told[name])
    return told


def usage_from_json(told: Mapping[str, Any]) -> CallUsage:
    """Return the usage that a process sent.

    Raises:
        InvalidDataError: An amount is no number.
    """
    amounts = {name: _amount(name, told[name]) for name in AMOUNTS}
    known: dict[str, Any] = {**told, **amounts}
    return CallUsage(**known)


def _amount(name: str, value: object) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation as exc:
        raise InvalidDataError(name, "give a Decimal") from exc
