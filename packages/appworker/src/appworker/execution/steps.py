"""Steps: work that is done once over all attempts of a task, wherever its actor runs."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable

from pydantic import JsonValue

from appdb import InvalidDataError
from appdb.host import MAX_STEP_BYTES, check_key, check_size
from appworker.errors import DiscardError
from appworker.execution.executor_context import ExecutorContext


async def take_step(
    context: ExecutorContext, key: str, work: Callable[[], Awaitable[JsonValue] | JsonValue]
) -> JsonValue:
    """Run *work* unless an attempt has finished the step *key*, and return what it gave, now or then.

    Raises:
        InvalidDataError: The key cannot name a step; nothing was run.
        DiscardError: What *work* returned cannot be remembered: it would be done, and paid for, again and again.
        TaskStoppedError: The attempt must end.
    """
    check_key(key)
    known, value = await context.get_step(key)
    if not known:
        made = work()
        value = as_json(key, await made if inspect.isawaitable(made) else made)
        await save_step(context, key, value)
    return value


async def save_step(context: ExecutorContext, key: str, value: JsonValue) -> None:
    """Keep what the step *key* gave; the attempt ends for good where the database does not take it."""
    try:
        await context.save_step(key, value)
    except InvalidDataError as exc:
        raise _discarded(key, exc) from exc
    # After the write: the step is saved if the lease still holds, and the attempt ends all the same.
    context.check_cancelled()


def as_json(key: str, value: object) -> JsonValue:
    """Return *value* as later attempts get it: JSON, and small enough.

    Raises:
        DiscardError: It is no JSON, or too large.
    """
    try:
        # The copy is what later attempts get: a tuple is a list also in the first one.
        plain: JsonValue = json.loads(json.dumps(value))
        check_size(f"value of step {key!r}", {"value": plain}, MAX_STEP_BYTES)
    except (InvalidDataError, TypeError, ValueError, RecursionError) as exc:
        raise _discarded(key, exc) from exc
    return plain


def _discarded(key: str, error: Exception) -> DiscardError:
    return DiscardError(f"step {key!r} was done, and what it returned cannot be remembered: {error}")
