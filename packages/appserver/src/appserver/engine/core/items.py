"""Item calls: another module, run as a part of this one, with one task of its own or as a child run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue, ValidationError

from appserver.engine.core.calls import More, start_child, start_task
from appserver.engine.core.deciding import decided
from appserver.engine.core.draft import Draft
from appserver.engine.core.event_sizes import problem_of
from appserver.engine.core.inputs import given_inputs, misfit
from appserver.engine.core.place import Place
from appserver.engine.core.seen import seed_of
from appserver.engine.definition.model import ModuleDefinition
from appserver.modules.contract import (
    Await,
    ChildCall,
    Done,
    Effect,
    ErrorCode,
    Fail,
    ItemCall,
    ModuleKind,
    Ports,
    Seen,
    TaskCall,
    Work,
)
from appserver.modules.registry import AnyModule

MAX_VALUES_BYTES = 64 * 1024
ITEM = "item"
"""In the start of a sub-action, what it is an item of: ``nested``, ``values``, and ``task``, the key of its task."""


def start_item(draft: Draft, place: Place, call: ItemCall, number: int, more: More) -> None:
    """Start an item: as a task of this module where one is all that it needs, else as a child run."""
    item: dict[str, JsonValue] = {"nested": call.nested}
    task = _single_task(draft, place, call, number)
    if task is not None:
        item |= {"values": dict(call.values), "task": task.key}
        own = TaskCall(
            key=call.key,
            actor=task.actor,
            payload=task.payload,
            actor_version=task.actor_version,
            queue=task.queue,
            label=call.label or task.label,
            estimate=task.estimate,
            timeout=task.timeout,
            max_attempts=task.max_attempts,
        )
        start_task(draft, place, own, {**more, ITEM: item})
        return
    modules = (_nested(place, call.nested),)
    child = ChildCall(key=call.key, modules=modules, values=call.values, label=call.label)
    start_child(draft, place, child, {**more, ITEM: item})


def outputs_of_item(
    draft: Draft, place: Place, started: Mapping[str, Any], result: JsonValue, number: int
) -> Mapping[str, JsonValue] | Fail:
    """Return what an item gave, from what its task or its child run gave.

    Args:
        draft: The decision.
        place: The module that the item is a part of.
        started: The data of the sub-action's start.
        result: What the task or the child run gave.
        number: The try.
    """
    item, nested = started[ITEM], _nested(place, started[ITEM]["nested"])
    if "task" not in item:
        outputs = result.get(nested["id"]) if isinstance(result, dict) else None
        return outputs if isinstance(outputs, dict) else {}
    ready = _ready(draft, place, nested, item["values"])
    if isinstance(ready, Fail):
        return ready
    if ready is None:
        return Fail(code=ErrorCode.MODULE_MISSING, message=f"no module {nested['type']} here; look again elsewhere")
    module, inputs = ready
    work = {item["task"]: Work(kind="task", state="completed", id=str(started["id"]), result=result)}
    effect = _decision(draft, module, inputs, nested["id"], (str(started["key"]), number), work)
    return _outputs(module, effect)


def _outputs(module: AnyModule, effect: Effect) -> Mapping[str, JsonValue] | Fail:
    match effect:
        case Done(outputs=outputs):
            try:
                plain: Mapping[str, JsonValue] = module.Outputs.model_validate(dict(outputs)).model_dump(mode="json")
            except ValidationError as exc:
                return misfit(ErrorCode.INVALID_OUTPUT, f"what {module.type} gives does not fit", "", exc)
            return plain
        case Fail():
            return effect
        case _:
            return Fail(
                code=ErrorCode.MISCONFIGURED,
                message=f"{module.type} needs more than one task for an item",
                hint="write run as a list of modules; then each item has a run of its own",
            )


def _single_task(draft: Draft, place: Place, call: ItemCall, number: int) -> TaskCall | None:
    """Return the one task that is all an item needs so far; ``None`` for what a child run has to do, or to refuse."""
    ready = _ready(draft, place, nested := _nested(place, call.nested), call.values)
    if ready is None or isinstance(ready, Fail) or problem_of(call.values, MAX_VALUES_BYTES):
        return None
    module, inputs = ready
    if module.kind is not ModuleKind.TASK or "when" in nested or "retry" in nested:
        return None
    match _decision(draft, module, inputs, nested["id"], (call.key, number), {}):
        case Await(calls=(TaskCall() as task,)):
            return task
        case _:
            return None


def _nested(place: Place, name: str) -> Mapping[str, Any]:
    """Return the definition of the module that items are run with; the definition was checked when it was stored."""
    nested = place.module.inputs.get(name)
    return nested if isinstance(nested, dict) else {"id": "", "type": ""}


def _ready(
    draft: Draft, place: Place, nested: Mapping[str, Any], values: Mapping[str, JsonValue]
) -> tuple[AnyModule, Ports] | Fail | None:
    """Return the other module with its inputs; ``None`` where this host must not run it."""
    module = draft.module(str(nested.get("type")))
    if module is None:
        return None
    try:
        used = ModuleDefinition.model_validate(nested)
    except ValidationError as exc:
        return misfit(ErrorCode.MISCONFIGURED, f"run of {place.module.id} is no module", "", exc)
    given = given_inputs(module, used, {**draft.scope, **values}, {})
    draft.work += given.size
    return given.inputs if isinstance(given.inputs, Fail) else (module, given.inputs)


def _decision(
    draft: Draft,
    module: AnyModule,
    inputs: Ports,
    module_id: str,
    which: tuple[str, int],
    work: Mapping[str, Work],
) -> Effect:
    run = draft.picture.run
    key, number = which
    seen = Seen(
        run_id=run.id,
        project=run.project,
        module=module_id,
        number=number,
        seed=seed_of(run.id, module_id, key, number),
        now=draft.picture.now,
        work=work,
    )
    return decided(module, inputs, seen)
