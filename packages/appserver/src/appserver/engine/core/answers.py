"""Answers to questions: checked, accepted once, and told what became of the question otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json

from appdb import DbEventType as E
from appdb.models import EventSummary
from appserver.engine.core.causes import Answered
from appserver.engine.core.deciding import answer_problems, decided
from appserver.engine.core.decision import Needed, PastAnswer
from appserver.engine.core.draft import Draft
from appserver.engine.core.effects import outputs_problem
from appserver.engine.core.event_sizes import MAX_OUTPUTS_BYTES, problem_of
from appserver.engine.core.place import open_place
from appserver.engine.core.questions import is_over, stop_expiry
from appserver.engine.core.turn import Turn, turn_of
from appserver.errors import AcceptedAnswer, FieldError, InvalidAnswerError, QuestionClosedError
from appserver.modules.contract import Answer, Ask, Done, FieldProblem
from appserver.modules.json_schemas import misfits
from appserver.values.conditions import same

SURELY_FITS_BYTES = 32 * 1024
"""An answer up to this makes no outputs too large by itself."""


def take_answer(draft: Draft, cause: Answered) -> None:
    """Accept an answer; one that was accepted before changes nothing.

    Raises:
        QuestionClosedError: The question is not open, and this is not the answer that it got.
        InvalidAnswerError: The answer does not fit; the question stays open.
    """
    pending = draft.state.pending
    if pending is None or pending.data["interaction_id"] != cause.interaction_id:
        _check_settled(draft, cause)
        return
    if is_over(draft, pending):
        raise QuestionClosedError(cause.interaction_id, "expired")
    problems = _problems(draft, pending, cause.response)
    if draft.needs:
        return
    if draft.state.pending is None:
        raise QuestionClosedError(cause.interaction_id, "undone")
    if problems:
        raise InvalidAnswerError([FieldError(field=one.pointer, message=one.message) for one in problems])
    stop_expiry(draft, pending)
    data: dict[str, JsonValue] = {
        "interaction_id": cause.interaction_id,
        "response": cause.response,
        "by": cause.by,
    }
    draft.add(E.INTERACTION_RESPONSE, pending.step, pending.module, data)


def _problems(draft: Draft, pending: EventSummary, response: JsonValue) -> Sequence[FieldProblem]:
    """Return what is wrong with an answer: by the question as its module asks it now, else as it was asked."""
    if (problem := problem_of({"response": response}, MAX_OUTPUTS_BYTES)) is not None:
        return [_too_large(f"the answer takes {problem}")]
    place = open_place(draft.picture.definition, draft.state)
    start = None if place is None else place.started(draft.state)
    turn = None
    if place is not None and start is not None and draft.module(place.module.type) is not None:
        turn = turn_of(draft, place, start)
    if turn is None:
        return misfits(pending.data.get("schema", {}), response)
    return _by_module(turn, pending, response)


def _by_module(turn: Turn, pending: EventSummary, response: JsonValue) -> Sequence[FieldProblem]:
    schema: Mapping[str, Any] = pending.data.get("schema", {})
    match decided(turn.module, turn.inputs, turn.seen):
        case Ask(question=question):
            schema = question.schema
    problems = misfits(schema, response) or answer_problems(turn.module, turn.inputs, turn.seen, response)
    return problems or _outcome_problems(turn, pending, response)


def _outcome_problems(turn: Turn, pending: EventSummary, response: JsonValue) -> Sequence[FieldProblem]:
    """Return why a large answer would only fail its module: what that gives of it is too large for the log."""
    if len(to_json(response)) <= SURELY_FITS_BYTES:
        return ()
    answer = Answer(interaction_id=str(pending.data["interaction_id"]), response=response)
    seen = replace(turn.seen, answers=(*turn.seen.answers, answer))
    match decided(turn.module, turn.inputs, seen):
        case Done() as done if (problem := outputs_problem(turn, done)) is not None:
            return [_too_large(problem)]
    return ()


def _too_large(problem: str) -> FieldProblem:
    return FieldProblem(pointer="", message=f"{problem}; give less, or store it as content and give its id")


def _check_settled(draft: Draft, cause: Answered) -> None:
    """Check that the question got this very answer; of one that is settled for long, that is looked up."""
    known = draft.state.responses.get(cause.interaction_id)
    if known is not None:
        _check_same(cause, known.type.value, known.data, known.created_at)
        return
    key = f"~answer/{cause.interaction_id}"
    if key not in draft.picture.loaded:
        request = PastAnswer(interaction_id=cause.interaction_id)
        draft.needs.append(Needed(key=key, step="", module="", request=request))
        return
    found = draft.picture.loaded[key]
    if not isinstance(found, Mapping):
        raise QuestionClosedError(cause.interaction_id, "undone")
    _check_same(cause, str(found["type"]), found, datetime.fromisoformat(str(found["at"])))


def _check_same(cause: Answered, type_: str, data: Mapping[str, Any], at: datetime) -> None:
    accepted = None
    if "response" in data:
        accepted = AcceptedAnswer(response=data["response"], by=str(data.get("by", "")), at=at)
    if type_ == E.INTERACTION_RESPONSE:
        if accepted is not None and same(accepted.response, cause.response):
            return
        raise QuestionClosedError(cause.interaction_id, "answered", accepted)
    expired = data.get("reason", "expired") == "expired"
    raise QuestionClosedError(cause.interaction_id, "expired" if expired else "undone", accepted)
