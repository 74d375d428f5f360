"""Calls of a module: tasks, child runs, timers and messages are started as sub-actions, each once in a try."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import JsonValue
from pydantic_core import to_json

from appdb import DbEventType as E
from appdb import NewTask
from appserver.engine.core import engine_tasks
from appserver.engine.core.children import beginning_of, child_of
from appserver.engine.core.draft import Draft
from appserver.engine.core.event_sizes import MAX_LABEL, problem_of
from appserver.engine.core.ids import child_id, task_id
from appserver.engine.core.place import Place
from appserver.engine.core.sub_actions import REFUSED
from appserver.engine.core.try_work import name_of
from appserver.modules.contract import Call, ChildCall, ErrorCode, SignalCall, TaskCall, TimerCall

MAX_PAYLOAD_BYTES = 200 * 1024
More = Mapping[str, JsonValue]
NO_MORE: More = {}
MAX_ANCESTORS = 10
"""Runs that a child run may be a part of: a workflow whose child is itself would go on for ever."""


def start_task(draft: Draft, place: Place, call: TaskCall, more: More = NO_MORE) -> None:
    """Start a task for a worker; *more* is said beside it in its first event."""
    run = draft.picture.run
    started = task_id(run.id, draft.next_seq)
    told: dict[str, JsonValue] = {"actor": call.actor, **more}
    if call.estimate is not None:
        told["estimate"] = str(call.estimate)
    draft.work += len(to_json(call.payload))
    if (problem := problem_of(call.payload, MAX_PAYLOAD_BYTES)) is not None:
        told[REFUSED] = _too_large(f"the input of task {call.key} of module {place.module.id} takes {problem}")
    elif call.estimate is not None and draft.picture.over_budget:
        told[REFUSED] = _over_budget(draft.picture.over_budget)
    name = _start(draft, place, call, "task", started, told)
    if REFUSED in told:
        return
    draft.enqueue(
        NewTask(
            owner_id=run.owner_id,
            actor=call.actor,
            actor_version=call.actor_version,
            queue=call.queue,
            payload=dict(call.payload),
            max_attempts=call.max_attempts,
            timeout=call.timeout,
            reserves=call.estimate,
            task_id=started,
            on_end=(engine_tasks.look(run.owner_id, run.id),),
            run_id=run.id,
            branch_id=run.branch_id,
            step=place.step,
            module=place.module.id,
            sub_action_id=name,
        )
    )


def start_child(draft: Draft, place: Place, call: ChildCall, more: More = NO_MORE) -> None:
    """Start a child run, and the task that advances it first."""
    run, version_id, seq = draft.picture.run, draft.picture.version_id, draft.next_seq
    started = child_id(run.id, seq)
    if (refused := _refused_child(draft, call)) is not None:
        _start(draft, place, call, "child", started, {**more, REFUSED: refused})
        return
    parent = {"run_id": run.id, "module": place.module.id, "sub_action_id": name_of(place, call.key)}
    try:
        beginning = beginning_of(call, draft.scope, version_id, parent)
    except ValueError as exc:
        _start(draft, place, call, "child", started, {**more, REFUSED: _too_large(str(exc))})
        return
    draft.work += len(to_json(beginning))
    _start(draft, place, call, "child", started, more)
    draft.open_child(child_of(run, version_id, started, call, beginning))
    first = engine_tasks.look(run.owner_id, started, task_id=task_id(started, 0))
    draft.enqueue(first)


def start_timer(draft: Draft, place: Place, call: TimerCall, more: More = NO_MORE) -> None:
    """Start a timer."""
    run, now = draft.picture.run, draft.picture.now
    started = task_id(run.id, draft.next_seq)
    pause = max(timedelta(0), call.delay or timedelta(0) if call.at is None else call.at - now)
    name = _start(draft, place, call, "timer", started, {**more, "until": (now + pause).isoformat()})
    step, module = place.key
    draft.enqueue(engine_tasks.timer(run, started, pause, step=step, module=module, sub_action_id=name))


def start_signal(draft: Draft, place: Place, call: SignalCall, more: More = NO_MORE) -> None:
    """Begin the wait for a message."""
    _start(draft, place, call, "signal", call.name, more)


def _start(draft: Draft, place: Place, call: Call, kind: str, started: str, more: More) -> str:
    """Add the start of a sub-action, and return its id; *started* is what it waits for."""
    name, label = name_of(place, call.key), call.name if isinstance(call, SignalCall) else call.label
    wait: dict[str, JsonValue] = {"kind": kind, "id": started}
    label = label[:MAX_LABEL]
    wait |= {"label": label} if label else {}
    wait |= {"until": more["until"]} if "until" in more else {}
    data: dict[str, JsonValue] = {"sub_action_id": name, "key": call.key, "kind": kind, "id": started, "label": label}
    draft.add(E.SUB_ACTION_STARTED, *place.key, {**data, **more, "_waiting_on": [wait]})
    return name


def _refused_child(draft: Draft, call: ChildCall) -> dict[str, JsonValue] | None:
    if call.version_id in draft.picture.unknown_versions:
        return _misconfigured(f"the owner has no version {call.version_id!r}", "name a version of the owner's")
    if len(draft.picture.run.ancestors) >= MAX_ANCESTORS:
        problem = f"the child run would be a part of a part, and so on, {MAX_ANCESTORS + 1} deep"
        return _misconfigured(problem, f"nest runs {MAX_ANCESTORS} deep at most; does the workflow start itself?")
    return None


def _over_budget(reason: str) -> dict[str, JsonValue]:
    return {
        "code": ErrorCode.BUDGET_EXCEEDED.value,
        "message": reason,
        "hint": "raise the budget, then retry the module",
        "retryable": False,
    }


def _too_large(problem: str) -> dict[str, JsonValue]:
    return _misconfigured(problem, "give less, or refer to files and contents by their ids")


def _misconfigured(message: str, hint: str) -> dict[str, JsonValue]:
    return {"code": ErrorCode.MISCONFIGURED.value, "message": message, "hint": hint, "retryable": False}
