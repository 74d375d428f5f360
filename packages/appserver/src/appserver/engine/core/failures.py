"""Failures: an error of a module, the engine's own retries, and what a person can still do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from pydantic import JsonValue

from appdb import DbEventType as E
from appdb.models import EventSummary
from appserver.engine.core import engine_tasks, sub_actions
from appserver.engine.core.draft import Draft
from appserver.engine.core.endings import end_with_error
from appserver.engine.core.ids import task_id
from appserver.engine.core.place import Place
from appserver.engine.core.questions import withdraw
from appserver.engine.core.seen import try_of
from appserver.modules.contract import ErrorCode, Fail

WAYS_ON = ("retry", "retry_with_inputs", "jump", "move_version", "cancel")
"""What a person can do about a run that stopped at an error."""
TEMPORARY = frozenset({ErrorCode.RETRYABLE, ErrorCode.RATE_LIMITED})
MAX_MESSAGE = 2_000
MAX_TOLD_PROBLEMS = 20
MAX_POINTER = 500
"""Characters of a pointer: it holds names that people and other modules have given, of any length."""


def fail_module(draft: Draft, place: Place, start: EventSummary, failure: Fail) -> None:
    """Add the error of a module's try: its work stops, and it is tried again later where its definition says so."""
    stop_work(draft, place, start)
    withdraw(draft, "failed")
    data: dict[str, JsonValue] = {"error": error_of(place, start, failure)}
    if (pause := _pause(place, start, failure)) is not None:
        run, seq = draft.picture.run, draft.next_seq
        timer_id, until = task_id(run.id, seq), (draft.picture.now + pause).isoformat()
        data["retry"] = {"timer_id": timer_id, "until": until}
        data["_waiting_on"] = [{"kind": "timer", "id": timer_id, "until": until, "label": "next attempt"}]
        step, module = place.key
        draft.enqueue(engine_tasks.timer(run, timer_id, pause, step=step, module=module))
    draft.add(E.MODULE_ERROR, *place.key, data)


def stop_work(draft: Draft, place: Place, start: EventSummary) -> None:
    """Cancel what a module's try does outside, its timeout included."""
    sub_actions.stop(draft, draft.try_work(place, start).open)
    if (timeout := start.data.get("timeout")) is not None:
        draft.cancel_tasks([timeout["timer_id"]])


def after_error(draft: Draft, place: Place, error: EventSummary) -> Literal["again", "on", "stop"]:
    """Go on after a module's error.

    Returns:
        ``again`` when its pause is over and it is to begin again, ``on`` when it was passed over as its definition
        wants, ``stop`` when its pause is not over, or it has stopped the run.
    """
    retry = error.data.get("retry")
    if retry is not None:
        return "again" if retry["timer_id"] in draft.ends else "stop"
    if place.module.on_error == "skip":
        draft.add(E.MODULE_SKIPPED, *place.key, {"reason": "error", "error": error.data.get("error")})
        return "on"
    end_with_error(draft, place.key, error.data.get("error") or {})
    return "stop"


def error_of(place: Place, start: EventSummary, failure: Fail) -> dict[str, JsonValue]:
    """Return an error as events, streams and pages have it."""
    found: dict[str, JsonValue] = {
        "code": failure.code.value,
        "message": failure.message[:MAX_MESSAGE],
        "hint": failure.hint[:MAX_MESSAGE],
        "at": {"step": place.step, "module": place.module.id, "try": try_of(start)},
        "retryable": failure.code in TEMPORARY,
        "actions": list(WAYS_ON),
    }
    if failure.problems:
        told = failure.problems[:MAX_TOLD_PROBLEMS]
        found["problems"] = [
            {"pointer": one.pointer[:MAX_POINTER], "message": one.message[:MAX_MESSAGE]} for one in told
        ]
    return found


def attempt_of(start: EventSummary) -> int:
    """Return which attempt of the engine within a try a start begins, from 1."""
    attempt = start.data.get("attempt", 1)
    return attempt if isinstance(attempt, int) else 1


def kept_for_retry(draft: Draft, place: Place, start: EventSummary, error: Mapping[str, JsonValue]) -> list[str]:
    """Return the sub-actions that the engine's next attempt keeps: what is done, unless its result was the fault."""
    if error.get("code") == ErrorCode.INVALID_OUTPUT:
        return []
    return draft.try_work(place, start).done


def _pause(place: Place, start: EventSummary, failure: Fail) -> timedelta | None:
    """Return how long the engine waits before another attempt; ``None`` when it makes none."""
    rule, attempt = place.module.retry, attempt_of(start)
    if failure.code.value not in rule.on or attempt >= rule.max_attempts:
        return None
    pause = timedelta(seconds=rule.delay_seconds * rule.backoff ** (attempt - 1))
    return pause if failure.retry_after is None else max(pause, failure.retry_after)
