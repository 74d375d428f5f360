"""The place of a run: the step and module that come next, by its definition and its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appdb.models import EventSummary, RunState
from appserver.engine.definition.model import Definition, ModuleDefinition, StepDefinition


@dataclass(frozen=True, slots=True)
class Place:
    """A module in its step."""

    step: str
    module: ModuleDefinition

    @property
    def key(self) -> tuple[str, str]:
        """The names by which the state knows it."""
        return self.step, self.module.id

    def started(self, state: RunState) -> EventSummary | None:
        """Return its last start, unless it has to run again; a handoff to another host is no start."""
        start = state.started.get(self.key)
        return None if start is None or "handoff" in start.data else start

    def has_begun(self, state: RunState) -> bool:
        """Return whether it was started, or completed or passed over, and is not undone."""
        return self.key in state.started or self.module.id in state.modules_completed.get(self.step, ())

    def error(self, state: RunState) -> EventSummary | None:
        """Return the error that stands since its last start, or ``None`` while it works."""
        error, start = state.error, state.started.get(self.key)
        if error is None or (error.step, error.module) != self.key:
            return None
        return error if start is None or start.seq < error.seq else None


def open_step(definition: Definition, state: RunState) -> StepDefinition | None:
    """Return the first step that is not completed; ``None`` when the run is at its end."""
    return next((step for step in definition.steps if step.id not in state.steps_completed), None)


def open_module(step: StepDefinition, state: RunState) -> Place | None:
    """Return the first module of *step* that is not completed; ``None`` when the step is at its end."""
    done = state.modules_completed.get(step.id, ())
    return next((Place(step.id, module) for module in step.modules if module.id not in done), None)


def open_place(definition: Definition, state: RunState) -> Place | None:
    """Return the module that the run is at; ``None`` between two steps and at the end."""
    step = open_step(definition, state)
    return None if step is None else open_module(step, state)


def place_of(definition: Definition, module_id: str) -> Place | None:
    """Return where a module is in the definition."""
    found = ((step, module) for step, module in definition.modules() if module.id == module_id)
    return next((Place(step.id, module) for step, module in found), None)


def order_of(definition: Definition) -> Mapping[str, int]:
    """Return, by module, which it is in the order of the run."""
    return {module.id: index for index, (_, module) in enumerate(definition.modules())}
