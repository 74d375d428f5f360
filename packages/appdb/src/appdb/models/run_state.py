"""The state of a run: values that the events of a line of history add up to; stored nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from appdb.events import DbEventType
from appdb.models.events import RunEvent
from appdb.models.workflow_runs import Position, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSummary:
    """The part of an event that the state of a run keeps."""

    seq: int
    event_id: str
    step: str | None
    module: str | None
    data: Mapping[str, Any]

    @classmethod
    def of(cls, event: RunEvent) -> Self:
        """Return the summary of *event*."""
        return cls(seq=event.seq, event_id=event.id, step=event.step, module=event.module, data=event.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A value that has a name in the run's state.

    Args:
        name: Its name.
        step: Where it was given: by a module, or by a sub-action in or after one; with that module it is undone.
        module: The module.
        kept: The event that gave it.
    """

    name: str
    step: str
    module: str
    kept: EventSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """
    The state of a run after the event ``seq`` of a line of history.

    Args:
        seq: The number of the last event; -1 before the first.
        stable_seq: The last event behind which nothing was half done: where a recovery goes on from.
        last_type: The type of the last event.
        position: The step, the module and the interaction that the run is at.
        steps_completed: In the order in which they were completed.
        modules_completed: By step, the names of completed modules in the order in which they were completed first.
        outputs: By step and module, the last completion of those in ``modules_completed``, oldest first.
        given: What modules and sub-actions have given names in the run's state, oldest first; of one name, the last
            counts, until the module that gave it has to run again.
        pending: The request that the user has not answered.
        error: What stopped the run or its module last, until it goes on.
        unknown_type: The last type of an event that this release does not know, and so has passed over.
    """

    seq: int = -1
    stable_seq: int = -1
    last_type: DbEventType | None = None
    position: Position = field(default_factory=Position)
    steps_completed: tuple[str, ...] = ()
    modules_completed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    outputs: Mapping[tuple[str, str], EventSummary] = field(default_factory=dict)
    given: tuple[Given, ...] = ()
    pending: EventSummary | None = None
    error: EventSummary | None = None
    unknown_type: str | None = None

    @property
    def status(self) -> RunStatus:
        """What the run's cached status must be."""
        return self.position.status

    @property
    def module_index(self) -> int:
        """How many modules of the current step are completed, each counted once however often it ran."""
        return len(self.modules_completed.get(self.position.step or "", ()))

    @property
    def state_values(self) -> dict[str, EventSummary]:
        """By name in the run's state, the event that gave the value which counts."""
        return {given.name: given.kept for given in self.given}

    def module_outputs(self) -> dict[str, Any]:
        """Return the outputs by module; of modules with one name in many steps, the last completion."""
        return {module: _outputs(kept) for (_, module), kept in self.outputs.items()}

    def step_outputs(self) -> dict[str, dict[str, Any]]:
        """Return the outputs by step and module."""
        found: dict[str, dict[str, Any]] = {}
        for (step, module), kept in self.outputs.items():
            found.setdefault(step, {})[module] = _outputs(kept)
        return found

    def values(self) -> dict[str, Any]:
        """Return what modules and sub-actions have given to the run's state, by name; the last one wins."""
        return {name: kept.data[STATE_VALUES][name] for name, kept in self.state_values.items()}


STATE_VALUES = "_state_mapped"
"""Where an event's data says which of it has a name in the run's state."""


def _outputs(kept: EventSummary) -> dict[str, Any]:
    return {name: value for name, value in kept.data.items() if name != STATE_VALUES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """A question to the user, with the answer, if there is one."""

    request: RunEvent
    response: RunEvent | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleAttempt:
    """One attempt of a module, and what the user then asked to be done better.

    Args:
        outputs: What it gave; ``None`` when it did not complete.
        feedback: The retry that followed; ``None`` when there was none.
    """

    outputs: Mapping[str, Any] | None
    feedback: Mapping[str, Any] | None
