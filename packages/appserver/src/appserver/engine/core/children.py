"""Child runs: what they begin with, and the definition that they follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import JsonValue

from appdb.models import NewRun, Run
from appserver.engine.core.created import Created
from appserver.engine.core.event_sizes import problem_of
from appserver.engine.core.ids import branch_id, event_id
from appserver.engine.definition.model import Definition, ModuleDefinition, StepDefinition
from appserver.engine.definition.references import references_in
from appserver.modules.contract import ChildCall

MAX_BEGINNING_BYTES = 200 * 1024
STEP = "run"
"""The one step of a child of a part of a definition."""
Beginning: TypeAlias = Mapping[str, JsonValue]


def definition_of(version: Definition, created: Mapping[str, Any]) -> Definition:
    """Return the definition that a run follows.

    Args:
        version: The definition of its version.
        created: The data of its first event; of a child of ``flow.map`` or ``flow.child`` it names the modules.
    """
    modules = tuple(ModuleDefinition.model_validate(module) for module in Created.of_data(created).modules)
    if not modules:
        return version
    output: dict[str, JsonValue] = {module.id: {"$ref": f"modules.{module.id}", "default": None} for module in modules}
    step = StepDefinition(id=STEP, modules=modules)
    return Definition(name=version.name, title=version.title, steps=(step,), output=output)


def child_of(run: Run, version_id: str, child_id: str, call: ChildCall, beginning: Beginning) -> NewRun:
    """Return the run that *call* starts."""
    return NewRun(
        project=run.project,
        template_id=run.template_id,
        version_id=call.version_id or version_id,
        parent_id=run.id,
        data=dict(beginning),
        run_id=child_id,
        branch_id=branch_id(child_id, 0),
        event_id=event_id(child_id, 0),
    )


def beginning_of(call: ChildCall, scope: Mapping[str, Any], version_id: str, parent: Mapping[str, str]) -> Beginning:
    """Return the data of the first event of the run that *call* starts.

    Raises:
        ValueError: It is too large.
    """
    beginning: dict[str, JsonValue] = {
        "input": dict(scope["input"] if call.input is None else call.input),
        "definition": call.version_id or version_id,
        "parent": dict(parent),
    }
    if call.modules:
        beginning["modules"] = [dict(module) for module in call.modules]
        beginning["values"] = dict(call.values)
        beginning["outer"] = _outer(call.modules, scope)
    if (problem := problem_of(beginning, MAX_BEGINNING_BYTES)) is not None:
        raise ValueError(f"what the child run begins with takes {problem}")
    return beginning


def _outer(modules: Sequence[Mapping[str, Any]], scope: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return what *modules* refer to of what modules of the parent have given."""
    named: dict[str, set[str]] = {"modules": set(), "state": set()}
    for path in paths_in(modules):
        root, _, rest = path.partition(".")
        if root in named:
            named[root].add(rest.partition(".")[0])
    return {
        root: {name: scope[root][name] for name in sorted(names) if name in scope[root]}
        for root, names in named.items()
    }


def paths_in(value: object) -> list[str]:
    """Return every path that *value* refers to, conditions included."""
    paths = [reference.path for _, reference in references_in(value)]
    return paths + _paths_of_conditions(value)


def _paths_of_conditions(value: object) -> list[str]:
    if isinstance(value, Mapping):
        own = [value["path"]] if isinstance(value.get("path"), str) and "op" in value else []
        return own + [path for inner in value.values() for path in _paths_of_conditions(inner)]
    if isinstance(value, list | tuple):
        return [path for inner in value for path in _paths_of_conditions(inner)]
    return []
