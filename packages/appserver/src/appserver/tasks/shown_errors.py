"""Shown errors: the part of a task's error that its owner may read (decision record 0021).

The rest is for operators: the worker's log and ``appdb tasks`` tell it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from appdb.models import TaskError

MEANT_FOR_USERS = frozenset({"Discarded", "RetryLater", "InvalidPayload"})
"""Errors that an actor words for users: ``DiscardError``, ``RetryLaterError``, and a payload that does not fit."""
OUR_OWN = {
    "Expired": "No worker took it in time.",
    "LeaseExpired": "The worker that was at it has stopped.",
    "Timeout": "It took longer than one attempt may take.",
}
TOO_LARGE = "TooLargeError"
"""A worker's word for what an actor gave and no task can hold; of its text only the numbers are told."""
SIZES = re.compile(r"([0-9][0-9,]*) bytes is over the limit of ([0-9][0-9,]*) bytes")
UNEXPECTED = "Unexpected"


def shown_error(error: TaskError, task_id: str) -> TaskError:
    """Return *error* as the owner of the task reads it.

    The text of any other exception may hold addresses, keys or other people's data, so the id stands for it.
    """
    kind, message = _told(error.type, error.message, task_id, error.attempt)
    return error.model_copy(update={"type": kind, "message": message})


def shown_data(data: Mapping[str, Any], task_id: str) -> dict[str, Any]:
    """Return the data of an event with its error, if it has one, as the owner of the task reads it."""
    error = data.get("error")
    if not isinstance(error, dict):
        return dict(data)
    kind, message = _told(str(error.get("type")), str(error.get("message")), task_id, error.get("attempt"))
    return {**data, "error": {**error, "type": kind, "message": message}}


def _told(kind: str, message: str, task_id: str, attempt: object) -> tuple[str, str]:
    if kind in MEANT_FOR_USERS:
        return kind, message
    if kind in OUR_OWN:
        return kind, OUR_OWN[kind]
    if kind == TOO_LARGE and (sizes := SIZES.search(message)) is not None:
        return kind, f"It gave {sizes[1]} bytes at once, and {sizes[2]} are allowed."
    return (
        UNEXPECTED,
        f"Something went wrong that was not foreseen. The operator finds it as {task_id}, attempt {attempt}.",
    )
