"""The advance of a run: what follows from a cause, up to the next wait."""

from __future__ import annotations

from typing import assert_never

from appdb import DbEventType as E
from appdb.models import EventSummary
from appserver.engine.core.acts import take_action
from appserver.engine.core.answers import take_answer
from appserver.engine.core.causes import Act, Answered, Cause, Fired, Look, Signal
from appserver.engine.core.deciding import decided
from appserver.engine.core.decision import Decision
from appserver.engine.core.draft import Draft
from appserver.engine.core.effects import apply_effect, complete_module
from appserver.engine.core.endings import complete_run
from appserver.engine.core.failures import after_error, fail_module
from appserver.engine.core.going_back import resume_left_work
from appserver.engine.core.outside import receive, take_ends, timeout_of
from appserver.engine.core.picture import End, Picture
from appserver.engine.core.place import Place, open_module, open_place, open_step
from appserver.engine.core.questions import is_unanswered
from appserver.engine.core.scope import without_marks
from appserver.engine.core.seen import past_outputs
from appserver.engine.core.turn import begin, turn_of
from appserver.errors import RunEndedError
from appserver.modules.contract import ErrorCode, Fail


def advance(picture: Picture, cause: Cause, *, allow: frozenset[str] = frozenset()) -> Decision:
    """Return what follows for a run from *cause*, computed up to its next wait; pure, and a repetition decides nothing.

    Args:
        picture: What is known of the run.
        cause: Why it is looked at.
        allow: Types of modules that the caller may run although requests may not: a host's own task for them.

    Raises:
        QuestionClosedError: The question that is answered is not open: it is answered otherwise, expired, or undone.
        InvalidAnswerError: The answer does not fit; the question stays open.
        ActionRefusedError: The sub-action that is asked for is not offered now.
        RunEndedError: The run has ended, and the cause is a message or an action.
        InboxFullError: The cause is a message, and the run keeps too many that nobody has taken.
    """
    draft = Draft(picture, allow=allow)
    resume_left_work(draft)
    _take(draft, cause)
    if not draft.needs and draft.state.position.ended is None and not draft.state.position.waiting:
        _take_outside(draft)
        _go_on(draft)
    return draft.finished()


def _take(draft: Draft, cause: Cause) -> None:
    """Write the cause itself into the log, where it belongs there."""
    ended = draft.state.position.ended
    if ended is not None and isinstance(cause, Signal | Act):
        raise RunEndedError(draft.picture.run.id, ended.value)
    match cause:
        case Look():
            pass
        case Fired(timer_id=timer_id):
            draft.ends[timer_id] = End(kind="timer", state="completed")
        case Answered():
            take_answer(draft, cause)
        case Signal():
            receive(draft, cause)
        case Act():
            take_action(draft, cause)
        case _:
            assert_never(cause)


def _take_outside(draft: Draft) -> None:
    place = open_place(draft.picture.definition, draft.state)
    start = None if place is None else place.started(draft.state)
    if place is not None and start is not None and place.error(draft.state) is None:
        take_ends(draft, place, start)


def _go_on(draft: Draft) -> None:
    """Take one turn after the other until the run waits, ends, or the decision is full."""
    definition = draft.picture.definition
    while draft.state.position.ended is None and not draft.cut:
        if draft.is_full:
            draft.cut = True
            return
        step = open_step(definition, draft.state)
        if step is None:
            complete_run(draft)
            return
        place = open_module(step, draft.state)
        if place is None:
            draft.add(E.STEP_COMPLETED, step.id)
        elif not _take_turn(draft, place):
            return


def _take_turn(draft: Draft, place: Place) -> bool:
    """Take the turn of the module that the run is at; return whether the run goes on at once."""
    error, start = place.error(draft.state), place.started(draft.state)
    follows = "none" if error is None else after_error(draft, place, error)
    if follows in ("on", "stop"):
        return follows == "on"
    if start is None or follows == "again":
        begin(draft, place)
        return not (draft.needs or draft.missing)
    if "reused_from" in start.data:
        return _reuse(draft, place, start)
    turn = turn_of(draft, place, start)
    if turn is None:
        return not (draft.needs or draft.missing)
    if (failure := _too_late(draft, place, start)) is not None:
        fail_module(draft, place, start, failure)
        return True
    goes_on = apply_effect(draft, turn, decided(turn.module, turn.inputs, turn.seen))
    return goes_on and not (draft.needs or draft.fork)


def _reuse(draft: Draft, place: Place, start: EventSummary) -> bool:
    """Complete a module with what an earlier completion gave, which had the same inputs."""
    seq: int = start.data["reused_from"]
    outputs = past_outputs(draft, place, seq)
    if draft.needs:
        return False
    if outputs is None:
        fail_module(draft, place, start, _gone(seq))
    else:
        complete_module(draft, place, without_marks(outputs), reused_from=seq)
    return True


def _too_late(draft: Draft, place: Place, start: EventSummary) -> Fail | None:
    """Return the failure of a module whose time is over, or that nobody has answered in time."""
    if draft.state.pending is not None:
        return None
    if timeout_of(draft.state, start) in draft.ends:
        return Fail(
            code=ErrorCode.EXPIRED,
            message=f"module {place.module.id} took longer than {place.module.timeout_seconds or 0:g} s",
            hint="retry it, or give it a longer timeout_seconds in the definition",
        )
    if is_unanswered(draft.state):
        return Fail(
            code=ErrorCode.EXPIRED,
            message=f"nobody answered module {place.module.id} in time",
            hint="retry it, which asks again, or give its question a default in the definition",
        )
    return None


def _gone(seq: int) -> Fail:
    return Fail(
        code=ErrorCode.MISCONFIGURED,
        message=f"event {seq}, whose outputs were to be taken over, is deleted",
        hint="retry the module; it runs by itself then",
    )
