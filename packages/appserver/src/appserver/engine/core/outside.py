"""Happenings outside of the log: ends of tasks, child runs and timers, and messages, are written into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json

from appdb import DbEventType as E
from appdb.models import EventSummary, RunState, SubAction
from appserver.engine.core.causes import Signal
from appserver.engine.core.draft import Draft
from appserver.engine.core.event_sizes import MAX_OUTPUTS_BYTES, problem_of
from appserver.engine.core.failures import error_of
from appserver.engine.core.items import ITEM, outputs_of_item
from appserver.engine.core.picture import End
from appserver.engine.core.place import Place
from appserver.engine.core.questions import expire, is_over
from appserver.engine.core.seen import try_of
from appserver.engine.core.sub_actions import REFUSED, complete, fail
from appserver.errors import FieldError, InboxFullError, InvalidAnswerError
from appserver.modules.contract import ErrorCode, Fail

MAX_RESULT_BYTES = 64 * 1024
MAX_KEPT = 100
MAX_KEPT_BYTES = 1024 * 1024
"""Of messages that nobody has taken yet: they are read with the run each time."""
LOST: Mapping[str, JsonValue] = {
    "code": ErrorCode.CANCELLED.value,
    "message": "it was cancelled",
    "hint": "retry the module",
    "retryable": False,
}


def take_ends(draft: Draft, place: Place, start: EventSummary) -> None:
    """Add the ends of tasks, child runs and timers that the module waits for, and nothing that is not its own."""
    pending = draft.state.pending
    timeout = timeout_of(draft.state, start)
    if pending is not None and timeout in draft.ends:
        # A person has the time of the question; the module's own counts no more.
        draft.add(E.TIMER_FIRED, *place.key, {"timer_id": timeout})
    if pending is not None and is_over(draft, pending):
        expire(draft, pending)
    for sub in draft.try_work(place, start).open:
        end = draft.ends.get(str(sub.started.data["id"]))
        if end is not None and sub.started.data["kind"] != "signal":
            if draft.room == 0:
                draft.cut = True
                return
            _take_end(draft, place, start, sub, end)


def timeout_of(state: RunState, start: EventSummary) -> str | None:
    """Return the timer of a module's whole work, while it counts."""
    if (timeout := start.data.get("timeout")) is None:
        return None
    timer_id: str = timeout["timer_id"]
    return timer_id if any(wait.id == timer_id for wait in state.waiting_on) else None


def take_refused(draft: Draft, place: Place, start: EventSummary) -> bool:
    """End the sub-actions that cannot be done; return whether there was one."""
    refused = [sub for sub in draft.try_work(place, start).open if REFUSED in sub.started.data]
    for sub in refused:
        fail(draft, place, sub.id, sub.started.data[REFUSED])
    return bool(refused)


def take_signals(draft: Draft, place: Place, start: EventSummary) -> bool:
    """Give messages of the inbox to the waits for them, in order; return whether there was one."""
    inbox = list(draft.state.signals)
    taken = False
    for sub in draft.try_work(place, start).open:
        if sub.started.data["kind"] != "signal":
            continue
        message = next((one for one in inbox if one.data["name"] == sub.started.data["id"]), None)
        if message is not None:
            inbox.remove(message)
            result = {"payload": message.data.get("payload"), "signal_id": message.data["signal_id"]}
            complete(draft, place, sub.id, result, [str(message.data["signal_id"])])
            taken = True
    return taken


def receive(draft: Draft, cause: Signal) -> None:
    """Put a message into the inbox, unless it is there or was taken.

    Raises:
        InvalidAnswerError: The message is too large.
        InboxFullError: The run keeps too many messages that it has not waited for yet.
    """
    if (problem := problem_of({"payload": cause.payload}, MAX_OUTPUTS_BYTES)) is not None:
        message = f"the message takes {problem}; send less, or store it as content and send its id"
        raise InvalidAnswerError([FieldError(field="/payload", message=message)])
    inbox = (one.data.get("signal_id") for one in draft.state.signals)
    taken = (sub.ended.data.get("_takes", ()) for sub in draft.state.sub_actions.values() if sub.ended is not None)
    if cause.signal_id in inbox or any(cause.signal_id in one for one in taken):
        return
    data: dict[str, JsonValue] = {"name": cause.name, "signal_id": cause.signal_id, "payload": cause.payload}
    kept = [one.data for one in draft.state.signals]
    if len(kept) >= MAX_KEPT or len(to_json([*kept, data])) > MAX_KEPT_BYTES:
        raise InboxFullError(draft.picture.run.id, len(kept))
    draft.add(E.SIGNAL_RECEIVED, data=data)


def _take_end(draft: Draft, place: Place, start: EventSummary, sub: SubAction, end: End) -> None:
    if sub.started.data["kind"] == "timer":
        complete(draft, place, sub.id, {"fired": True})
        return
    if end.state != "completed":
        fail(draft, place, sub.id, end.error or LOST)
        return
    result = _result(draft, place, start, sub.started.data, end.result)
    if isinstance(result, Fail):
        fail(draft, place, sub.id, error_of(place, start, result))
    else:
        complete(draft, place, sub.id, result)


def _result(
    draft: Draft, place: Place, start: EventSummary, started: Mapping[str, Any], result: JsonValue
) -> JsonValue | Fail:
    if ITEM in started:
        outputs = outputs_of_item(draft, place, started, result, try_of(start))
        if isinstance(outputs, Fail):
            return outputs
        result = dict(outputs)
    problem = problem_of({"result": result}, MAX_RESULT_BYTES)
    return result if problem is None else _too_large(place, started, problem)


def _too_large(place: Place, started: Mapping[str, Any], problem: str) -> Fail:
    if started["kind"] == "child":
        hint = "let its modules give less: save what is large as a file with io.save, and give its name"
    else:
        hint = f"let actor {started.get('actor')} store what is large, and give its id"
    return Fail(
        code=ErrorCode.INVALID_OUTPUT,
        message=f"the result for module {place.module.id} takes {problem}",
        hint=hint,
    )
