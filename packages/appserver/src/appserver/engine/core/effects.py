"""Effects of modules, written down: one function for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import JsonValue, ValidationError
from pydantic_core import to_json

from appdb import DbEventType as E
from appserver.engine.core import sub_actions
from appserver.engine.core.calls import NO_MORE, More, start_child, start_signal, start_task, start_timer
from appserver.engine.core.decision import ModuleWrite, Needed
from appserver.engine.core.draft import Draft
from appserver.engine.core.event_sizes import MAX_OUTPUTS_BYTES, problem_of
from appserver.engine.core.failures import fail_module, stop_work
from appserver.engine.core.going_back import go_back
from appserver.engine.core.inputs import misfit
from appserver.engine.core.items import start_item
from appserver.engine.core.kept_work import DONE_WITH, digest_of_values
from appserver.engine.core.outside import take_refused, take_signals
from appserver.engine.core.place import Place
from appserver.engine.core.questions import ask, withdraw
from appserver.engine.core.scope import REUSED_FROM
from appserver.engine.core.try_work import name_of
from appserver.engine.core.turn import Turn
from appserver.modules.contract import (
    Ask,
    Await,
    Call,
    ChildCall,
    Done,
    Effect,
    ErrorCode,
    Fail,
    GoBack,
    ItemCall,
    Load,
    SaveFile,
    SignalCall,
    TaskCall,
    TimerCall,
)
from appserver.values.scope import NOTHING, lookup

MAX_FILE_BYTES = 8 * 1024 * 1024
"""Of a file that a module saves, as JSON; it is written in the transaction of the completion."""
STOPPED: Mapping[str, JsonValue] = {
    "code": ErrorCode.CANCELLED.value,
    "message": "it was not needed any more",
    "retryable": False,
}


def apply_effect(draft: Draft, turn: Turn, effect: Effect) -> bool:
    """Write an effect down; return whether the run goes on at once, and does not wait."""
    write = _WRITERS.get(type(effect))
    if write is None:
        # Modules of other packages may return anything.
        return _fail(draft, turn, _bug(turn, f"returned {type(effect).__name__}, which is no effect"))
    return write(draft, turn, effect)


def _fail(draft: Draft, turn: Turn, failure: Fail) -> bool:
    fail_module(draft, turn.place, turn.start, failure)
    return True


def _complete(draft: Draft, turn: Turn, done: Done) -> bool:
    try:
        plain = _plain(turn, done)
    except ValidationError as exc:
        message = f"outputs of {turn.module.type} do not fit"
        return _fail(draft, turn, misfit(ErrorCode.INVALID_OUTPUT, message, "this is a mistake of the module", exc))
    if (problem := _size_problem(turn, plain)) is not None:
        name = turn.place.module.id
        failure = Fail(
            code=ErrorCode.INVALID_OUTPUT,
            message=problem,
            hint=f"let {name} give less: save what is large as a file with io.save, or store it as content, and go on "
            "with its name or id",
        )
        return _fail(draft, turn, failure)
    if (too_large := _too_large_file(turn, done)) is not None:
        return _fail(draft, turn, too_large)
    stop_work(draft, turn.place, turn.start)
    withdraw(draft, "not needed")
    step, module = turn.place.key
    for write in done.writes:
        draft.write(ModuleWrite(step=step, module=module, write=write))
    complete_module(draft, turn.place, plain)
    return True


def _too_large_file(turn: Turn, done: Done) -> Fail | None:
    """Return that a module saves a file that the transaction of its completion could not hold."""
    sizes = {one.name: len(to_json(one.content)) for one in done.writes if isinstance(one, SaveFile)}
    name = max(sizes, key=sizes.__getitem__, default="")
    if not sizes or sizes[name] <= MAX_FILE_BYTES:
        return None
    what = f"file {name!r} of module {turn.place.module.id} ({turn.module.type})"
    return Fail(
        code=ErrorCode.INVALID_OUTPUT,
        message=f"{what} takes {sizes[name]:,} bytes, and {MAX_FILE_BYTES:,} are allowed",
        hint="store what is large as content, by a task, and save its id",
    )


def outputs_problem(turn: Turn, done: Done) -> str | None:
    """Return why outputs are too large for the log; ``None`` when they are not, or are no outputs of the module."""
    try:
        plain = _plain(turn, done)
    except ValidationError:
        return None
    return _size_problem(turn, plain)


def _plain(turn: Turn, done: Done) -> dict[str, Any]:
    return turn.module.Outputs.model_validate(dict(done.outputs)).model_dump(mode="json", by_alias=True)


def _size_problem(turn: Turn, plain: Mapping[str, Any]) -> str | None:
    problem = problem_of(_completion(turn.place, plain), MAX_OUTPUTS_BYTES)
    what = f"outputs of module {turn.place.module.id} ({turn.module.type}), with what has a name in the state,"
    return None if problem is None else f"{what} take {problem}"


def complete_module(draft: Draft, place: Place, outputs: Mapping[str, Any], reused_from: int | None = None) -> None:
    """Add a module's completion with its outputs, and those that have a name in the run's state."""
    data = _completion(place, outputs)
    if reused_from is not None:
        data[REUSED_FROM] = reused_from
    draft.add(E.MODULE_COMPLETED, *place.key, data)


def _completion(place: Place, outputs: Mapping[str, Any]) -> dict[str, JsonValue]:
    named = {name: lookup(outputs, path) for name, path in place.module.out.items()}
    data: dict[str, JsonValue] = dict(outputs)
    if named:
        data["_state_mapped"] = {name: value for name, value in named.items() if value is not NOTHING}
    return data


def _ask(draft: Draft, turn: Turn, effect: Ask) -> bool:
    problem = ask(draft, turn.place, effect.question)
    return problem is not None and _fail(draft, turn, problem)


def _await(draft: Draft, turn: Turn, effect: Await) -> bool:
    withdraw(draft, "not needed")
    return start_work(draft, turn, effect)


def start_work(draft: Draft, turn: Turn, effect: Await, more: More = NO_MORE) -> bool:
    """Start the calls that were not started in this try, and stop what is not needed; return whether some have ended.

    Where more is to be started than one decision holds, the draft says that it was cut.

    Args:
        draft: The decision.
        turn: The module's turn.
        effect: What it wants.
        more: What is said beside each start in the log.
    """
    place, start = turn.place, turn.start
    stopped = _stop(draft, turn, effect)
    for call in effect.calls:
        if call.key in turn.seen.work:
            continue
        if draft.is_full:
            draft.cut = True
            return False
        _start(draft, turn, call, more)
    refused = take_refused(draft, place, start)
    if take_signals(draft, place, start) or refused or stopped:
        return True
    if not draft.cut and not draft.try_work(place, start).open and draft.state.pending is None:
        return _fail(draft, turn, _bug(turn, "waits, and nothing that it waits for is open"))
    return False


def _stop(draft: Draft, turn: Turn, effect: Await) -> bool:
    """Stop the calls that are not needed any more; return whether one was open."""
    names = {name_of(turn.place, key) for key in effect.stop}
    stopped = [sub for sub in draft.try_work(turn.place, turn.start).open if sub.id in names]
    sub_actions.stop(draft, stopped)
    for sub in stopped:
        sub_actions.fail(draft, turn.place, sub.id, STOPPED)
    return bool(stopped)


def _start(draft: Draft, turn: Turn, call: Call, more: More) -> None:
    place = turn.place
    match call:
        case TaskCall():
            start_task(draft, place, call, more)
        case ItemCall():
            start_item(draft, place, call, turn.seen.number, {**more, DONE_WITH: digest_of_values(call.values)})
        case ChildCall():
            start_child(draft, place, call, {**more, DONE_WITH: digest_of_values(call.values)})
        case TimerCall():
            start_timer(draft, place, call, more)
        case SignalCall():
            start_signal(draft, place, call, more)


def _load(draft: Draft, turn: Turn, effect: Load) -> bool:
    """Ask for what is not loaded yet; a module that asks again for what it has been given is wrong."""
    step, module = turn.place.key
    missing = [one for one in effect.requests if one.key not in turn.seen.loaded]
    if not missing:
        return _fail(draft, turn, _bug(turn, "asks for data that it has been given"))
    if draft.has_writes:
        # What modules before it write in this decision is stored first, since this one may want to read it.
        draft.cut = True
        return False
    draft.needs += [Needed(key=f"{module}/{one.key}", step=step, module=module, request=one) for one in missing]
    return False


def _go_back(draft: Draft, turn: Turn, effect: GoBack) -> bool:
    if not turn.seen.answers and not turn.seen.work:
        # Else it would go back for ever, with nobody to stop it.
        return _fail(draft, turn, _bug(turn, "goes back, and nothing has happened that it could answer"))
    problem = go_back(draft, turn.place, effect)
    return True if problem is None else _fail(draft, turn, problem)


def _bug(turn: Turn, problem: str) -> Fail:
    return Fail(code=ErrorCode.BUG, message=f"{turn.module.type} {problem}", hint="this is a mistake of the module")


_WRITERS: Mapping[type, Callable[[Draft, Turn, Any], bool]] = {
    Done: _complete,
    Ask: _ask,
    Await: _await,
    Load: _load,
    GoBack: _go_back,
    Fail: _fail,
}
