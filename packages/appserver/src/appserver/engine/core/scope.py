"""The scope of a run: the values that paths of its definition lead into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb.models import Run, RunState
from appserver.engine.core.created import Created

REUSED_FROM = "reused_from"
"""In a completion's data, the number of the one that it repeats; it is no output."""


def scope_of(run: Run, state: RunState) -> dict[str, Any]:
    """Return the roots: ``input``, ``modules``, ``state``, ``run``, and in a child of a map ``item`` and ``index``.

    In a child run, what its parent handed on is below what its own modules give.
    """
    created = Created.of(state)
    return {
        "input": created.input,
        "modules": {**created.outer_modules, **outputs_by_module(state)},
        "state": {**created.outer_state, **state.values()},
        "run": {"id": run.id, "project": run.project, "owner": run.owner_id},
        **created.values,
    }


def outputs_by_module(state: RunState) -> dict[str, dict[str, Any]]:
    """Return what each module gave."""
    return {module: without_marks(outputs) for module, outputs in state.module_outputs().items()}


def without_marks(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return outputs without what the engine says beside them."""
    return {name: value for name, value in outputs.items() if name != REUSED_FROM}
