"""Questions in the log: asked, replaced, withdrawn."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from appdb import DbEventType as E
from appdb.models import EventSummary, RunState
from appserver.engine.core import engine_tasks
from appserver.engine.core.draft import Draft
from appserver.engine.core.event_sizes import MAX_LABEL, problem_of
from appserver.engine.core.ids import interaction_id, task_id
from appserver.engine.core.place import Place
from appserver.modules.contract import ErrorCode, Fail, Question
from appserver.values.conditions import same

EXPIRED = "expired"
"""Why a question is settled that nobody has answered in time."""
MAX_QUESTION_BYTES = 200 * 1024
_SAID = ("kind", "title", "message", "schema", "data", "ui", "default", "by_link", "actions")


def ask(draft: Draft, place: Place, question: Question) -> Fail | None:
    """Ask, unless the same question is open; another open question of the module is replaced.

    Returns:
        Why it cannot be asked, or nothing.
    """
    said = _said(question)
    if (problem := problem_of(said, MAX_QUESTION_BYTES)) is not None:
        return Fail(
            code=ErrorCode.MISCONFIGURED,
            message=f"the question of module {place.module.id} takes {problem}",
            hint="show less, or refer to files and contents by their ids",
        )
    if (pending := draft.state.pending) is not None:
        if same({name: pending.data.get(name) for name in _SAID}, said):
            return None
        withdraw(draft, "replaced")
    seq, run = draft.next_seq, draft.picture.run
    asked = interaction_id(run.id, seq)
    wait: dict[str, JsonValue] = {"kind": "interaction", "id": asked, "label": question.title[:MAX_LABEL]}
    data: dict[str, JsonValue] = {"interaction_id": asked, **said}
    if (open_for := _open_for(place, question)) is not None:
        timer_id, until = task_id(run.id, seq), (draft.picture.now + open_for).isoformat()
        data |= {"timer_id": timer_id, "expires_at": until}
        wait["until"] = until
        step, module = place.key
        draft.enqueue(engine_tasks.timer(run, timer_id, open_for, step=step, module=module, interaction_id=asked))
    draft.add(E.INTERACTION_REQUESTED, *place.key, {**data, "_waiting_on": [wait]})
    return None


def withdraw(draft: Draft, reason: str) -> None:
    """Settle the open question without an answer, if there is one: it is not needed any more."""
    pending = draft.state.pending
    if pending is None:
        return
    stop_expiry(draft, pending)
    asked = str(pending.data["interaction_id"])
    draft.add(E.INTERACTION_EXPIRED, pending.step, pending.module, {"interaction_id": asked, "reason": reason})


def stop_expiry(draft: Draft, pending: EventSummary) -> None:
    """Cancel the timer of a question that is settled, unless it has fired."""
    if (timer_id := pending.data.get("timer_id")) is not None and timer_id not in draft.ends:
        draft.cancel_tasks([timer_id])


def is_over(draft: Draft, pending: EventSummary) -> bool:
    """Return whether the question's time is over, by the database's clock, though its timer may not have fired yet."""
    if pending.data.get("timer_id") in draft.ends:
        return True
    until = pending.data.get("expires_at")
    return until is not None and draft.picture.now >= datetime.fromisoformat(until)


def expire(draft: Draft, pending: EventSummary) -> None:
    """Settle the open question since its time is over; its default counts as the answer, where it has one."""
    stop_expiry(draft, pending)
    data: dict[str, JsonValue] = {"interaction_id": pending.data["interaction_id"], "reason": EXPIRED}
    if (default := pending.data.get("default")) is not None:
        data["response"] = default
    draft.add(E.INTERACTION_EXPIRED, pending.step, pending.module, data)


def is_unanswered(state: RunState) -> bool:
    """Return whether the last question of the open module has expired, and has no default that counts."""
    last = next(reversed(list(state.responses.values())), None)
    return last is not None and last.data.get("reason") == EXPIRED and "response" not in last.data


def _said(question: Question) -> Mapping[str, Any]:
    said = {name: getattr(question, name) for name in _SAID}
    plain: Mapping[str, Any] = to_jsonable_python(said)
    return plain


def _open_for(place: Place, question: Question) -> timedelta | None:
    """Return how long a question stays open: a module's timeout counts for each of its questions by itself."""
    limit = place.module.timeout_seconds
    spans = [span for span in (question.expires_in, None if limit is None else timedelta(seconds=limit)) if span]
    return min(spans, default=None)
